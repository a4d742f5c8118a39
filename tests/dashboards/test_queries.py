"""Every query of the dashboards, run on the real Prometheus as Grafana would run it."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final
from urllib.parse import parse_qs, urlsplit

import pytest

from grafana.generate.promql import LINES, ROWS
from tests.dashboards.grafana import (
    UIDS,
    Dashboard,
    Question,
    annotation_questions,
    as_regex,
    label_values,
    load,
    panel_questions,
    series_name,
    variable_questions,
)
from tests.dashboards.site import AWKWARD, STEPPING, Series, Site, running_site

# One fleet, two daemons and one Prometheus for all tests of the module.
pytestmark = [pytest.mark.xdist_group("dashboards"), pytest.mark.timeout(180)]

PANELS: Final = [question for uid in UIDS for question in panel_questions(uid)]
ANNOTATIONS: Final = [question for uid in UIDS for question in annotation_questions(uid)]
VARIABLES: Final = [question for uid in UIDS for question in variable_questions(uid)]

ABOUT_TROUBLE: Final = {
    "Failing devices",
    "Failed polls",
    "Failing",
    "Deviations from the expected config",
}
"""Panels that show nothing of a device that is fine."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running_site(tmp_path_factory.mktemp("site")) as running:
        yield running


def answer(
    site: Site, question: Question, chosen: Mapping[str, Sequence[str]] | None = None
) -> list[Series]:
    """What Prometheus says to a query of a panel or annotation."""
    board = Dashboard(question.uid, chosen or {})
    expression = board.fill(question.expression, site.span, question.points)
    if question.query.get("instant"):
        return site.prometheus.now(expression, site.span.end)
    return site.prometheus.over_time(expression, site.span, site.span.step(question.points))


def of_kind(*kinds: str) -> pytest.MarkDecorator:
    found = [question for question in PANELS if question.kind in kinds]
    return pytest.mark.parametrize("question", found, ids=lambda question: question.id)


def test_every_kind_of_panel_has_its_test() -> None:
    kinds = {"stat", "timeseries", "state-timeline", "heatmap", "bargauge", "table"}
    assert {question.kind for question in PANELS} == kinds


@of_kind("stat")
def test_a_stat_has_one_finite_number(site: Site, question: Question) -> None:
    [series] = answer(site, question)
    assert math.isfinite(series.last)


@of_kind("timeseries")
def test_a_graph_has_lines_and_never_one_for_each_device(site: Site, question: Question) -> None:
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
        # Interpolation by increase() is not exact in every bucket.
        assert all(value <= above[when] + 1e-6 for when, value in lower.values)


@of_kind("bargauge")
def test_a_bar_gauge_has_bars_with_names(site: Site, question: Question) -> None:
    found = answer(site, question)
    names = [series_name(question.query["legendFormat"], series.labels) for series in found]
    assert 1 <= len(found) <= 2 * LINES
    assert len(set(names)) == len(names)
    assert all("  " not in name and not name.startswith(" ") for name in names)


@of_kind("table")
def test_a_table_has_rows_and_not_too_many(site: Site, question: Question) -> None:
    assert question.query["format"] == "table"
    assert f"topk({ROWS}" in question.expression or "build_info" in question.expression
    assert 1 <= len(answer(site, question)) <= 2 * len(site.devices) * 5


TABLES: Final = [panel for uid in UIDS for panel in load(uid)["panels"] if panel["type"] == "table"]


@pytest.mark.parametrize("panel", TABLES, ids=lambda panel: str(panel["title"]))
def test_a_tables_columns_are_there(site: Site, panel: Mapping[str, object]) -> None:
    questions = [question for question in PANELS if question.panel == panel]
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
    for panel in load(uid)["panels"]
    if panel["type"] in {"timeseries", "state-timeline"}
]


