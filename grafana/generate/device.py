"""One device, or a few, closely."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from grafana_foundation_sdk.builders import dashboard, stat, statetimeline, table, timeseries

from grafana.generate import colours, panels, promql
from grafana.generate.colours import GREEN, RED, STATES, YELLOW, YES_NO
from grafana.generate.frame import (
    DEVICE,
    Annotation,
    skeleton,
    with_annotation,
    with_devices,
    with_exporters,
    with_panels,
)
from grafana.generate.promql import LINES, ROWS, at_most, devices, latest
from grafana.generate.thresholds import FEW_SERVERS, OVERDUE_SECONDS

_NAMED: Final = "{{device}} ({{instance}})"
_SEVERAL: Final = f"At most {LINES} lines: choose devices on top."
_WORST: Final = "Of several devices, the worst."

_POINTS: Final = 200
"""Most points of the state over time, which asks for a lot at each."""

_ONE: Final = f"abs({latest(promql.CLOCK_OFFSET)}) or {latest(promql.UP)} * 0"
"""Ranks the device with the worst clock first; there is one even if no clock is known."""


def device() -> dashboard.Dashboard:
    """The dashboard `axis-ntp-device`."""
    text = "What a device says of its clock, and what its clock says."
    board = skeleton(DEVICE, "Axis NTP / Device", text)
    board = with_devices(with_exporters(board, "axis_ntp_up"), "axis_ntp_up")
    board = with_annotation(board, _steps())
    everything = [*_clock_now(), *_polls_now(), *_clocks(), *_client(), *_polls(), *_tables()]
    return with_panels(board, everything)


def _steps() -> Annotation:
    jumped = f"increase({promql.STEPS}[$__rate_interval]) > 0"
    rank = f"increase({promql.STEPS}[$__range] @ end())"
    return Annotation(
        "Clock steps",
        at_most(LINES, jumped, rank),
        title="Clock step",
        text="The clock of {{device}} jumped, as {{instance}} saw it.",
    )


def _clock_now() -> Sequence[stat.Panel]:
    uncertainty = at_most(1, promql.UNCERTAINTY, f"abs({promql.CLOCK_OFFSET})")
    return [
        panels.meaning(
            "State now", f"The worst that is wrong. {_WORST}", _max(promql.state()), STATES
        ),
        panels.number(
            "Clock offset",
            f"The clock less the exporter host's, seen from outside. {_WORST}",
            _furthest(promql.CLOCK_OFFSET),
            "s",
            colours.SKEW,
        ).no_value("not seen"),
        panels.number(
            "± Uncertainty", "The truth is no further from it.", uncertainty, "s"
        ).no_value("not seen"),
        panels.number(
            "NTP offset",
            f"What the device said of its last exchange with its server. {_WORST}",
            _furthest(promql.NTP_OFFSET),
            "s",
            colours.OFFSET,
        ).no_value("not told"),
    ]


def _polls_now() -> Sequence[stat.Panel]:
    return [
        panels.number(
            "Servers in force",
            f"How many time servers count. {_WORST}",
            f"min({promql.ACTIVE_SERVERS})",
            "short",
            [(None, RED), (FEW_SERVERS, YELLOW), (FEW_SERVERS + 1, GREEN)],
        ).no_value("not told"),
        panels.meaning(
            "Set up as expected",
            f"Whether it complies with its `expect` in the config. {_WORST}",
            f"min({promql.COMPLIANT})",
            YES_NO,
        ).no_value("no expect"),
        panels.number(
            "Last answer",
            f"How long ago the last good poll ended. {_WORST}",
            f"time() - min({promql.LAST_SUCCESS})",
            "s",
        ).no_value("never"),
        panels.number(
            "Overdue",
            f"How long the next poll has been due: red where AxisNTPPollsStalled fires. {_WORST}",
            f"clamp_min(max(time() - {promql.NEXT_POLL}), 0)",
            "s",
            [(None, GREEN), (OVERDUE_SECONDS, RED)],
        ),
    ]


def _max(expression: str) -> str:
    return f"max({expression})"


def _furthest(offset: str) -> str:
    """The value that is furthest from 0, with its sign."""
    return at_most(1, offset, f"abs({offset})")


def _clocks() -> Sequence[timeseries.Panel | statetimeline.Panel]:
    return [_band(), _states(), _offsets(), _ntp_offsets()]


def _band() -> timeseries.Panel:
    """One device only: a band is filled between two series that go by fixed names."""
    panel = panels.lines(
        "Clock offset with its uncertainty",
        "The clock less the exporter host's, seen from outside: it is within the band. And what"
        f" the device says itself of its last exchange with its server. {_WORST}",
        "s",
    )
    offset, uncertainty = _of_one(promql.CLOCK_OFFSET), _of_one(promql.UNCERTAINTY)
    filled = panels.properties(custom_fillBelowTo="at least", custom_fillOpacity=20)
    return panels.asking(
        panels.limited(panel, colours.SKEW)
        .override_by_name("at most", [*filled, *panels.properties(custom_lineWidth=0)])
        .override_by_name("at least", panels.properties(custom_lineWidth=0)),
        panels.ranged(offset, f"clock of {_NAMED}"),
        panels.ranged(f"{offset} + {uncertainty}", "at most"),
        panels.ranged(f"{offset} - {uncertainty}", "at least"),
        panels.ranged(_of_one(promql.NTP_OFFSET), "as the device says"),
    )


def _of_one(series: str) -> str:
    return f"({at_most(1, series, _ONE)})"


def _states() -> statetimeline.Panel:
    panel = panels.timeline(
        "State", f"The worst that was wrong at each time. {_SEVERAL} Failing ones first.", STATES
    )
    shown = promql.state(f"and topk({LINES}, 1 - {latest(promql.UP)})")
    return panels.asking(panel.max_data_points(_POINTS), panels.ranged(shown, _NAMED))


def _offsets() -> timeseries.Panel:
    panel = panels.lines("Clock offsets", f"Seen from outside. {_SEVERAL}", "s")
    shown = at_most(LINES, promql.CLOCK_OFFSET, f"abs({latest(promql.CLOCK_OFFSET)})")
    return panels.asking(panels.limited(panel, colours.SKEW), panels.ranged(shown, _NAMED))


def _ntp_offsets() -> timeseries.Panel:
    panel = panels.lines(
        "NTP offsets",
        "What devices say of their last exchange with their server; nothing unless synchronized."
        f" {_SEVERAL}",
        "s",
    )
    shown = at_most(LINES, promql.NTP_OFFSET, f"abs({latest(promql.NTP_OFFSET)})")
    return panels.asking(panels.limited(panel, colours.OFFSET), panels.ranged(shown, _NAMED))


def _client() -> Sequence[timeseries.Panel]:
    return [_countdown(), _bounds()]


def _countdown() -> timeseries.Panel:
    panel = panels.lines(
        "Time to next synchronization", f"As the device says, counting down. {_SEVERAL}", "s"
    )
    countdown = devices("axis_ntp_time_to_next_sync_seconds")
    return panels.asking(
        panel.min(0), panels.ranged(at_most(LINES, countdown, latest(countdown)), _NAMED)
    )


def _bounds() -> timeseries.Panel:
    panel = panels.lines(
        "Interval between synchronizations",
        f"The shortest and longest that the device is set to (minpoll, maxpoll). {_SEVERAL}",
        "s",
    )
    shortest = devices("axis_ntp_poll_interval_min_seconds")
    longest = devices("axis_ntp_poll_interval_max_seconds")
    half = LINES // 2
    return panels.asking(
        panel.min(0),
        panels.ranged(at_most(half, longest, latest(longest)), f"longest, {_NAMED}"),
        panels.ranged(at_most(half, shortest, latest(longest)), f"shortest, {_NAMED}"),
    )


def _polls() -> Sequence[timeseries.Panel]:
    return [_errors(), _durations()]


def _errors() -> timeseries.Panel:
    panel = panels.stacked(
        "Failed polls",
        "How many polls failed, by reason; all chosen devices. The first failure of a device with a"
        " reason is in the total only.",
    )
    errors, failures = devices("axis_ntp_api_errors_total"), promql.FAILURES
    return panels.asking(
        panels.with_total(panel),
        panels.ranged(f"sum by (reason) (increase({errors}[$__rate_interval]))", "{{reason}}"),
        panels.ranged(f"sum(increase({failures}[$__rate_interval]))", "total"),
    )


def _durations() -> timeseries.Panel:
    panel = panels.lines("Poll duration", f"How long the last poll took. {_SEVERAL}", "s")
    duration = devices("axis_ntp_poll_duration_seconds")
    shown = at_most(LINES, duration, latest(duration))
    return panels.asking(panel.min(0), panels.ranged(shown, _NAMED))


def _tables() -> Sequence[table.Panel]:
    return [_servers(), _clients(), _mismatches(), _failing()]


def _table(title: str, description: str, *columns: str) -> table.Panel:
    """A table of labels: every value is 1."""
    shown = {name: name for name in ("device", *columns)}
    return panels.listing(title, description, shown, ["Value", "job"])


def _servers() -> table.Panel:
    panel = _table(
        "Servers",
        "The time servers that devices list, where they have them from, and which are in force.",
        "server",
        "source",
        "active",
    )
    return panels.asking(panel, panels.rows(f"topk({ROWS}, {promql.SERVER_INFO})"))


def _clients() -> table.Panel:
    panel = _table(
        "Clients",
        "Where devices take their servers from, and the API version that they answer in.",
        "servers_source",
        "api_version",
    )
    info = devices("axis_ntp_client_info")
    return panels.asking(panel, panels.rows(f"topk({ROWS}, {info})"))


def _mismatches() -> table.Panel:
    panel = _table(
        "Deviations from the expected config",
        "The parameters in which devices differ from their `expect` in the config.",
        "parameter",
    )
    mismatch = devices("axis_ntp_config_mismatch")
    return panels.asking(panel, panels.rows(f"topk({ROWS}, {mismatch})"))


def _failing() -> table.Panel:
    panel = panels.listing(
        "Failing",
        "Devices whose last poll failed, why, and how many have failed since the last good one.",
        {"device": "device", "reason": "reason", "code": "code", "Value #B": "failures"},
        ["Value #A", "job"],
    )
    panel = panel.override_by_name("failures", panels.properties(unit="short"))
    shown = f"topk({ROWS}, {promql.LAST_ERROR})"
    failures = devices("axis_ntp_consecutive_failures")
    failing = f"{failures}\nand ignoring (reason, code)\n{shown}"
    return panels.asking(panel, panels.rows(shown), panels.rows(failing))
