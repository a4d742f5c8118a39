"""The dashboard for the whole fleet, from one device to 10,000."""

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
from grafana.generate.colours import GREEN, NONE_IS_GOOD, ORANGE, RED, STATES, YELLOW
from grafana.generate.exporter import time_servers
from grafana.generate.frame import (
    FLEET,
    Section,
    device_url,
    site_url,
    skeleton,
    with_addresses,
    with_devices,
    with_exporters,
    with_sections,
)
from grafana.generate.promql import devices, once
from grafana.generate.thresholds import (
    FLEET_UP_RATIO,
    SKEW_CRITICAL_SECONDS,
    SKEW_WARNING_SECONDS,
    STEP_WINDOW,
)

OFFSET_BOUNDS_SECONDS: Final = (0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 60.0)
"""Bounds of the distribution of measured offsets, the alert thresholds included."""

_QUANTILES: Final = {1: "maximum", 0.95: "p95", 0.5: "median", 0.05: "p5", 0: "minimum"}
_POINTS: Final = 100
"""Maximum points over time of queries that read every device at each point."""

_UP: Final = once(promql.UP)
_SKEW: Final = promql.skew()


def fleet() -> dashboard.Dashboard:
    """Return the dashboard `axis-ntp-fleet`."""
    text = "Clock status of all Axis devices."
    board = skeleton(FLEET, "Axis NTP / Fleet", text)
    board = with_devices(with_exporters(board, "axis_ntp_up"), "axis_ntp_up")
    sections = [
        Section("Now", [*_answering(), *_clocks_in_numbers(), _alerts(), _sites(), _devices()]),
        Section(
            "Clocks",
            [_problems(), _worst_clocks(), _quantiles(), _distribution(), _drifts(), _reported()],
        ),
        Section("Servers", [_servers(), time_servers().span(16)]),
        Section("Errors", [_failing(), _failures()], collapsed=True),
    ]
    return with_sections(board.refresh("5m"), sections)


def _answering() -> Sequence[stat.Panel]:
    return [
        panels.share(
            "Answering",
            "Number of devices whose last poll succeeded, of all.",
            f"sum({_UP})",
            f"count({_UP})",
        ),
        panels.number(
            "Share answering",
            "Red when AxisNTPFleetUnreachable fires. The alert judges each exporter separately and"
            " needs at least 5 devices.",
            f"avg({_UP})",
            "percentunit",
            [(None, RED), (FLEET_UP_RATIO, GREEN)],
        ),
        panels.share(
            "Synchronized",
            "Number of devices that report that they are synchronized, of all. They may still"
            " report it after their time server has died; check the measured offsets, too.",
            f"sum({once(promql.SYNCED)})",
            f"count({_UP})",
        ).no_value("not reported"),
        panels.share(
            "Config compliant",
            "Number of devices whose NTP settings match `expect` in the exporter's config, of those"
            " that have one and answer.",
            f"sum({once(promql.COMPLIANT)})",
            f"count({once(promql.COMPLIANT)})",
        ).no_value("no expect"),
    ]


def _clocks_in_numbers() -> Sequence[stat.Panel]:
    stepped = f"increase({promql.STEPS}[{STEP_WINDOW}])"
    return [
        _off("Clock off", SKEW_WARNING_SECONDS, ORANGE),
        _off("Clock far off", SKEW_CRITICAL_SECONDS, RED),
        panels.share(
            "Stepped",
            f"Number of clocks that stepped in the last {STEP_WINDOW}, of all.",
            f"sum({once(stepped)} > bool 0)",
            f"count({_UP})",
            YELLOW,
        ).no_value("unknown"),
        panels.firing("Alerts"),
    ]


def _off(title: str, seconds: float, colour: str) -> stat.Panel:
    text = f"Number of clocks off by more than {seconds:g} s, even at best, of those measured."
    off = f"sum({once(_SKEW)} > bool {seconds:g})"
    shown = panels.share(title, text, off, f"count({once(_SKEW)})", colour)
    return shown.no_value("not measured")


def _alerts() -> dashboard.Panel:
    return panels.alert_list(
        "Firing alerts",
        "Alerts of this exporter's rules that fire, of every datasource whose rules Grafana may"
        " read. The variables at the top do not filter them.",
    )


