"""The fleet at a glance: for one device as for 10,000."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from grafana_foundation_sdk.builders import (
    bargauge,
    common,
    dashboard,
    heatmap,
    stat,
    table,
    timeseries,
)

from grafana.generate import colours, panels, promql
from grafana.generate.colours import GREEN, NONE_IS_GOOD, RED, STATES, YELLOW
from grafana.generate.frame import (
    FLEET,
    device_url,
    skeleton,
    with_devices,
    with_exporters,
    with_panels,
)
from grafana.generate.promql import devices, once
from grafana.generate.thresholds import (
    FLEET_UP_RATIO,
    SKEW_CRITICAL_SECONDS,
    SKEW_WARNING_SECONDS,
    STEP_WINDOW,
)

OFFSET_BOUNDS_SECONDS: Final = (0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 60.0)
"""Bounds of the distribution of clock offsets; the alerts' are among them."""

_QUANTILES: Final = {1: "maximum", 0.95: "p95", 0.5: "median", 0.05: "p5", 0: "minimum"}
_POINTS: Final = 100
"""Most points over time where each looks at every device."""

_UP: Final = once(promql.UP)
_SKEW: Final = f"abs({promql.CLOCK_OFFSET}) - {promql.UNCERTAINTY}"


def fleet() -> dashboard.Dashboard:
    """The dashboard `axis-ntp-fleet`."""
    text = "Whether the clocks of all Axis devices can be trusted, and whose can't."
    board = skeleton(FLEET, "Axis NTP / Fleet", text)
    board = with_devices(with_exporters(board, "axis_ntp_up"), "axis_ntp_up")
    return with_panels(
        board.refresh("5m"),
        [
            *_answering(),
            *_clocks_in_numbers(),
            _troubles(),
            _worst_clocks(),
            _quantiles(),
            _distribution(),
            _failing(),
            _failures(),
            _servers(),
            _devices(),
        ],
    )


def _answering() -> Sequence[stat.Panel]:
    return [
        panels.number("Devices", "How many devices were polled.", f"count({_UP})"),
        panels.number("Answering", "How many devices answered their last poll.", f"sum({_UP})"),
        panels.number(
            "Share answering",
            "Red where AxisNTPFleetUnreachable fires; that looks at each exporter on its own and"
            " wants at least 5 devices.",
            f"avg({_UP})",
            "percentunit",
            [(None, RED), (FLEET_UP_RATIO, GREEN)],
        ),
        panels.number(
            "Synchronized",
            "How many devices say that they have synchronized since their last restart. They go on"
            " saying so when their time server is dead: the clocks themselves tell more.",
            f"sum({once(promql.SYNCED)})",
        ),
    ]


def _clocks_in_numbers() -> Sequence[stat.Panel]:
    return [
        _off("Clock off", SKEW_WARNING_SECONDS, NONE_IS_GOOD),
        _off("Clock far off", SKEW_CRITICAL_SECONDS, [(None, GREEN), (1, RED)]),
        panels.number(
            "Stepped",
            f"How many clocks jumped in the last {STEP_WINDOW}.",
            f"sum({once(f'increase({promql.STEPS}[{STEP_WINDOW}])')} > bool 0)",
            "short",
            [(None, GREEN), (1, YELLOW)],
        ),
        panels.number(
            "Set up as expected",
            "How many devices comply with their `expect` in the config, of those that have one.",
            f"sum({once(promql.COMPLIANT)})",
        ).no_value("no expect"),
    ]


def _off(title: str, seconds: float, colours: colours.Steps) -> stat.Panel:
    text = f"How many clocks are certainly off by more than {seconds:g} s, seen from outside."
    off = f"sum({once(_SKEW)} > bool {seconds:g})"
    return panels.number(title, text, off, "short", colours).no_value("no clock seen")


_TROUBLES: Final = {
    "polls fail": f"{promql.UP} == bool 0",
    "clock off": f"{_SKEW} > bool {SKEW_WARNING_SECONDS:g}",
    "not synchronized": f"{promql.SYNCED} == bool 0",
    "NTP client off": f"{promql.CLIENT_ENABLED} == bool 0",
    "config differs": f"{promql.COMPLIANT} == bool 0",
}


def _troubles() -> timeseries.Panel:
    panel = panels.lines("Devices in trouble", "How many devices have which trouble, over time.")
    counts = (
        panels.ranged(f"sum({trouble}) * {promql.DEVICES_PER_SERIES}", name)
        for name, trouble in _TROUBLES.items()
    )
    return panels.asking(panel.min(0).max_data_points(_POINTS), *counts)


