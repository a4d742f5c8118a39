"""Axes of a chart: where a value lies, and round numbers and clock times to label. Pure.

Places are percentages of the chart's width or height: it is as wide as the page.
"""

import math
import time
from typing import Final, NamedTuple

_DAY: Final = 86_400
_MOST_TICKS: Final = 7
_TIME_STEPS: Final = (
    1,
    2,
    5,
    10,
    15,
    30,
    60,
    120,
    300,
    600,
    900,
    1800,
    3600,
    7200,
    10_800,
    21_600,
    43_200,
)
_UNITS: Final = (
    (0.002, 1e-6, "µs"),
    (1.0, 1e-3, "ms"),
    (300.0, 1.0, "s"),
    (4 * 3600.0, 60.0, "min"),
    (4.0 * _DAY, 3600.0, "h"),
)
"""Up to which distance from zero an axis has which unit."""


_AT_AN_END: Final = 3.0
_NEAR_AN_END: Final = 10.0
"""A label that is nearer to an end of the axis, in percent, would reach beyond it: on any screen,
and on a phone."""


class Tick(NamedTuple):
    """A label of an axis, and where it stands, in percent."""

    place: float
    label: str

    @property
    def side(self) -> str:
        """At or near which end of the axis the label stands; `""` if it has room on both sides."""
        end, distance = ("start", self.place) if self.place < 50 else ("end", 100 - self.place)  # noqa: PLR2004
        if distance < _AT_AN_END:
            return end
        return f"near-{end}" if distance < _NEAR_AN_END else ""


class Scale(NamedTuple):
    """Values from `start`, which is at 0 %, to `end`, at 100 %; `start` may be the larger one."""

    start: float
    end: float

    def place(self, value: float) -> float:
        """Return where a value lies, in percent; outside of 0 to 100 if it is outside."""
        return round((value - self.start) / (self.end - self.start) * 100, 2)

    def span(self, size: float) -> float:
        """Return how much of the axis a difference of values takes, in percent."""
        return round(abs(size / (self.end - self.start)) * 100, 2)


def offset_ticks(scale: Scale) -> tuple[Tick, ...]:
    """Return ticks at round offsets, all in one unit: `+200 ms`, `0`, `-200 ms`."""
    low, high = sorted(scale)
    unit_seconds, _ = _unit(scale)
    step = _round_step((high - low) / unit_seconds / _MOST_TICKS) * unit_seconds
    counts = range(math.ceil(low / step), math.floor(high / step) + 1)
    return tuple(
        Tick(scale.place(count * step), offset_label(count * step, scale)) for count in counts
    )


def offset_label(seconds: float, scale: Scale) -> str:
    """Return an offset in the unit of its axis: `+200 ms`, or `0`."""
    unit_seconds, unit = _unit(scale)
    return f"{seconds / unit_seconds:+,.12g} {unit}" if seconds else "0"


def _unit(scale: Scale) -> tuple[float, str]:
    farthest = max(map(abs, scale))
    for up_to, seconds, name in _UNITS:
        if farthest <= up_to:
            return seconds, name
    return float(_DAY), "days"


def _round_step(least: float) -> float:
    """Return the first of 1, 2, 5, 10, 20, … and 0.5, 0.2, … that is not smaller."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * (1 - 1e-9))


def time_ticks(scale: Scale) -> tuple[Tick, ...]:
    """Return ticks at round clock times in UTC: `12:30`, `12:30:15`, or `28 Nov` at midnight."""
    least = (scale.end - scale.start) / _MOST_TICKS
    step = next((each for each in _TIME_STEPS if each >= least), _DAY * math.ceil(least / _DAY))
    times = range(math.ceil(scale.start / step) * step, math.floor(scale.end) + 1, step)
    return tuple(Tick(scale.place(each), _clock_time(each, step)) for each in times)


def _clock_time(unix_seconds: int, step_seconds: int) -> str:
    moment = time.gmtime(unix_seconds)
    if unix_seconds % _DAY == 0:
        return f"{moment.tm_mday} {time.strftime('%b', moment)}"
    return time.strftime("%H:%M" if step_seconds % 60 == 0 else "%H:%M:%S", moment)
