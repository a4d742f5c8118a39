"""The panels match expected.py: series, units, limits, columns, links."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import pytest
import yaml

from tests.dashboards.expected import NUMBERS, PANELS, Shown, Steps
from tests.dashboards.grafana import UIDS, asking_panels, panels_of
from tests.dashboards.site import ALERTS

EVERY: Final = [
    pytest.param(uid, title, shown, id=f"{uid}: {title}")
    for uid, panels in PANELS.items()
    for title, shown in panels.items()
]


def panel_of(uid: str, title: str) -> Mapping[str, Any]:
    [found] = [panel for panel in panels_of(uid) if panel["title"] == title]
    panel: Mapping[str, Any] = found
    return panel


def shown_series(expression: str) -> str:
    """Return the first series of an expression, whose values are shown; others only filter it."""
    found = re.search(r"\b(\w+)\{", expression)
    assert found, expression
    return found[1].removeprefix("axis_ntp_")


def limits_of(thresholds: Mapping[str, Any] | None) -> Steps | None:
    if thresholds is None:
        return None
    assert thresholds["mode"] == "absolute"
    return tuple((step["value"], step["color"]) for step in thresholds["steps"])


@pytest.mark.parametrize("uid", UIDS)
def test_every_panel_is_expected(uid: str) -> None:
    assert [panel["title"] for panel in panels_of(uid)] == list(PANELS[uid])


@pytest.mark.parametrize(("uid", "title", "shown"), EVERY)
def test_a_panel_shows_its_series_in_its_unit_with_its_limits(
    uid: str, title: str, shown: Shown
) -> None:
    panel = panel_of(uid, title)
    defaults = panel.get("fieldConfig", {}).get("defaults", {})
    series = [shown_series(target["expr"]) for target in panel.get("targets", [])]
    found = Shown(defaults.get("unit"), series, limits_of(defaults.get("thresholds")))
    assert found == shown


@pytest.mark.parametrize(("uid", "title", "shown"), EVERY)
def test_limits_of_graphs_are_dashed_lines(uid: str, title: str, shown: Shown) -> None:
    panel = panel_of(uid, title)
    if panel["type"] == "timeseries" and shown.limits:
        style = panel["fieldConfig"]["defaults"]["custom"]["thresholdsStyle"]
        assert style == {"mode": "dashed"}


TABLES: Final[Sequence[Mapping[str, Any]]] = [
    panel for uid in UIDS for panel in panels_of(uid) if panel["type"] == "table"
]
each_table = pytest.mark.parametrize("table", TABLES, ids=lambda table: str(table["title"]))
Properties = Mapping[str, Any]


def overrides(panel: Mapping[str, Any], kind: str) -> dict[str, Properties]:
    """Return the overrides of a panel, by name or by type."""
    return {
        each["matcher"]["options"]: {one["id"]: one.get("value") for one in each["properties"]}
        for each in panel["fieldConfig"]["overrides"]
        if each["matcher"]["id"] == kind
    }


@each_table
def test_text_in_a_table_is_shown_unchanged(table: Mapping[str, Any]) -> None:
    # A unit for all columns would make Grafana show a device called 007 as 7.
    assert "unit" not in table["fieldConfig"]["defaults"]
    assert overrides(table, "byType") == {"string": {"unit": "string"}}
    with_units = {
        column for column, set_ in overrides(table, "byName").items() if {"unit"} & set_.keys()
    }
    assert with_units == set(NUMBERS.get(table["title"], {}))


@each_table
def test_a_tables_queries_are_merged_and_its_columns_named(table: Mapping[str, Any]) -> None:
    merged, organized = table["transformations"]
    assert (merged["id"], organized["id"]) == ("merge", "organize")
    renamed = organized["options"]["renameByName"]
    numbers = NUMBERS.get(table["title"], {})
    assert {column.query: name for name, column in numbers.items()} == {
        field.removeprefix("Value #"): name for field, name in renamed.items() if "Value" in field
    }
    assert all(target["format"] == "table" for target in table["targets"])


@pytest.mark.parametrize(
    ("title", "name"), [(title, name) for title, columns in NUMBERS.items() for name in columns]
)
def test_a_column_of_numbers_has_its_unit_and_limits(title: str, name: str) -> None:
    for table in [each for each in TABLES if each["title"] == title]:
        column, properties = NUMBERS[title][name], overrides(table, "byName")[name]
        found = (properties["unit"], limits_of(properties.get("thresholds")))
        assert found == (column.unit, column.limits)


def test_the_table_of_devices_is_sorted_worst_first() -> None:
    sorting = panel_of("axis-ntp-fleet", "Devices, worst first")["options"]["sortBy"]
    assert sorting == [{"displayName": "State", "desc": True}]


def test_the_link_to_a_device_has_its_raw_name() -> None:
    table = panel_of("axis-ntp-fleet", "Devices, worst first")
    [link] = overrides(table, "byName")["device"]["links"]
    assert "var-device=${__value.raw:percentencode}&" in link["url"]


@pytest.mark.parametrize(
    ("title", "colour"),
    [
        ("Answering", "text"),
        ("Synchronized", "text"),
        ("Config compliant", "text"),
        ("Clock off", "orange"),
        ("Clock far off", "red"),
        ("Stepped", "yellow"),
    ],
)
def test_a_share_has_the_colour_of_its_problem_unless_it_is_0(title: str, colour: str) -> None:
    mappings = panel_of("axis-ntp-fleet", title)["fieldConfig"]["defaults"]["mappings"]

    def shown(text: str) -> str:
        matching = [
            m["options"] for m in mappings if re.search(m["options"]["pattern"][1:-1], text)
        ]
        assert all(set(each["result"]) == {"color", "index"} for each in matching)
        return str(matching[0]["result"]["color"])

    assert {mapping["type"] for mapping in mappings} == {"regex"}
    assert [shown("10 of 400"), shown("2 of 10")] == [colour] * 2
    assert shown("0 of 400") == ("text" if colour == "text" else "green")


@pytest.mark.parametrize("uid", ["axis-ntp-fleet", "axis-ntp-device"])
def test_the_number_of_alerts_has_the_colour_of_its_severity(uid: str) -> None:
    found = overrides(panel_of(uid, "Alerts"), "byName")
    assert {name: limits_of(each["thresholds"]) for name, each in found.items()} == {
        "critical": ((None, "green"), (1, "red")),
        "warning": ((None, "green"), (1, "orange")),
    }


def test_the_list_of_alerts_shows_what_fires_of_our_rules() -> None:
    options = panel_of("axis-ntp-fleet", "Firing alerts")["options"]
    states = options["stateFilter"]
    assert [state for state, is_shown in states.items() if is_shown] == ["firing"]
    assert options["viewMode"] == "list"
    names = {rule["alert"] for rule in alerting_rules()}
    assert len(names) > 15
    # Grafana looks for this text within the rule's name.
    assert all(options["alertName"] in name for name in names)


def alerting_rules() -> Sequence[Mapping[str, Any]]:
    groups = yaml.safe_load(ALERTS.read_text("utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"] if "alert" in rule]


@pytest.mark.parametrize("measured", ["offset", "drift"])
def test_the_band_is_filled_between_the_bounds(measured: str) -> None:
    title = f"Measured {measured} with its uncertainty"
    band = overrides(panel_of("axis-ntp-device", title), "byName")
    assert band["at most"]["custom.fillBelowTo"] == "at least"
    assert all(each["custom.lineWidth"] == 0 for each in band.values())
    assert "custom.fillBelowTo" not in band["at least"]


def test_a_heatmap_uses_prometheus_buckets() -> None:
    maps = [panel for uid in UIDS for panel in panels_of(uid) if panel["type"] == "heatmap"]
    assert len(maps) == 3
    for panel in maps:
        assert panel["options"]["calculate"] is False
        assert panel["options"]["yAxis"]["unit"] == "s"
        assert [target["format"] for target in panel["targets"]] == ["heatmap"]


def meanings(panel: Mapping[str, Any]) -> dict[str, str]:
    [mapping] = panel["fieldConfig"]["defaults"]["mappings"]
    return {value: each["text"] for value, each in mapping["options"].items()}


STATES: Final = {
    "0": "fine",
    "1": "certificate",
    "2": "config differs",
    "3": "sync stalled",
    "4": "NTP client off",
    "5": "not synchronized",
    "6": "no servers",
    "7": "clock off",
    "8": "clock far off",
    "9": "polls fail",
    "10": "polls overdue",
}
YES_NO: Final = {"0": "no", "1": "yes"}


@pytest.mark.parametrize(
    ("uid", "titles", "texts"),
    [
        ("axis-ntp-device", ["State now", "State"], STATES),
        ("axis-ntp-device", ["Config compliant"], YES_NO),
        ("axis-ntp-exporter", ["Last reload successful", "Host clock synchronized"], YES_NO),
    ],
)
def test_numbers_with_a_meaning_are_shown_as_words(
    uid: str, titles: Sequence[str], texts: Mapping[str, str]
) -> None:
    assert all(meanings(panel_of(uid, title)) == texts for title in titles)


NO_VALUE: Final = {
    "axis-ntp-fleet": {
        "Synchronized": "not reported",
        "Config compliant": "no expect",
        "Clock off": "not measured",
        "Clock far off": "not measured",
        "Stepped": "unknown",
        "Alerts": "none",
        "Time servers": "no time_servers",
    },
    "axis-ntp-device": {
        "Measured drift": "not known yet",
        "Certificate ends in": "none seen",
        "Alerts": "none",
        "Measured offset": "not measured",
        "± Uncertainty": "not measured",
        "Reported offset": "not reported",
        "Active servers": "not reported",
        "Config compliant": "no expect",
        "Last success": "never",
    },
    "axis-ntp-exporter": {
        "Lateness, p99": "no polls",
        "Host clock synchronized": "unknown",
        "Host clock offset": "no time_servers",
        "Time servers": "no time_servers",
        "Discovery failures": "no discovery",
    },
}


@pytest.mark.parametrize("uid", UIDS)
def test_missing_numbers_are_shown_as_words(uid: str) -> None:
    texts = {
        panel["title"]: panel["fieldConfig"]["defaults"]["noValue"]
        for panel in asking_panels(uid)
        if "noValue" in panel["fieldConfig"]["defaults"]
    }
    assert texts == NO_VALUE[uid]


@pytest.mark.parametrize("uid", ["axis-ntp-fleet", "axis-ntp-device"])
def test_the_total_of_failed_polls_is_not_stacked(uid: str) -> None:
    total = overrides(panel_of(uid, "Failed polls"), "byName")["total"]
    assert total == {"custom.stacking": {"mode": "none"}, "custom.fillOpacity": 0}