@pytest.mark.parametrize("panel", GRAPHS, ids=lambda panel: str(panel["title"]))
def test_no_two_lines_of_a_graph_have_one_name(site: Site, panel: Mapping[str, object]) -> None:
    questions = [question for question in PANELS if question.panel == panel]
    names = [
        series_name(question.query["legendFormat"], series.labels)
        for question in questions
        for series in answer(site, question)
    ]
    assert len(set(names)) == len(names) <= 2 * LINES


@pytest.mark.parametrize("question", PANELS, ids=lambda question: question.id)
def test_an_awkwardly_named_device_is_found_and_nobody_else(site: Site, question: Question) -> None:
    found = answer(site, question, {"device": [AWKWARD]})
    devices = {series.labels["device"] for series in found if "device" in series.labels}
    if question.panel["title"] not in ABOUT_TROUBLE and question.uid != "axis-ntp-exporter":
        assert found or "axis_ntp_last_error" in question.expression
        assert devices <= {AWKWARD}


@pytest.mark.parametrize("question", PANELS, ids=lambda question: question.id)
def test_several_devices_of_one_exporter_may_be_chosen(site: Site, question: Question) -> None:
    chosen = {"device": [AWKWARD, "dock-2", "lobby"], "instance": [site.exporters[0]]}
    found = answer(site, question, chosen)
    for label in chosen.keys() - {"device" if question.uid == "axis-ntp-exporter" else ""}:
        assert {series.labels.get(label) for series in found} <= {*chosen[label], None}


def test_both_ways_in_which_grafana_escapes_find_the_same(site: Site) -> None:
    without_slash = re.compile(r"[\\^$.*+?()\[\]{}|]")
    for names in ([AWKWARD], [AWKWARD, "lobby"]):
        for regex in (as_regex(names), as_regex(names, without_slash)):
            found = site.prometheus.now(f"axis_ntp_up{{device=~`{regex}`}}")
            assert {series.labels["device"] for series in found} == set(names)


@pytest.mark.parametrize("question", VARIABLES, ids=lambda question: question.id)
def test_a_variable_offers_what_there_is(site: Site, question: Question) -> None:
    there_is = {
        "job": {'axis "ntp"'},
        "instance": set(site.exporters),
        "site": {"hq", "warehouse", "shop"},
        "device": set(site.devices),
    }
    filled = Dashboard(question.uid).fill(question.expression, site.span)
    selector, label = label_values(filled)
    found = site.prometheus.label_values(selector, label, site.span)
    assert set(found) == there_is[question.place]


def test_a_variables_choice_narrows_the_next_one(site: Site) -> None:
    [question] = [each for each in VARIABLES if each.id == "device: device"]
    board = Dashboard(question.uid, {"instance": ["nobody:1"]})
    selector, label = label_values(board.fill(question.expression, site.span))
    assert site.prometheus.label_values(selector, label, site.span) == []


@pytest.mark.parametrize("question", ANNOTATIONS, ids=lambda question: question.id)
def test_an_annotation_marks_the_step_as_each_exporter_saw_it(
    site: Site, question: Question
) -> None:
    found = answer(site, question, {"device": [STEPPING]})
    text = question.query["textFormat"]
    assert {series_name(text, series.labels) for series in found} == {
        f"The clock of {STEPPING} jumped, as {instance} saw it." for instance in site.exporters
    }
    assert all(value > 0 for series in found for _, value in series.values)


@pytest.mark.parametrize("question", ANNOTATIONS, ids=lambda question: question.id)
def test_an_annotation_marks_nothing_where_no_clock_stepped(site: Site, question: Question) -> None:
    assert answer(site, question, {"device": ["dock-1"]}) == []


