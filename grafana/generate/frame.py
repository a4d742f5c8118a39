"""The frame that the three dashboards share: variables, links, annotations, layout, JSON."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from typing import Final, NamedTuple

from grafana_foundation_sdk.builders import dashboard, table
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as models

from grafana.generate import promql
from grafana.generate.panels import DATASOURCE, properties
from grafana.generate.promql import EXPORTER_URL

FLEET: Final = "axis-ntp-fleet"
DEVICE: Final = "axis-ntp-device"
EXPORTER: Final = "axis-ntp-exporter"
TAG: Final = "axis-ntp"

ANY: Final = ".*"
"""The regular expression of `All`: one short expression, not 10,000 names."""

_LINKS: Final = {FLEET: "Fleet", DEVICE: "Device", EXPORTER: "Exporter"}
_KEPT: Final = "${datasource:queryparam}&${job:queryparam}&${instance:queryparam}"
_URL_KEPT: Final = f"${{{EXPORTER_URL}:queryparam}}"


class Annotation(models.AnnotationQuery):
    """An annotation from a Prometheus query, with the keys that the SDK's type leaves out."""

    def __init__(self, name: str, expression: str, *, title: str, text: str) -> None:
        super().__init__(name, DATASOURCE, icon_color="orange", expr=expression)
        self._more = {"step": "60s", "titleFormat": title, "textFormat": text, "tagKeys": "device"}

    def to_json(self) -> dict[str, object]:
        """Return the keys that Grafana's Prometheus datasource reads."""
        return super().to_json() | self._more


class Section(NamedTuple):
    """A row of a dashboard: a title to click, and the panels below it."""

    title: str
    panels: Sequence[Builder[models.Panel]]
    collapsed: bool = False


def device_url(job: str) -> str:
    """Return the URL of the device dashboard for a cell that contains a device's name.

    `job` is the field of the row's job. The name is used raw: `007` or `1.10` is not a number.
    """
    row = f"var-job=${{__data.fields.{job}:percentencode}}"
    row += "&var-device=${__value.raw:percentencode}"
    kept = f"${{datasource:queryparam}}&${{instance:queryparam}}&{_URL_KEPT}&${{__url_time_range}}"
    return f"/d/{DEVICE}?{row}&{kept}"


def site_url() -> str:
    """Return the URL of the fleet dashboard for a cell that contains a site."""
    kept = f"{_KEPT}&{_URL_KEPT}&${{__url_time_range}}"
    return f"/d/{FLEET}?var-{promql.SITE}=${{__value.raw:percentencode}}&{kept}"


def with_addresses(panel: table.Panel) -> table.Panel:
    """Link the column `address` to the device and to the exporter's page of it.

    Both URLs come raw from labels of `promql.addresses`, whose columns are hidden: percent-encoded,
    the colon before a port would not be one. An empty cell has no link.
    """
    page = f"${{__data.fields.{promql.EXPORTER_LABEL}:raw}}"
    page += "/device/${__data.fields.device:percentencode}"
    links = {
        "Open the device": f"${{__data.fields.{promql.DEVICE_LABEL}:raw}}",
        "Open the exporter's page of the device": page,
    }
    listed = [{"title": title, "url": url, "targetBlank": True} for title, url in links.items()]
    hidden = properties(custom_hidden=True)
    return (
        panel.override_by_name("address", properties(links=listed))
        .override_by_name(promql.DEVICE_LABEL, hidden)
        .override_by_name(promql.EXPORTER_LABEL, hidden)
    )


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
    """Add the variables site and device, and the exporter's URL for links.

    No ad hoc filters: Grafana rewrites queries for them and cannot parse backticks.
    """
    site = _choice(promql.SITE, promql.SITE.capitalize(), promql.exporters(metric))
    device = _choice("device", "Device", promql.sites(metric))
    return board.with_variable(site).with_variable(device).with_variable(_exporter_url())


def _exporter_url() -> dashboard.TextBoxVariable:
    """Return the variable that the label for links to the exporter's pages is made of."""
    default = "http://$1"
    return (
        dashboard.TextBoxVariable(EXPORTER_URL)
        .label("Exporter URL")
        .description("URL of the exporter's pages, for links to them; $1 is the label instance.")
        .default_value(default)
        .current(models.VariableOption(selected=True, text=default, value=default))
    )


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
    """Return a link that keeps exporters and time, and what else both have; no device."""
    text = _LINKS[uid]
    of_devices = f"{_KEPT}&${{{promql.SITE}:queryparam}}&{_URL_KEPT}"
    kept = _KEPT if EXPORTER in {here, uid} else of_devices
    return (
        dashboard.DashboardLink(text)
        .type(models.DashboardLinkType.LINK)
        .icon("dashboard")
        .tooltip(f"{text} dashboard")
        .url(f"/d/{uid}?{kept}")
        .keep_time(keep_time=True)
    )


def with_sections(board: dashboard.Dashboard, sections: Sequence[Section]) -> dashboard.Dashboard:
    """Add rows and their panels, from left to right and down, numbered so that links can name them.

    A collapsed row contains its panels; the panels of an open row follow it.
    """
    numbers = itertools.count(1)
    for section in sections:
        row = dashboard.Row(section.title).id(next(numbers))
        for panel in section.panels:
            panel.build().id_val = next(numbers)
            if section.collapsed:
                row.with_panel(panel)
        board.with_row(row)
        if not section.collapsed:
            for panel in section.panels:
                board.with_panel(panel)
    return board


def as_json(board: dashboard.Dashboard) -> str:
    """Return the JSON to import or provision; the same code gives the same JSON."""
    document = json.loads(JSONEncoder().encode(board.build()))
    for variable in document["templating"]["list"]:
        del variable["id"]  # the SDK's placeholder; Grafana identifies variables by name
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
