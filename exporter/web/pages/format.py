"""Numbers, times and states as a person reads them. Values in, texts out."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final, Literal

from exporter.devices.health import Issue
from exporter.devices.state import DeviceState
from exporter.system.text import format_duration

Level = Literal["bad", "warning", "waiting", "good"]

LEVELS: Final[tuple[Level, ...]] = ("bad", "warning", "waiting", "good")
"""How a device stands, the gravest first; `waiting` for its first poll."""

_MINUTE: Final = 60
_HOUR: Final = 3600
_DAY: Final = 86_400


def level_of(state: DeviceState, found: Sequence[Issue]) -> Level:
    """How a device stands; `found` is everything that is wrong with it, the gravest first."""
    if state.last_poll_unix is None:
        return "waiting"
    return found[0].level if found else "good"


def in_words(state: DeviceState, found: Sequence[Issue]) -> str:
    """How a device stands: `synchronized, but its clock is off`."""
    if state.last_poll_unix is None:
        return "not polled yet"
    wrong = ", ".join(trouble.what for trouble in found)
    if not (state.last.client.settings.enabled and state.last.client.status.synced):
        return wrong
    return f"synchronized, but {wrong}" if wrong else "synchronized"


def format_took(seconds: float | None) -> str:
    """How long something took, three digits: `12.3 ms`, `10.0 s`."""
    if seconds is None:
        return ""
    unit, size = ("s", 1.0) if seconds >= 0.9995 else ("ms", 1e-3)  # noqa: PLR2004 - 999.5 ms
    count = seconds / size
    digits = next((digits for digits, below in ((2, 9.995), (1, 99.95)) if count < below), 0)
    return f"{count:.{digits}f} {unit}"


def format_ago(seconds: float) -> str:
    """How long ago, no more exactly than anybody asks: `12s ago`, `3h5m ago`, `2d4h ago`."""
    return f"{_coarse(max(0.0, seconds))} ago"


def format_ahead(seconds: float) -> str:
    """How far ahead: `in 12s`, or `now`."""
    return f"in {_coarse(seconds)}" if seconds >= 1 else "now"


def _coarse(seconds: float) -> str:
    for step, beyond in ((1, _HOUR), (_MINUTE, _DAY), (_HOUR, 7 * _DAY)):
        if seconds < beyond:
            return format_duration(round(seconds) // step * step)
    return f"{round(seconds) // _DAY:,}d"


def format_time(unix_seconds: float) -> str:
    """A moment in UTC: `2026-03-01 12:00:05`."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(unix_seconds))


def format_count(count: int, thing: str) -> str:
    """So many of a thing: `1 device`, `10,000 devices`."""
    return f"{count:,} {thing}{'' if count == 1 else 's'}"
