"""The dashboards' files: made by the code, whole, and of a piece with catalogue and rules."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as models

from exporter.metrics.catalogue import DEVICE_METRICS
from exporter.metrics.exporter import ExporterMetrics
from grafana.generate import FOLDER, files, promql, thresholds
from grafana.generate.colours import STATES
from tests.dashboards.grafana import (
    UIDS,
    annotation_questions,
    load,
    panel_questions,
    variable_questions,
)

ROOT: Final = Path(__file__).parents[2]
RULES: Final = ROOT / "grafana/rules/axis-ntp.rules.yml"

of_each_dashboard = pytest.mark.parametrize("uid", UIDS)
PANELS: Final = [
    pytest.param(panel, id=f"{uid}: {panel['title']}")
    for uid in UIDS
    for panel in load(uid)["panels"]
]
of_each_panel = pytest.mark.parametrize("panel", PANELS)
EXPRESSIONS: Final = [
    question.expression
    for uid in UIDS
    for questions in (panel_questions, annotation_questions, variable_questions)
    for question in questions(uid)
]


def test_the_committed_files_are_what_the_code_makes() -> None:
    committed = {file: file.read_text("utf-8") for file in FOLDER.iterdir()}
    assert committed == files(), "run: python -m grafana.generate"


def test_the_code_makes_the_same_twice() -> None:
    assert list(files().values()) == list(files().values())


@of_each_dashboard
def test_a_file_bears_its_uid_and_no_id(uid: str) -> None:
    document = load(uid)
    assert document["uid"] == uid
    assert "id" not in document


@of_each_dashboard
def test_the_sdk_reads_back_what_it_wrote(uid: str) -> None:
    plugins.register_default_plugins()
    document = load(uid)
    for panel in document["panels"]:
        panel["fieldConfig"]["defaults"].setdefault("custom", {})
    encoded = JSONEncoder().encode(models.Dashboard.from_json(document))
    again = json.loads(encoded)
    for panel in again["panels"]:
        panel["fieldConfig"]["defaults"].setdefault("custom", {})
    assert again["panels"] == document["panels"]
    for variable in again["templating"]["list"]:
        del variable["id"]
    assert again["templating"] == document["templating"]


@of_each_panel
def test_nothing_of_a_panel_is_null_but_the_lowest_threshold(panel: Mapping[str, Any]) -> None:
    def nulls(value: Any, path: str) -> Iterator[str]:
        pairs = enumerate(value) if isinstance(value, list) else dict(value or {}).items()
        for key, inner in pairs:
            if inner is None:
                yield f"{path}.{key}"
            elif isinstance(inner, list | dict):
                yield from nulls(inner, f"{path}.{key}")

    assert all(re.search(r"\.steps\.0\.value$", path) for path in nulls(panel, ""))


def datasources(document: Any) -> Iterator[Mapping[str, str]]:
    """Every value of a key `datasource`, however deep."""
    if isinstance(document, list):
        document = dict(enumerate(document))
    if isinstance(document, dict):
        for key, value in document.items():
            if key == "datasource":
                yield value
            else:
                yield from datasources(value)


@of_each_dashboard
def test_every_datasource_is_the_chosen_one(uid: str) -> None:
    found = list(datasources(load(uid)))
    panels = load(uid)["panels"]
    assert len(found) >= len(panels) + sum(len(panel["targets"]) for panel in panels)
    assert all(each == {"type": "prometheus", "uid": "${datasource}"} for each in found)


@of_each_dashboard
def test_one_chooses_datasource_job_and_exporter(uid: str) -> None:
    variables = load(uid)["templating"]["list"]
    names = [variable["name"] for variable in variables]
    assert names[:3] == ["datasource", "job", "instance"]
    assert names[3:] == ([] if uid == "axis-ntp-exporter" else ["site", "device"])


@of_each_dashboard
def test_no_variable_makes_grafana_rewrite_queries(uid: str) -> None:
    # For ad hoc filters it parses them, and takes our backticks for part of a value.
    kinds = {variable["type"] for variable in load(uid)["templating"]["list"]}
    assert kinds == {"datasource", "query"}


@of_each_dashboard
def test_one_may_choose_all_or_several(uid: str) -> None:
    for variable in load(uid)["templating"]["list"]:
        if variable["type"] == "query":
            assert (variable["includeAll"], variable["multi"]) == (True, True)
            assert (variable["allValue"], variable["current"]["value"]) == (".*", ["$__all"])


@of_each_panel
def test_a_panel_has_title_description_and_queries(panel: Mapping[str, Any]) -> None:
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert panel["targets"]


@of_each_panel
def test_a_panels_queries_go_by_different_letters(panel: Mapping[str, Any]) -> None:
    letters = [target["refId"] for target in panel["targets"]]
    assert letters == list("ABCDEFGH"[: len(letters)])


@of_each_dashboard
def test_panels_have_titles_numbers_and_places_of_their_own(uid: str) -> None:
    panels = load(uid)["panels"]
    assert len({panel["title"] for panel in panels}) == len(panels)
    assert [panel["id"] for panel in panels] == list(range(1, len(panels) + 1))
    taken = [cell for panel in panels for cell in cells(panel["gridPos"])]
    assert len(set(taken)) == len(taken)
    assert max(column for column, _ in taken) < 24


def cells(place: Mapping[str, int]) -> Iterator[tuple[int, int]]:
    for column in range(place["x"], place["x"] + place["w"]):
        for row in range(place["y"], place["y"] + place["h"]):
            yield column, row


@of_each_dashboard
def test_a_dashboard_links_to_the_other_two_and_keeps_the_exporters(uid: str) -> None:
    links = load(uid)["links"]
    linked = [link["url"].partition("?")[0] for link in links]
    assert linked == [f"/d/{other}" for other in UIDS if other != uid]
    for link in links:
        assert "${job:queryparam}" in link["url"]
        assert "device" not in link["url"].partition("?")[2]
        both_have_sites = "axis-ntp-exporter" not in {uid, link["url"][3:].partition("?")[0]}
        assert ("${site:queryparam}" in link["url"]) == both_have_sites
        assert link["keepTime"]


def known_metrics() -> set[str]:
    metrics = ExporterMetrics()
    metrics.sd_refreshed("file", "devices.yaml", failed=False)
    own = {sample.name for family in metrics.registry.collect() for sample in family.samples}
    return {metric.name for metric in DEVICE_METRICS} | own | {"scrape_duration_seconds"}


def test_every_metric_is_in_the_catalogue() -> None:
    used = {name for text in EXPRESSIONS for name in re.findall(r"\b(\w+)\{", text)}
    bare = {name for text in EXPRESSIONS for name in re.findall(r"\b(axis_ntp_\w+)", text)}
    assert len(used) > 25
    assert used | bare <= known_metrics()


SELECTOR: Final = re.compile(r"\b\w+\{((?:[^`{}]|`[^`]*`)*)\}")


@of_each_dashboard
def test_every_selector_heeds_what_is_chosen(uid: str) -> None:
    chosen = ["job", "instance", *([] if uid == "axis-ntp-exporter" else ["site", "device"])]
    wanted = ", ".join(f"{name}=~`${{{name}:regex}}`" for name in chosen)
    for question in [*panel_questions(uid), *annotation_questions(uid)]:
        found = SELECTOR.findall(question.expression)
        assert len(found) == question.expression.count("job=~")
        assert all(matchers.startswith(wanted) for matchers in found), question.id


BOUNDED: Final = (
    *("avg(", "count(", "max(", "min(", "quantile(", "sum(", "time() - min(", "clamp_min(max("),
    *("count by (reason) ", "sum by (reason) ", "count_values(", "label_replace((count("),
    *("avg by (job, instance) ", "quantile by (job, instance) "),
)
"""How an expression begins that has no series for each device."""


@of_each_panel
def test_no_query_gives_a_series_for_each_of_10000_devices(panel: Mapping[str, Any]) -> None:
    for target in panel["targets"]:
        expression = target["expr"]
        if any(f"{metric.name}{{" in expression for metric in DEVICE_METRICS):
            assert expression.startswith(BOUNDED) or "topk(" in expression


def test_the_thresholds_are_the_contracts() -> None:
    numbers = {name: value for name, value in vars(thresholds).items() if name.isupper()}
    assert numbers == {
        "FLEET_UP_RATIO": 0.8,
        "OFFSET_WARNING_SECONDS": 0.1,
        "OFFSET_CRITICAL_SECONDS": 1,
        "SKEW_WARNING_SECONDS": 0.5,
        "SKEW_CRITICAL_SECONDS": 2,
        "SUSPECT_SECONDS": 0.5,
        "LATE_SECONDS": 5,
        "OVERDUE_SECONDS": 300,
        "FEW_SERVERS": 1,
        "STEP_WINDOW": "15m",
    }


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text("utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def alert_expressions(alert: str) -> list[str]:
    """What an alert's rules compare, with recorded expressions written out."""
    recorded = {rule["record"]: rule["expr"] for rule in rules() if "record" in rule}
    found = [rule["expr"] for rule in rules() if rule.get("alert") == alert]
    for _ in recorded:
        for name, expression in recorded.items():
            found = [text.replace(name, f"({expression})") for text in found]
    return found