def _worst_clocks() -> timeseries.Panel:
    panel = panels.lines(
        "Worst clocks",
        f"How far off the {promql.LINES} worst clocks certainly are: what AxisNTPClockSkew"
        " compares. The dashed lines are its limits.",
        "s",
    ).max_data_points(_POINTS)
    limited = panels.limited(panel, colours.BEYOND_SKEW).min(0)
    return panels.asking(limited, panels.ranged(promql.worst_skews(promql.LINES), "{{device}}"))


def _quantiles() -> timeseries.Panel:
    panel = panels.lines(
        "Clock offsets",
        "The devices' clocks less the exporter host's, seen from outside. When all of it moves at"
        " once, it is the exporter's clock that moved.",
        "s",
    ).max_data_points(_POINTS)
    return panels.asking(
        panel,
        *(
            panels.ranged(f"quantile({quantile:g}, {promql.CLOCK_OFFSET})", name)
            for quantile, name in _QUANTILES.items()
        ),
    )


def _distribution() -> heatmap.Panel:
    panel = panels.histogram(
        "Distribution of clock offsets",
        "How many clocks are off by how much, ahead or behind, over time.",
    ).max_data_points(_POINTS)
    histogram = promql.buckets(promql.CLOCK_OFFSET, OFFSET_BOUNDS_SECONDS)
    return panels.asking(panel, panels.bucketed(histogram))


def _failing() -> timeseries.Panel:
    panel = panels.stacked("Failing devices", "How many devices failed their last poll, and why.")
    expression = f"count by (reason) ({promql.LAST_ERROR}) * {promql.DEVICES_PER_SERIES}"
    return panels.asking(panel.span(8), panels.ranged(expression, "{{reason}}"))


def _failures() -> timeseries.Panel:
    panel = panels.stacked(
        "Failed polls",
        "Failed polls a second by reason, all exporters. The first failure of a device with a"
        " reason is in the total only.",
        "cps",
    )
    errors, failures = devices("axis_ntp_api_errors_total"), promql.FAILURES
    return panels.asking(
        panels.with_total(panel.span(8)),
        panels.ranged(f"sum by (reason) (rate({errors}[$__rate_interval]))", "{{reason}}"),
        panels.ranged(f"sum(rate({failures}[$__rate_interval]))", "total"),
    )


def _servers() -> bargauge.Panel:
    panel = panels.bars(
        "Servers in force",
        "How many devices use which time server, and where they have it from; the most used ones.",
    )
    active = once(devices("axis_ntp_server_info", 'active="true"'))
    expression = f"topk({2 * promql.LINES}, count by (server, source) ({active}))"
    return panels.asking(panel, panels.instant(expression, "{{server}} ({{source}})"))


_COLUMNS: Final = {
    "device": "device",
    "Value #A": "State",
    "reason": "Reason",
    "code": "Code",
    "Value #C": "Clock offset",
    "Value #D": "± Uncertainty",
    "Value #E": "NTP offset",
    "Value #F": "Servers in force",
    "Value #G": "Last answer",
}


def _devices() -> table.Panel:
    panel = panels.listing(
        "Devices, worst first",
        f"Up to {promql.ROWS} devices; choose by site or name to see others."
        " A click on a name shows the device.",
        _COLUMNS,
        ["Value #B"],
    )
    panel = _formatted(panel.span(24).height(14))
    return panels.asking(panel, *map(panels.rows, _columns()))


def _columns() -> Sequence[str]:
    """The table's queries, in order; each has the rows of the first, or fewer."""
    shown = f"topk({promql.ROWS}, {once(promql.state())})"
    reasons = f"{once(promql.LAST_ERROR)}\nand ignoring (reason, code)\n{shown}"
    values = (
        promql.CLOCK_OFFSET,
        promql.UNCERTAINTY,
        promql.NTP_OFFSET,
        promql.ACTIVE_SERVERS,
        f"{promql.LAST_SUCCESS} * 1000",
    )
    return [shown, reasons, *(f"{once(value)}\nand\n{shown}" for value in values)]


def _formatted(panel: table.Panel) -> table.Panel:
    """The table with the columns' units, colours and links."""
    link = {"title": "Show the device", "url": device_url("job")}
    worst_first = common.TableSortByFieldState().display_name("State").desc(desc=True)
    return (
        panel.override_by_name("device", panels.properties(links=[link]))
        .override_by_name("State", panels.coloured(STATES))
        .override_by_name("Clock offset", panels.judged(colours.SKEW))
        .override_by_name("± Uncertainty", panels.properties(unit="s"))
        .override_by_name("NTP offset", panels.judged(colours.OFFSET))
        .override_by_name("Servers in force", panels.properties(unit="short"))
        .override_by_name("Last answer", panels.properties(unit="dateTimeFromNow"))
        .sort_by([worst_first])
    )