_SITE_COLUMNS: Final = {
    "Value #A": "Not answering",
    "Value #B": "Devices",
    "Value #C": "Worst clock",
    "Value #D": "Clocks off",
    "Value #E": "Not synchronized",
    "Value #F": "Mismatches",
}


def _sites() -> table.Panel:
    panel = panels.listing(
        "Sites",
        "Number of devices with each problem by site. Worst clock: measured offset minus"
        " uncertainty, as AxisNTPClockSkew compares it. Mismatches: devices whose NTP settings"
        " differ from `expect`. Click a site to see only that.",
        {promql.SITE: "site", **_SITE_COLUMNS},
    )
    problem = panels.counted(NONE_IS_GOOD)
    worst_first = common.TableSortByFieldState().display_name("Not answering").desc(desc=True)
    panel = (
        panel.override_by_name("site", panels.links("Show only this site", site_url()))
        .override_by_name("Not answering", problem)
        .override_by_name("Devices", panels.properties(unit="short"))
        .override_by_name("Worst clock", panels.judged(colours.BEYOND_SKEW))
        .override_by_name("Clocks off", problem)
        .override_by_name("Not synchronized", problem)
        .override_by_name("Mismatches", problem)
        .sort_by([worst_first])
    )
    return panels.asking(panel.span(16), *map(panels.rows, _of_sites()))


def _of_sites() -> Sequence[str]:
    """Return the queries of the table of sites; each has the rows of the first, or fewer."""
    by_site = f"by ({promql.SITE})"
    shown = f"topk({promql.ROWS}, sum {by_site} ({_UP} == bool 0))"
    others = (
        f"count {by_site} ({_UP})",
        f"clamp_min(max {by_site} ({once(_SKEW)}), 0)",
        f"sum {by_site} ({once(_SKEW)} > bool {SKEW_WARNING_SECONDS:g})",
        f"sum {by_site} ({once(promql.SYNCED)} == bool 0)",
        f"sum {by_site} ({once(promql.COMPLIANT)} == bool 0)",
    )
    return [shown, *(f"{each}\nand\n{shown}" for each in others)]


_PROBLEMS: Final = {
    "polls fail": f"{promql.UP} == bool 0",
    "clock off": f"{_SKEW} > bool {SKEW_WARNING_SECONDS:g}",
    "not synchronized": f"{promql.SYNCED} == bool 0",
    "NTP client off": f"{promql.CLIENT_ENABLED} == bool 0",
    "config differs": f"{promql.COMPLIANT} == bool 0",
}


def _problems() -> timeseries.Panel:
    panel = panels.lines("Devices with problems", "Number of devices with each problem over time.")
    counts = (
        panels.ranged(f"sum({problem}) * {promql.DEVICES_PER_SERIES}", name)
        for name, problem in _PROBLEMS.items()
    )
    return panels.asking(panel.min(0).max_data_points(_POINTS), *counts)


def _worst_clocks() -> timeseries.Panel:
    panel = panels.lines(
        "Worst clocks",
        f"The {promql.LINES} worst clocks: measured offset minus uncertainty, as AxisNTPClockSkew"
        " compares it with its thresholds (dashed lines).",
        "s",
    ).max_data_points(_POINTS)
    limited = panels.limited(panel, colours.BEYOND_SKEW).min(0)
    return panels.asking(limited, panels.ranged(promql.worst_skews(promql.LINES), "{{device}}"))


def _quantiles() -> timeseries.Panel:
    panel = panels.lines(
        "Measured offsets",
        "Device clocks minus exporter host clock. If all lines move at once, the exporter host's"
        " clock moved.",
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
        "Distribution of measured offsets",
        "Number of clocks by the size of their offset, ahead or behind, over time.",
    ).max_data_points(_POINTS)
    histogram = promql.buckets(promql.CLOCK_OFFSET, OFFSET_BOUNDS_SECONDS)
    return panels.asking(panel, panels.bucketed(histogram))


def _drifts() -> timeseries.Panel:
    panel = panels.lines(
        "Fastest drifts",
        f"The {promql.LINES} clocks that move fastest against the exporter host's: measured drift"
        " minus its uncertainty, ahead or behind.",
        "conppm",
    ).max_data_points(_POINTS)
    return panels.asking(panel.min(0), panels.ranged(promql.fastest(promql.LINES), "{{device}}"))