# The demo's fleet, and one device more. Down: garage-entry, dock-2, cold-store. Their clocks off:
# dock-4 by 1.8 s, till-2 and lobby by 3 s; lobby's jumped before our eyes.
DEVICES: Final = 21
UP: Final = 18
IN_NUMBERS: Final = {
    "fleet: Devices A": DEVICES,
    "fleet: Answering A": UP,
    "fleet: Share answering A": UP / DEVICES,
    "fleet: Synchronized A": UP - len({"stairwell-1", "cafeteria", "gate"}),
    "fleet: Clock off A": len({"dock-4", "till-2", "lobby"}),
    "fleet: Clock far off A": len({"till-2", "lobby"}),
    "fleet: Stepped A": len({"lobby"}),
    "fleet: Set up as expected A": UP - len({"cafeteria"}),
    "fleet: Devices in trouble A": DEVICES - UP,
    "fleet: Devices in trouble B": len({"dock-4", "till-2", "lobby"}),
    "fleet: Devices in trouble C": len({"stairwell-1", "cafeteria", "gate"}),
    "fleet: Devices in trouble D": len({"cafeteria"}),
    "fleet: Devices in trouble E": len({"cafeteria"}),
    "device: State now A": 7,
    "device: Clock offset A": 3,
    "device: Servers in force A": 0,
    "device: Set up as expected A": 0,
    "exporter: Exporters A": 2,
    "exporter: Devices polled A": 2 * DEVICES,
    "exporter: Config loads A": 1,
}


def question_of(place: str) -> Question:
    [found] = [each for each in PANELS if each.id == place]
    return found


@pytest.mark.parametrize("place", IN_NUMBERS)
def test_a_number_is_what_is_known_of_the_fleet_each_device_counted_once(
    site: Site, place: str
) -> None:
    [series] = answer(site, question_of(place))
    assert series.last == pytest.approx(IN_NUMBERS[place], abs=0.05)


def by_label(found: Sequence[Series], label: str) -> dict[str, float]:
    return {series.labels[label]: series.last for series in found}


def test_failing_devices_are_counted_by_reason_each_once(site: Site) -> None:
    found = answer(site, question_of("fleet: Failing devices A"))
    assert by_label(found, "reason") == {"unauthorized": 1, "timeout": 1, "unsupported": 1}


def test_the_total_of_failed_polls_is_there_before_any_reason_is(site: Site) -> None:
    [fleet] = answer(site, question_of("fleet: Failed polls B"))
    # Three devices, by two exporters, each second.
    assert 1 < fleet.last < 7
    [nobody] = answer(site, question_of("fleet: Failed polls B"), {"device": ["till-1"]})
    assert nobody.last == 0


def test_the_worst_clocks_are_off_by_what_is_certain(site: Site) -> None:
    found = by_label(answer(site, question_of("fleet: Worst clocks A")), "device")
    worst = {name: value for name, value in found.items() if value > 0.5}
    assert worst == pytest.approx({"dock-4": 1.8, "till-2": 3, "lobby": 3}, abs=0.05)


def test_the_distribution_has_each_clock_between_the_bounds_on_both_sides_of_0(site: Site) -> None:
    found = by_label(answer(site, question_of("fleet: Distribution of clock offsets A")), "le")
    # Of dock-2, which hangs, no clock is seen; dock-4 is 1.8 s behind.
    assert (found["0.5"], found["2"], found["+Inf"]) == (17, 18, 20)


def test_the_quantiles_are_those_of_the_clocks(site: Site) -> None:
    names = {each.query["legendFormat"]: each for each in PANELS if "Clock offsets" in each.place}
    last = {name: answer(site, names[name])[0].last for name in ("minimum", "median", "maximum")}
    assert last == pytest.approx({"minimum": -1.8, "median": 0, "maximum": 3}, abs=0.05)


STATES: Final = {
    "dock-2": 7,
    "lobby": 6,
    "dock-4": 5,
    "stairwell-1": 4,
    "gate": 4,
    "cafeteria": 2,
    "dock-1": 0,
}


def test_a_device_is_in_its_worst_state(site: Site) -> None:
    found = by_label(answer(site, question_of("fleet: Devices, worst first A")), "device")
    assert {name: found[name] for name in STATES} == STATES
    now = {
        name: answer(site, question_of("device: State now A"), {"device": [name]})[0].last
        for name in STATES
    }
    assert now == STATES


