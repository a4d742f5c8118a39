"""Durations as Prometheus writes them: `30s`, `1m30s`, `1h`, `500ms`."""

from __future__ import annotations

import re
from typing import Final

_UNIT_SECONDS: Final = {
    "y": 365 * 86_400,
    "w": 7 * 86_400,
    "d": 86_400,
    "h": 3_600,
    "m": 60,
    "s": 1,
    "ms": 0.001,
}
_DURATION: Final = re.compile(
    "".join(rf"(?:(\d{{1,12}}){unit})?" for unit in _UNIT_SECONDS), re.ASCII
)


def parse_duration(text: str) -> float:
    """The seconds in a duration; units from the greatest to the smallest, each once.

    Raises `ValueError` with a sentence for a person.
    """
    if text == "0":
        return 0.0
    match = _DURATION.fullmatch(text)
    if not text or match is None:
        raise ValueError(f"{text!r} is not a duration such as 30s, 1m30s or 500ms")
    parts = zip(match.groups(), _UNIT_SECONDS.values(), strict=True)
    return float(sum(int(count) * seconds for count, seconds in parts if count))


def format_duration(seconds: float) -> str:
    """The shortest form of a duration, to the millisecond: 90.0 is `1m30s`."""
    left = round(seconds * 1000)
    parts = []
    for unit, unit_seconds in _UNIT_SECONDS.items():
        count, left = divmod(left, round(unit_seconds * 1000))
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"