def _reported() -> timeseries.Panel:
    panel = panels.lines(
        "Worst reported offsets",
        f"The {promql.LINES} largest offsets that devices report to their time servers, ahead or"
        " behind, as AxisNTPOffsetHigh compares them with its thresholds (dashed lines).",
        "s",
    ).max_data_points(_POINTS)
    limited = panels.limited(panel, colours.BEYOND_OFFSET).min(0)
    worst = promql.largest(promql.LINES, promql.NTP_OFFSET)
    return panels.asking(limited, panels.ranged(worst, "{{device}}"))


def _failing() -> timeseries.Panel:
    panel = panels.stacked(
        "Failing devices", "Number of devices whose last poll failed, by reason."
    )
    expression = f"count by (reason) ({promql.LAST_ERROR}) * {promql.DEVICES_PER_SERIES}"
    return panels.asking(panel, panels.ranged(expression, "{{reason}}"))


def _failures() -> timeseries.Panel:
    panel = panels.stacked(
        "Failed polls",
        "Failed polls per second of all exporters, by reason. A device's first failure with a"
        " reason counts in the total only.",
        "cps",
    )
    errors, failures = devices("axis_ntp_api_errors_total"), promql.FAILURES
    return panels.asking(
        panels.with_total(panel),
        panels.ranged(f"sum by (reason) (rate({errors}[$__rate_interval]))", "{{reason}}"),
        panels.ranged(f"sum(rate({failures}[$__rate_interval]))", "total"),
    )


def _servers() -> bargauge.Panel:
    panel = panels.bars(
        "Active servers",
        "Number of devices that use each time server, and its source; the most used servers.",
    )
    active = once(devices("axis_ntp_server_info", 'active="true"'))
    expression = f"topk({2 * promql.LINES}, count by (server, source) ({active}))"
    return panels.asking(panel, panels.instant(expression, "{{server}} ({{source}})"))


_COLUMNS: Final = {
    "device": "device",
    "Value #A": "State",
    "reason": "Reason",
    "code": "Code",
    "address": "address",
    "Value #C": "Measured offset",
    "Value #D": "± Uncertainty",
    "Value #E": "Reported offset",
    "Value #H": "Drift",
    "Value #F": "Active servers",
    "Value #G": "Last success",
}


def _devices() -> table.Panel:
    panel = panels.listing(
        "Devices, worst first",
        f"Up to {promql.ROWS} devices; select by site or name to see others."
        " Click a name to open the device's dashboard, an address to open the device itself or the"
        " exporter's page of it.",
        _COLUMNS,
        ["Value #B", "Value #I", "scheme", "serial"],
    )
    panel = _formatted(panel.span(24).height(14))
    return panels.asking(panel, *map(panels.rows, _columns()))


def _columns() -> Sequence[str]:
    """Return the table's queries in order; each has the rows of the first, or fewer."""
    shown = f"topk({promql.ROWS}, {once(promql.state())})"
    reasons = f"{once(promql.LAST_ERROR)}\nand ignoring (reason, code)\n{shown}"
    values = (
        promql.CLOCK_OFFSET,
        promql.UNCERTAINTY,
        promql.NTP_OFFSET,
        promql.ACTIVE_SERVERS,
        f"{promql.LAST_SUCCESS} * 1000",
        f"{promql.DRIFT} * 1e6",
    )
    extra = f"address, scheme, serial, {promql.DEVICE_LABEL}, {promql.EXPORTER_LABEL}"
    addresses = f"{promql.addresses()}\nand ignoring ({extra})\n{shown}"
    return [shown, reasons, *(f"{once(value)}\nand\n{shown}" for value in values), addresses]


def _formatted(panel: table.Panel) -> table.Panel:
    """Return the table with the columns' units, colours and links."""
    worst_first = common.TableSortByFieldState().display_name("State").desc(desc=True)
    return (
        with_addresses(panel)
        .override_by_name("device", panels.links("Show the device", device_url("job")))
        .override_by_name("State", panels.coloured(STATES))
        .override_by_name("Measured offset", panels.judged(colours.SKEW))
        .override_by_name("± Uncertainty", panels.properties(unit="s"))
        .override_by_name("Reported offset", panels.judged(colours.OFFSET))
        .override_by_name("Drift", panels.properties(unit="conppm"))
        .override_by_name("Active servers", panels.properties(unit="short"))
        .override_by_name("Last success", panels.properties(unit="dateTimeFromNow"))
        .sort_by([worst_first])
    )