def test_the_table_has_of_each_device_what_its_columns_say(site: Site) -> None:
    def of(letter: str, device: str) -> float:
        place = f"fleet: Devices, worst first {letter}"
        return by_label(answer(site, question_of(place)), "device")[device]

    [reason] = [
        (series.labels["reason"], series.labels["code"])
        for series in answer(site, question_of("fleet: Devices, worst first B"))
        if series.labels["device"] == "garage-entry"
    ]
    assert reason == ("unauthorized", "401")
    assert of("C", "dock-4") == pytest.approx(-1.8, abs=0.05)
    assert 0 < of("D", "dock-4") < 0.05
    # It lost its server when it was right: its own word is still good.
    assert abs(of("E", "dock-4")) < 0.1
    assert (of("F", "dock-1"), of("F", "gate")) == (2, 0)
    # In milliseconds, as Grafana has its dates.
    assert of("G", "dock-1") == pytest.approx(site.span.end * 1000, abs=10_000)


def test_the_servers_in_force_are_counted_by_device(site: Site) -> None:
    found = answer(site, question_of("fleet: Servers in force A"))
    # Of those that answer, gate has none.
    assert {series.labels["server"]: series.last for series in found} == {
        "192.0.2.123": UP - 1,
        "192.0.2.124": UP - 1,
    }


def test_the_band_holds_the_offset(site: Site) -> None:
    of_one = {"device": ["dock-4"], "instance": [site.exporters[0]]}
    offset, above, below = (
        answer(site, question_of(f"device: Clock offset with its uncertainty {letter}"), of_one)[0]
        for letter in "ABC"
    )
    assert below.last < offset.last < above.last
    assert offset.last == pytest.approx(-1.8, abs=0.05)


def test_a_device_that_never_answered_has_no_last_answer_and_another_a_recent_one(
    site: Site,
) -> None:
    question = question_of("device: Last answer A")
    assert answer(site, question, {"device": ["dock-2"]}) == []
    [recent] = answer(site, question, {"device": ["dock-1"]})
    assert 0 < recent.last < 10


def test_no_poll_is_overdue_and_when_the_next_is_due_is_told(site: Site) -> None:
    [overdue] = answer(site, question_of("device: Overdue A"), {"device": ["dock-1"]})
    assert 0 <= overdue.last < 10


def test_an_exporters_memory_and_start_are_its_own(site: Site) -> None:
    memory = answer(site, question_of("exporter: Memory A"))
    assert all(20e6 < series.last < 500e6 for series in memory)
    [started] = answer(site, question_of("exporter: Started A"))
    assert site.span.start * 1000 - 60_000 < started.last < site.span.end * 1000


def test_a_site_chosen_shows_its_devices_and_no_others(site: Site) -> None:
    [hq] = answer(site, question_of("fleet: Devices A"), {"site": ["hq"]})
    [two] = answer(site, question_of("fleet: Devices A"), {"site": ["hq", "shop"]})
    assert (hq.last, two.last) == (9, 12)


def test_a_row_of_the_fleet_leads_to_its_device(site: Site) -> None:
    [table] = [panel for panel in TABLES if panel["title"] == "Devices, worst first"]
    [(column, link)] = [
        (override["matcher"]["options"], prop["value"][0]["url"])
        for override in table["fieldConfig"]["overrides"]
        for prop in override["properties"]
        if prop["id"] == "links"
    ]
    assert column == "device"
    row = {"job": 'axis "ntp"', "device": AWKWARD}
    url = urlsplit(Dashboard("axis-ntp-fleet").url(link, row, site.span))
    parameters = parse_qs(url.query, keep_blank_values=True)
    assert url.path == "/d/axis-ntp-device"
    assert (parameters["var-job"], parameters["var-device"]) == ([row["job"]], [AWKWARD])
    assert parameters["var-instance"] == ["$__all"]
    assert {"from", "to"} <= set(parameters)