@pytest.mark.parametrize(
    ("alert", "comparisons"),
    [
        ("AxisNTPFleetUnreachable", [f"< {thresholds.FLEET_UP_RATIO:g}"]),
        (
            "AxisNTPOffsetHigh",
            [
                f"> {thresholds.OFFSET_WARNING_SECONDS:g}",
                f"> {thresholds.OFFSET_CRITICAL_SECONDS:g}",
            ],
        ),
        (
            "AxisNTPClockSkew",
            [f"> {thresholds.SKEW_WARNING_SECONDS:g}", f"> {thresholds.SKEW_CRITICAL_SECONDS:g}"],
        ),
        ("AxisNTPExporterClockSuspect", [f"> {thresholds.SUSPECT_SECONDS:g}"]),
        ("AxisNTPExporterPollsLate", [f"> {thresholds.LATE_SECONDS:g}"]),
        ("AxisNTPPollsStalled", [f"> {thresholds.OVERDUE_SECONDS:g}"]),
        ("AxisNTPSingleServer", [f"== {thresholds.FEW_SERVERS}"]),
        ("AxisNTPClockStepped", [f"[{thresholds.STEP_WINDOW}]"]),
    ],
)
def test_the_thresholds_are_the_rules(alert: str, comparisons: list[str]) -> None:
    found = alert_expressions(alert)
    assert len(found) == len(comparisons)
    for expression, comparison in zip(found, comparisons, strict=True):
        assert re.search(rf"{re.escape(comparison)}(?![\d.])", expression), expression


def test_every_state_has_a_name_and_the_worst_wins() -> None:
    lines = promql.state().splitlines()
    numbers = [
        int(number) for number in re.findall(r"\* 0 \+ (\d)$", "\n".join(lines), re.MULTILINE)
    ]
    assert [*numbers, 0] == sorted(STATES, reverse=True)
    assert lines[0] == f"((({promql.UP}) == 0) * 0 + 7"


def test_the_alerts_limits_bound_the_distribution() -> None:
    expression = json.dumps(load("axis-ntp-fleet"))
    for seconds in (thresholds.SKEW_WARNING_SECONDS, thresholds.SKEW_CRITICAL_SECONDS):
        assert f"<= {seconds:g} >= -{seconds:g})" in expression


@of_each_dashboard
def test_the_docs_tell_of_every_panel_what_it_does(uid: str) -> None:
    docs = (ROOT / "docs/dashboards.md").read_text("utf-8")
    rows = "\n".join(
        f"| {panel['title']} | {panel['description']} |" for panel in load(uid)["panels"]
    )
    assert rows in docs
