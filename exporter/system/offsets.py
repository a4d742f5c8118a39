"""Offsets as a person reads them. Pure."""

from __future__ import annotations

from typing import Final

from exporter.clock.offset import Offset

_HOUR: Final = 3600
_DAY: Final = 86_400


def format_offset(seconds: float | None) -> str:
    """An offset with its sign in the unit a person would choose: `+21.1 µs`, `-3.250 s`."""
    if seconds is None:
        return ""
    if abs(seconds) < 0.001:  # noqa: PLR2004 - a millisecond
        return f"{seconds * 1e6:+.1f} µs"
    if abs(seconds) < 1:
        return f"{seconds * 1e3:+.3f} ms"
    if abs(seconds) < _HOUR:
        return f"{seconds:+.3f} s"
    return f"{seconds / _DAY:+,.1f} days" if abs(seconds) >= _DAY else f"{seconds / _HOUR:+.2f} h"


def format_clock(offset: Offset | None) -> str:
    """The clock seen from outside, with what it may be off by: `-1.800 s ± 0.3 ms`."""
    if offset is None:
        return ""
    return f"{format_offset(offset.seconds)} ± {format_offset(offset.uncertainty_seconds)[1:]}"
