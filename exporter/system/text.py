"""Short texts: durations, offsets, counts, and foreign strings made safe to print. Pure."""

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from exporter.clock.drift import Drift
    from exporter.clock.offset import Offset

_MINUTE: Final = 60
_HOUR: Final = 3_600
_DAY: Final = 86_400
_DAY_HOURS: Final = 24
_UNIT_SECONDS: Final = {
    "y": 365 * _DAY,
    "w": 7 * _DAY,
    "d": _DAY,
    "h": _HOUR,
    "m": _MINUTE,
    "s": 1,
    "ms": 0.001,
}
_DURATION: Final = re.compile(
    "".join(rf"(?:(\d{{1,12}}){unit})?" for unit in _UNIT_SECONDS), re.ASCII
)
_MOST_DIGITS: Final = 20
"""Enough for 64 bits; `int` refuses very long texts with an error of its own."""


def escaped(text: str) -> str:
    """Return `text` with control characters, line breaks and bidirectional marks escaped."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


_LONGEST_PROBLEM: Final = 300


def shortened(problem: str) -> str:
    """Return a problem that quotes foreign text, printable and with 300 characters at most.

    Both ends stay: the beginning says where, and the end what is wrong.
    """
    if len(problem) > 2 * _LONGEST_PROBLEM:
        problem = problem[:_LONGEST_PROBLEM] + problem[-_LONGEST_PROBLEM:]
    text = escaped(problem)
    if len(text) <= _LONGEST_PROBLEM:
        return text
    half = _LONGEST_PROBLEM // 2
    return f"{text[:half]}…{text[1 - half :]}"


def display_name(name: str, address: str) -> str:
    """Return `lobby (192.0.2.1)`, or only the address if that is also the device's name."""
    return escaped(name) if name == address else f"{escaped(name)} ({escaped(address)})"


def plural(count: int, noun: str) -> str:
    """Return `noun`, with an s unless `count` is 1."""
    return noun if count == 1 else f"{noun}s"


def parse_digits(text: str, largest: int) -> int | None:
    """Parse a number of ASCII digits only; `None` for any other text and above `largest`."""
    if not (text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS):
        return None
    number = int(text)
    return number if number <= largest else None


def parse_duration(text: str) -> float:
    """Parse a Prometheus duration such as `1m30s`; returns seconds.

    Units go from the largest to the smallest, each at most once. Raises `ValueError` with a
    message for the user.
    """
    if text == "0":
        return 0.0
    match = _DURATION.fullmatch(text)
    if not text or match is None:
        raise ValueError(f"{text!r} is not a duration such as 30s, 1m30s or 500ms")
    parts = zip(match.groups(), _UNIT_SECONDS.values(), strict=True)
    # Whole milliseconds have no rounding error: 5100 * 0.001 is not 5.1.
    return sum(int(count) * round(seconds * 1000) for count, seconds in parts if count) / 1000


def format_duration(seconds: float) -> str:
    """Format a duration as Prometheus does, rounded to milliseconds: 90.0 is `1m30s`."""
    left = round(seconds * 1000)
    parts = []
    for unit, unit_seconds in _UNIT_SECONDS.items():
        count, left = divmod(left, round(unit_seconds * 1000))
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def format_offset(seconds: float | None) -> str:
    """Format an offset in ms, or in s from 1 s on: `+0.021 ms`, `-3.250 s`; empty for `None`.

    The unit is that of the rounded number, and a column of offsets has no other small unit.
    """
    if seconds is None:
        return ""
    if abs(milliseconds := round(seconds * 1e3, 3)) < 1000:  # noqa: PLR2004 - a second
        return f"{milliseconds:+z.3f} ms"
    if round(abs(seconds), 3) < _HOUR:
        return f"{seconds:+.3f} s"
    if round(abs(hours := seconds / _HOUR), 2) < _DAY_HOURS:
        return f"{hours:+.2f} h"
    return f"{seconds / _DAY:+,.1f} days"


def format_magnitude(seconds: float) -> str:
    """Format the size of an offset, roughly and without its sign: `3.0 s`, `1.5 h`, `12.0 days`."""
    size = round(abs(seconds), 1)
    if size < _HOUR:
        return f"{size:.1f} s"
    hours = round(size / _HOUR, 1)
    return f"{hours:.1f} h" if hours < _DAY_HOURS else f"{size / _DAY:,.1f} days"


def format_roughly(seconds: float) -> str:
    """Format a duration in one or two units, rounded down: `64 s`, `18 min`, `2 h 20 min`."""
    whole = int(seconds)
    if whole < 2 * _MINUTE:
        return f"{whole} s"
    if whole < 2 * _HOUR:
        return f"{whole // _MINUTE} min"
    if whole < 2 * _DAY:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"
    return f"{whole // _DAY:,} days"


def format_drift(drift: "Drift | None") -> str:
    """Format a measured drift with its uncertainty: `+18.0 ppm ± 0.4 ppm`, empty for `None`."""
    if drift is None:
        return ""
    return f"{drift.ratio * 1e6:+.1f} ppm ± {drift.uncertainty_ratio * 1e6:.1f} ppm"


def format_clock(offset: "Offset | None") -> str:
    """Format a measured offset with its uncertainty: `-1.800 s ± 0.300 ms`, empty for `None`."""
    if offset is None:
        return ""
    return f"{format_offset(offset.seconds)} ± {format_offset(offset.uncertainty_seconds)[1:]}"
