"""Every query of the dashboards, run on the real Prometheus as Grafana does."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping
from typing import Final

import pytest

from grafana.generate.promql import LINES, ROWS
from tests.dashboards.grafana import (
    PANEL_QUESTIONS,
    UIDS,
    Dashboard,
    Question,
    annotation_questions,
    as_regex,
    label_values,
    panels_of,
    series_name,
    variable_questions,
)
from tests.dashboards.site import AWKWARD, STEPPING, Site, answer

# On the same worker as the other tests of queries: they share a fleet and a Prometheus.
pytestmark = [pytest.mark.xdist_group("dashboards"), pytest.mark.timeout(180)]

ANNOTATIONS: Final = [question for uid in UIDS for question in annotation_questions(uid)]
VARIABLES: Final = [question for uid in UIDS for question in variable_questions(uid)]

ABOUT_PROBLEMS: Final = {
    "Failing devices",
    "Failed polls",
    "Failing",
    "Settings that differ from expect",
    "Alerts",
}
"""Panels that show nothing about a device without problems."""


def of_kind(*kinds: str) -> pytest.MarkDecorator:
    found = [question for question in PANEL_QUESTIONS if question.kind in kinds]
    return pytest.mark.parametrize("question", found, ids=lambda question: question.id)


def test_every_kind_of_panel_is_tested() -> None:
    kinds = {"stat", "timeseries", "state-timeline", "heatmap", "bargauge", "table"}
    assert {question.kind for question in PANEL_QUESTIONS} == kinds


@of_kind("stat")
def test_a_stat_has_one_finite_number(site: Site, question: Question) -> None:
    [series] = answer(site, question)
    assert math.isfinite(series.value)


SHARES: Final = [question for question in PANEL_QUESTIONS if "whole" in question.expression]


@pytest.mark.parametrize("question", SHARES, ids=lambda question: question.id)
def test_a_share_is_a_text_of_two_numbers_in_the_field_that_is_shown(
    site: Site, question: Question
) -> None:
    [series] = answer(site, question)
    assert question.query["format"] == "table"
    assert question.panel["options"]["reduceOptions"]["fields"] == "/^shown$/"
    assert re.fullmatch(r"\d+ of \d+", series.labels["shown"])


@of_kind("timeseries")
def test_a_graph_has_a_limited_number_of_lines(site: Site, question: Question) -> None:
    found = answer(site, question)
    assert 1 <= len(found) <= 2 * LINES < len(site.devices)
    assert any(math.isfinite(value) for series in found for _, value in series.values)


@of_kind("state-timeline")
def test_a_timeline_has_values_with_a_meaning(site: Site, question: Question) -> None:
    found = answer(site, question)
    [mapping] = question.panel["fieldConfig"]["defaults"]["mappings"]
    meant = {float(value) for value in mapping["options"]}
    assert 1 <= len(found) <= LINES
    assert {value for series in found for _, value in series.values} <= meant


@of_kind("heatmap")
def test_a_heatmap_has_cumulative_buckets(site: Site, question: Question) -> None:
    found = sorted(answer(site, question), key=lambda series: float(series.labels["le"]))
    assert all(set(series.labels) == {"le"} for series in found)
    assert (len(found) > 2, found[-1].labels["le"]) == (True, "+Inf")
    for lower, upper in itertools.pairwise(found):
        above = dict(upper.values)
        # increase() interpolates, so buckets are not exact.
        assert all(value <= above[when] + 1e-6 for when, value in lower.values)


@of_kind("bargauge")
def test_a_bar_gauge_has_bars_with_names(site: Site, question: Question) -> None:
    found = answer(site, question)
    names = [series_name(question.query["legendFormat"], series.labels) for series in found]
    assert 1 <= len(found) <= 2 * LINES
    assert len(set(names)) == len(names)
    assert all("  " not in name and not name.startswith(" ") for name in names)


@of_kind("table")
def test_a_table_has_a_limited_number_of_rows(site: Site, question: Question) -> None:
    assert question.query["format"] == "table"
    assert f"topk({ROWS}" in question.expression or "build_info" in question.expression
    assert 1 <= len(answer(site, question)) <= 2 * len(site.devices) * 5


TABLES: Final = [panel for uid in UIDS for panel in panels_of(uid) if panel["type"] == "table"]


@pytest.mark.parametrize("panel", TABLES, ids=lambda panel: str(panel["title"]))
def test_a_table_has_its_columns(site: Site, panel: Mapping[str, object]) -> None:
    questions = [question for question in PANEL_QUESTIONS if question.panel == panel]
    labels = {
        label for question in questions for each in answer(site, question) for label in each.labels
    }
    letters = [question.query["refId"] for question in questions]
    values = {f"Value #{letter}" for letter in letters} if len(letters) > 1 else {"Value"}
    organized = questions[0].panel["transformations"][1]["options"]
    wanted = {*organized["indexByName"], *organized["excludeByName"]} - {"Time", "__name__"}
    assert wanted <= labels | values


GRAPHS: Final = [
    panel
    for uid in UIDS
    for panel in panels_of(uid)
    if panel["type"] in {"timeseries", "state-timeline"}
]


@pytest.mark.parametrize("panel", GRAPHS, ids=lambda panel: str(panel["title"]))
def test_the_lines_of_a_graph_have_unique_names(site: Site, panel: Mapping[str, object]) -> None:
    questions = [question for question in PANEL_QUESTIONS if question.panel == panel]
    names = [
        series_name(question.query["legendFormat"], series.labels)
        for question in questions
        for series in answer(site, question)
    ]
    assert len(set(names)) == len(names) <= 2 * LINES


@pytest.mark.parametrize("question", PANEL_QUESTIONS, ids=lambda question: question.id)
def test_a_device_with_special_characters_is_selected_exactly(
    site: Site, question: Question
) -> None:
    found = answer(site, question, {"device": [AWKWARD]})
    devices = {series.labels["device"] for series in found if "device" in series.labels}
    if question.panel["title"] not in ABOUT_PROBLEMS and question.uid != "axis-ntp-exporter":
        assert found or "axis_ntp_last_error" in question.expression
        assert devices <= {AWKWARD}


@pytest.mark.parametrize("question", PANEL_QUESTIONS, ids=lambda question: question.id)
def test_several_devices_of_one_exporter_can_be_selected(site: Site, question: Question) -> None:
    chosen = {"device": [AWKWARD, "dock-2", "lobby"], "instance": [site.exporters[0]]}
    found = answer(site, question, chosen)
    for label in chosen.keys() - {"device" if question.uid == "axis-ntp-exporter" else ""}:
        assert {series.labels.get(label) for series in found} <= {*chosen[label], None}


def test_both_escapings_of_grafana_find_the_same_devices(site: Site) -> None:
    without_slash = re.compile(r"[\\^$.*+?()\[\]{}|]")
    for names in ([AWKWARD], [AWKWARD, "lobby"]):
        for regex in (as_regex(names), as_regex(names, without_slash)):
            found = site.prometheus.query(f"axis_ntp_up{{device=~`{regex}`}}")
            assert {series.labels["device"] for series in found} == set(names)


@pytest.mark.parametrize("question", VARIABLES, ids=lambda question: question.id)
def test_a_variable_offers_the_existing_values(site: Site, question: Question) -> None:
    existing = {
        "job": {'axis "ntp"'},
        "instance": set(site.exporters),
        "site": {"hq", "warehouse", "shop"},
        "device": set(site.devices),
    }
    filled = Dashboard(question.uid).fill(question.expression, site.span)
    selector, label = label_values(filled)
    found = site.prometheus.label_values(selector, label, site.span.start, site.span.end)
    assert set(found) == existing[question.place]


def test_a_variables_value_limits_the_next_variable(site: Site) -> None:
    [question] = [each for each in VARIABLES if each.id == "device: device"]
    board = Dashboard(question.uid, {"instance": ["nobody:1"]})
    selector, label = label_values(board.fill(question.expression, site.span))
    assert site.prometheus.label_values(selector, label, site.span.start, site.span.end) == []


@pytest.mark.parametrize("question", ANNOTATIONS, ids=lambda question: question.id)
def test_an_annotation_marks_a_step_for_each_exporter(site: Site, question: Question) -> None:
    found = answer(site, question, {"device": [STEPPING]})
    text = question.query["textFormat"]
    assert {series_name(text, series.labels) for series in found} == {
        f"The clock of {STEPPING} stepped, as measured by {instance}."
        for instance in site.exporters
    }
    assert all(value > 0 for series in found for _, value in series.values)


@pytest.mark.parametrize("question", ANNOTATIONS, ids=lambda question: question.id)
def test_no_annotation_without_a_step(site: Site, question: Question) -> None:
    assert answer(site, question, {"device": ["dock-1"]}) == []
