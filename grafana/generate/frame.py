"""The frame that the three dashboards share: variables, links, annotations, layout, JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as models

from grafana.generate import promql
from grafana.generate.panels import DATASOURCE

FLEET: Final = "axis-ntp-fleet"
DEVICE: Final = "axis-ntp-device"
EXPORTER: Final = "axis-ntp-exporter"
TAG: Final = "axis-ntp"

ANY: Final = ".*"
"""The regular expression of `All`: one short expression, not 10,000 names."""

_LINKS: Final = {FLEET: "Fleet", DEVICE: "Device", EXPORTER: "Exporter"}
_KEPT: Final = "${datasource:queryparam}&${job:queryparam}&${instance:queryparam}"


class Annotation(models.AnnotationQuery):
    """An annotation from a Prometheus query, with the keys that the SDK's type leaves out."""

    def __init__(self, name: str, expression: str, *, title: str, text: str) -> None:
        super().__init__(name, DATASOURCE, icon_color="orange", expr=expression)
        self._more = {"step": "60s", "titleFormat": title, "textFormat": text, "tagKeys": "device"}

    def to_json(self) -> dict[str, object]:
        """Return the keys that Grafana's Prometheus datasource reads."""
        return super().to_json() | self._more


def device_url(job: str) -> str:
    """Return the URL of the device dashboard for a cell that contains a device's name.

    `job` is the field of the row's job. The name is used raw: `007` or `1.10` is not a number.
    """
    row = f"var-job=${{__data.fields.{job}:percentencode}}"
    row += "&var-device=${__value.raw:percentencode}"
    kept = "${datasource:queryparam}&${instance:queryparam}&${__url_time_range}"
    return f"/d/{DEVICE}?{row}&{kept}"


def skeleton(uid: str, title: str, description: str) -> dashboard.Dashboard:
    """Return a dashboard without panels and variables, with links to the other two."""
    return (
        dashboard.Dashboard(title)
        .annotations([])
        .uid(uid)
        .description(description)
        .tags([TAG])
        .editable()
        .timezone("browser")
        .time("now-6h", "now")
        .refresh("1m")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .links([_link(uid, other) for other in _LINKS if other != uid])
    )


def with_exporters(board: dashboard.Dashboard, metric: str) -> dashboard.Dashboard:
    """Add the variables datasource, job and instance, filled from a metric."""
    of_job = f"{metric}{{job=~`${{job:regex}}`}}"
    return board.variables(
        [
            dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"),
            _choice("job", "Job", metric),
            _choice("instance", "Exporter", of_job),
        ]
    )


def with_devices(board: dashboard.Dashboard, metric: str) -> dashboard.Dashboard:
    """Add the variables site and device.

    No ad hoc filters: Grafana rewrites queries for them and cannot parse backticks.
    """
    site = _choice(promql.SITE, promql.SITE.capitalize(), promql.exporters(metric))
    device = _choice("device", "Device", promql.sites(metric))
    return board.with_variable(site).with_variable(device)


def with_annotation(board: dashboard.Dashboard, annotation: Annotation) -> dashboard.Dashboard:
    """Add an annotation to all panels."""
    board.build().annotations = models.AnnotationContainer([annotation])
    return board


def _choice(name: str, label: str, series: str) -> dashboard.QueryVariable:
    """Return a variable with the values of a label: choose one, several or all."""
    query = {
        "qryType": 1,
        "query": f"label_values({series}, {name})",
        "refId": "PrometheusVariableQueryEditor-VariableQuery",
    }
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .datasource(DATASOURCE)
        .query(query)
        .multi(multi=True)
        .include_all(include_all=True)
        .all_value(ANY)
        .current(models.VariableOption(selected=True, text=["All"], value=["$__all"]))
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.ALPHABETICAL_CASE_INSENSITIVE_ASC)
    )


def _link(here: str, uid: str) -> dashboard.DashboardLink:
    """Return a link that keeps exporters and time, and the site if both have it; no device."""
    text = _LINKS[uid]
    kept = _KEPT if EXPORTER in {here, uid} else f"{_KEPT}&${{{promql.SITE}:queryparam}}"
    return (
        dashboard.DashboardLink(text)
        .type(models.DashboardLinkType.LINK)
        .icon("dashboard")
        .tooltip(f"{text} dashboard")
        .url(f"/d/{uid}?{kept}")
        .keep_time(keep_time=True)
    )


def with_panels(
    board: dashboard.Dashboard, panels: Sequence[Builder[models.Panel]]
) -> dashboard.Dashboard:
    """Add panels from left to right and down, numbered so that links can name them."""
    for number, builder in enumerate(panels, start=1):
        builder.build().id_val = number
        board.with_panel(builder)
    return board


def as_json(board: dashboard.Dashboard) -> str:
    """Return the JSON to import or provision; the same code gives the same JSON."""
    document = json.loads(JSONEncoder().encode(board.build()))
    for variable in document["templating"]["list"]:
        del variable["id"]  # the SDK's placeholder; Grafana identifies variables by name
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
