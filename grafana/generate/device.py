"""The dashboard for one device or a few."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from grafana_foundation_sdk.builders import dashboard, stat, statetimeline, table, timeseries

from grafana.generate import colours, panels, promql
from grafana.generate.colours import GREEN, ORANGE, RED, STATES, YELLOW, YES_NO
from grafana.generate.frame import (
    DEVICE,
    Annotation,
    Section,
    skeleton,
    with_addresses,
    with_annotation,
    with_devices,
    with_exporters,
    with_sections,
)
from grafana.generate.promql import LINES, ROWS, at_most, devices, latest
from grafana.generate.thresholds import (
    CERTIFICATE_DAYS,
    FEW_SERVERS,
    OVERDUE_SECONDS,
    STEP_WINDOW,
)

_NAMED: Final = "{{device}} ({{instance}})"
_SEVERAL: Final = f"At most {LINES} lines: choose devices at the top."
_WORST: Final = "With several devices: the worst."

_POINTS: Final = 150
"""Maximum points of the state over time: each point is an expensive query."""

_ONE: Final = f"abs({latest(promql.CLOCK_OFFSET)}) or {latest(promql.UP)} * 0"
"""Ranks the device with the worst clock first; never empty, even if no clock is known."""


def device() -> dashboard.Dashboard:
    """Return the dashboard `axis-ntp-device`."""
    text = "Reported and measured clock offset, NTP settings and polls of single devices."
    board = skeleton(DEVICE, "Axis NTP / Device", text)
    board = with_devices(with_exporters(board, "axis_ntp_up"), "axis_ntp_up")
    board = with_annotation(board, _steps())
    clocks = [_states(), _drift(), _offsets(), _ntp_offsets()]
    settings = [_servers(), _clients(), _mismatches(), _unchanged(), *_client()]
    numbers = [panel.span(4) for panel in (*_clock_now(), *_polls_now())]
    sections = [
        Section("Now", [*numbers, _band().span(24), _addresses()]),
        Section("Clocks", clocks),
        Section("NTP client", settings),
        Section("Polls", [_errors(), _durations(), _failing().span(24).height(6)]),
    ]
    return with_sections(board, sections)


def _steps() -> Annotation:
    stepped = f"increase({promql.STEPS}[$__rate_interval]) > 0"
    rank = f"increase({promql.STEPS}[$__range] @ end())"
    return Annotation(
        "Clock steps",
        at_most(LINES, stepped, rank),
        title="Clock step",
        text="The clock of {{device}} stepped, as measured by {{instance}}.",
    )


def _clock_now() -> Sequence[stat.Panel]:
    uncertainty = at_most(1, promql.UNCERTAINTY, f"abs({promql.CLOCK_OFFSET})")
    return [
        panels.meaning(
            "State now",
            "Most severe problem across the selected devices.",
            _max(promql.state()),
            STATES,
        ),
        panels.number(
            "Measured offset",
            f"Device clock minus exporter host clock. {_WORST}",
            _furthest(promql.CLOCK_OFFSET),
            "s",
            colours.SKEW,
        ).no_value("not measured"),
        panels.number(
            "± Uncertainty",
            "The true offset lies within this distance of the measured one.",
            uncertainty,
            "s",
        ).no_value("not measured"),
        panels.number(
            "Reported offset",
            f"Offset to its time server that the device reported last. {_WORST}",
            _furthest(promql.NTP_OFFSET),
            "s",
            colours.OFFSET,
        ).no_value("not reported"),
        panels.number(
            "Measured drift",
            f"How fast the device clock moves against the exporter host clock. {_WORST}",
            f"({_furthest(promql.DRIFT)}) * 1e6",
            "conppm",
        ).no_value("not known yet"),
        panels.number(
            "Steps",
            f"Number of steps of the clock in the last {STEP_WINDOW}. {_WORST}",
            f"max(increase({promql.STEPS}[{STEP_WINDOW}]))",
            "short",
            [(None, GREEN), (1, YELLOW)],
        ),
    ]


def _polls_now() -> Sequence[stat.Panel]:
    return [
        panels.number(
            "Active servers",
            f"Number of time servers the device uses. {_WORST}",
            f"min({promql.ACTIVE_SERVERS})",
            "short",
            [(None, RED), (FEW_SERVERS, YELLOW), (FEW_SERVERS + 1, GREEN)],
        ).no_value("not reported"),
        panels.meaning(
            "Config compliant",
            f"Whether the NTP settings match `expect` in the exporter's config. {_WORST}",
            f"min({promql.COMPLIANT})",
            YES_NO,
        ).no_value("no expect"),
        panels.number(
            "Last success",
            f"Time since the last successful poll. {_WORST}",
            f"time() - min({promql.LAST_SUCCESS})",
            "s",
        ).no_value("never"),
        panels.number(
            "Overdue",
            f"How long the next poll is overdue. Red when AxisNTPPollsStalled fires. {_WORST}",
            f"clamp_min(max(time() - {promql.NEXT_POLL}), 0)",
            "s",
            [(None, GREEN), (OVERDUE_SECONDS, RED)],
        ),
        panels.number(
            "Certificate ends in",
            "Time until the device's certificate ends. Orange when AxisNTPCertificateExpiring"
            f" fires. {_WORST}",
            f"min({promql.NOT_AFTER}) - time()",
            "s",
            [(None, RED), (0, ORANGE), (CERTIFICATE_DAYS * 86_400, GREEN)],
        ).no_value("none seen"),
        panels.firing("Alerts"),
    ]


def _max(expression: str) -> str:
    return f"max({expression})"


def _furthest(offset: str) -> str:
    """Return the value that is furthest from 0, with its sign."""
    return at_most(1, offset, f"abs({offset})")


def _band() -> timeseries.Panel:
    """Show one device only: Grafana fills a band between two series with fixed names."""
    panel = panels.lines(
        "Measured offset with its uncertainty",
        "Device clock minus exporter host clock; the true offset lies within the band. For"
        f" comparison, the offset that the device reported. {_WORST}",
        "s",
    )
    offset, uncertainty = _of_one(promql.CLOCK_OFFSET), _of_one(promql.UNCERTAINTY)
    return panels.asking(
        panels.banded(panels.limited(panel, colours.SKEW)),
        panels.ranged(offset, f"measured offset of {_NAMED}"),
        panels.ranged(f"{offset} + {uncertainty}", "at most"),
        panels.ranged(f"{offset} - {uncertainty}", "at least"),
        panels.ranged(_of_one(promql.NTP_OFFSET), "reported offset"),
    )


def _drift() -> timeseries.Panel:
    """Show the device that `_band` shows."""
    panel = panels.lines(
        "Measured drift with its uncertainty",
        "How fast the device clock moves against the exporter host clock, over the last hour at"
        " most; the true drift lies within the band. Empty until it is known better than ±100 ppm."
        f" {_WORST}",
        "conppm",
    )
    drift, uncertainty = _of_one(promql.DRIFT), _of_one(promql.DRIFT_UNCERTAINTY)
    return panels.asking(
        panels.banded(panel),
        panels.ranged(f"{drift} * 1e6", f"drift of {_NAMED}"),
        panels.ranged(f"({drift} + {uncertainty}) * 1e6", "at most"),
        panels.ranged(f"({drift} - {uncertainty}) * 1e6", "at least"),
    )


def _unchanged() -> timeseries.Panel:
    panel = panels.lines(
        "Reported offset unchanged",
        "Time from the last change of the reported offset to the last successful poll. It grows"
        " while the device does not reach its time server; AxisNTPSyncStalled fires beyond four of"
        f" its longest intervals. {_SEVERAL}",
        "s",
    )
    rank = f"{latest(promql.LAST_SUCCESS)} - {latest(promql.LAST_CHANGE)}"
    unchanged = f"({promql.LAST_SUCCESS} - {promql.LAST_CHANGE})"
    shown = panels.ranged(at_most(LINES, unchanged, rank), _NAMED)
    return panels.asking(panel.min(0), shown)


def _of_one(series: str) -> str:
    return f"({at_most(1, series, _ONE)})"


def _states() -> statetimeline.Panel:
    panel = panels.timeline(
        "State", f"Most severe problem over time. {_SEVERAL} Failing devices first.", STATES
    )
    shown = promql.state(f"and topk({LINES}, 1 - {latest(promql.UP)})")
    return panels.asking(panel.max_data_points(_POINTS), panels.ranged(shown, _NAMED))


def _offsets() -> timeseries.Panel:
    panel = panels.lines(
        "Measured offsets", f"Device clock minus exporter host clock. {_SEVERAL}", "s"
    )
    shown = at_most(LINES, promql.CLOCK_OFFSET, f"abs({latest(promql.CLOCK_OFFSET)})")
    return panels.asking(panels.limited(panel, colours.SKEW), panels.ranged(shown, _NAMED))


def _ntp_offsets() -> timeseries.Panel:
    panel = panels.lines(
        "Reported offsets",
        "Offset to its time server that each device reports; empty while it is not synchronized."
        f" {_SEVERAL}",
        "s",
    )
    shown = at_most(LINES, promql.NTP_OFFSET, f"abs({latest(promql.NTP_OFFSET)})")
    return panels.asking(panels.limited(panel, colours.OFFSET), panels.ranged(shown, _NAMED))


def _client() -> Sequence[timeseries.Panel]:
    return [_countdown(), _bounds()]


def _countdown() -> timeseries.Panel:
    panel = panels.lines(
        "Time to next synchronization", f"Countdown, as reported by the device. {_SEVERAL}", "s"
    )
    countdown = devices("axis_ntp_time_to_next_sync_seconds")
    return panels.asking(
        panel.min(0), panels.ranged(at_most(LINES, countdown, latest(countdown)), _NAMED)
    )


def _bounds() -> timeseries.Panel:
    panel = panels.lines(
        "Interval between synchronizations",
        f"Shortest and longest interval set on the device (minpoll, maxpoll). {_SEVERAL}",
        "s",
    )
    shortest = devices("axis_ntp_poll_interval_min_seconds")
    longest = promql.LONGEST_INTERVAL
    half = LINES // 2
    return panels.asking(
        panel.min(0),
        panels.ranged(at_most(half, longest, latest(longest)), f"longest, {_NAMED}"),
        panels.ranged(at_most(half, shortest, latest(longest)), f"shortest, {_NAMED}"),
    )


def _errors() -> timeseries.Panel:
    panel = panels.stacked(
        "Failed polls",
        "Failed polls of all selected devices, by reason. A device's first failure with a reason"
        " counts in the total only.",
    )
    errors, failures = devices("axis_ntp_api_errors_total"), promql.FAILURES
    return panels.asking(
        panels.with_total(panel),
        panels.ranged(f"sum by (reason) (increase({errors}[$__rate_interval]))", "{{reason}}"),
        panels.ranged(f"sum(increase({failures}[$__rate_interval]))", "total"),
    )


def _durations() -> timeseries.Panel:
    panel = panels.lines("Poll duration", f"Duration of the last poll. {_SEVERAL}", "s")
    duration = devices("axis_ntp_poll_duration_seconds")
    shown = at_most(LINES, duration, latest(duration))
    return panels.asking(panel.min(0), panels.ranged(shown, _NAMED))


def _addresses() -> table.Panel:
    columns = {
        "device": "device",
        "address": "address",
        "serial": "serial",
        "Value #B": "certificate",
    }
    panel = panels.listing(
        "Addresses",
        "Click an address to open the device itself or the exporter's page of it. Certificate: when"
        " it ends.",
        columns,
        ["Value #A", "job", "scheme"],
    )
    certificate = panels.properties(unit="dateTimeFromNow")
    panel = with_addresses(panel).override_by_name("certificate", certificate).span(24).height(6)
    shown = f"topk({ROWS}, {promql.addresses()})"
    ends = f"topk({ROWS}, {promql.once(promql.NOT_AFTER)} * 1000)"
    return panels.asking(panel, panels.rows(shown), panels.rows(ends))


def _table(title: str, description: str, *columns: str) -> table.Panel:
    """Return a table of labels, whose values are all 1."""
    shown = {name: name for name in ("device", *columns)}
    return panels.listing(title, description, shown, ["Value", "job"])


def _servers() -> table.Panel:
    panel = _table(
        "Servers",
        "Time servers that devices list, their source, and which of them are active.",
        "server",
        "source",
        "active",
    )
    return panels.asking(panel, panels.rows(f"topk({ROWS}, {promql.SERVER_INFO})"))


def _clients() -> table.Panel:
    panel = _table(
        "Clients",
        "Source of each device's time servers, and the API version of its responses.",
        "servers_source",
        "api_version",
    )
    info = devices("axis_ntp_client_info")
    return panels.asking(panel, panels.rows(f"topk({ROWS}, {info})"))


def _mismatches() -> table.Panel:
    panel = _table(
        "Settings that differ from expect",
        "Parameters that do not match `expect` in the exporter's config.",
        "parameter",
    )
    mismatch = devices("axis_ntp_config_mismatch")
    return panels.asking(panel, panels.rows(f"topk({ROWS}, {mismatch})"))


def _failing() -> table.Panel:
    panel = panels.listing(
        "Failing",
        "Devices whose last poll failed, the reason, and the number of failures in a row.",
        {"device": "device", "reason": "reason", "code": "code", "Value #B": "failures"},
        ["Value #A", "job"],
    )
    panel = panel.override_by_name("failures", panels.properties(unit="short"))
    shown = f"topk({ROWS}, {promql.LAST_ERROR})"
    failures = devices("axis_ntp_consecutive_failures")
    failing = f"{failures}\nand ignoring (reason, code)\n{shown}"
    return panels.asking(panel, panels.rows(shown), panels.rows(failing))
