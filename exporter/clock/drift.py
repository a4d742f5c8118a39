"""How fast a device's clock drifts against the host's, from all intervals of an hour. No I/O.

A clock of constant rate is a straight line `theta(t) = a + b t`, and each sample is a vertical bar
that the line crosses. Two samples limit `b`: the line cannot rise by more than from the lower end
of the earlier bar to the upper end of the later one, nor by less than the other way round. The
slopes that all pairs allow are exactly those of the lines that cross all bars. docs/clock.md has
the picture.
"""

import math
from array import array
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from exporter.clock.offset import SECOND_NS, ClockSample, Offset

WINDOW_NS: Final = 3600 * SECOND_NS
"""Older samples are forgotten: a clock's rate changes with its temperature."""

SLOT_NS: Final = WINDOW_NS // 4
"""Of the samples of a slot, only the highest lower end and the lowest upper end are kept."""

LARGEST_UNCERTAINTY: Final = 100e-6
"""A drift that is known no better than this is not exported."""

NOTABLE_DRIFT: Final = 5e-6
"""A healthy clock drifts by as much: it is not forecast."""

_RESOLUTION: Final = 1e-9
"""Added to the uncertainty: the exported decimals, and more than all rounding here."""

SPACING_NS: Final = 90 * SECOND_NS
"""Of precise samples that follow each other faster, only the first counts.

More take time and add little: with polls once a minute, the drift of an hour is known to 1.0 ppm
instead of 0.5.
"""

_FIELDS: Final = 4
_LARGEST_NS: Final = 2**62


class Drift(NamedTuple):
    """The rate of a device's clock against the host's, minus one: seconds per second."""

    ratio: float
    uncertainty_ratio: float


def seconds_until(limit_seconds: float, offset: Offset, drift: Drift) -> float | None:
    """Return when a clock that goes on at its drift passes a limit on its offset, in seconds.

    `None` if it is beyond the limit, and while the drift's direction is uncertain or the drift is
    no more than `NOTABLE_DRIFT`.
    """
    speed = abs(drift.ratio)
    if speed <= max(drift.uncertainty_ratio, NOTABLE_DRIFT):
        return None
    if abs(offset.seconds) - offset.uncertainty_seconds >= limit_seconds:
        return None
    forward = math.copysign(offset.seconds, offset.seconds * drift.ratio)
    return max(0.0, limit_seconds - forward) / speed


@dataclass(slots=True, eq=False)
class DriftWindow:
    """The least and the greatest slope that the samples of the last hour allow.

    `_slots` has four numbers a slot, the oldest first, in nanoseconds: when the lower end was seen,
    the lower end, when the upper end was seen, the upper end.
    """

    _slots: "array[int]" = field(default_factory=lambda: array("q"))
    _least: float = -1.0
    _greatest: float = 1.0
    _last_at: int = -WINDOW_NS

    @property
    def drift(self) -> Drift | None:
        """The drift; `None` while it is not known to `LARGEST_UNCERTAINTY`."""
        uncertainty = (self._greatest - self._least) / 2 + _RESOLUTION
        if uncertainty >= LARGEST_UNCERTAINTY:
            return None
        return Drift((self._least + self._greatest) / 2, uncertainty)

    def add(self, sample: ClockSample) -> None:
        """Add a sample, and forget the oldest ones that contradict it.

        A sample that is not later than those before is ignored, and so is a clock that is centuries
        off.
        """
        low, high, at, _, is_point = sample
        slots = self._slots
        if at - self._last_at < (SPACING_NS if is_point else 1) or abs(low) > _LARGEST_NS:
            return
        self._last_at = at
        self._forget_before(at - WINDOW_NS)
        self._narrow(slots, at, low, at, high)
        while self._least > self._greatest:
            self._forget_oldest()
            self._narrow(slots, at, low, at, high)
        self._keep(at, low, high)

    def _narrow(
        self, earlier: "array[int]", low_at: int, low: int, high_at: int, high: int
    ) -> None:
        """Keep only slopes that each pair of an earlier slot and a later one allows."""
        least, greatest = self._least, self._greatest
        numbers = iter(earlier)
        for low_at_before, low_before, high_at_before, high_before in zip(
            numbers, numbers, numbers, numbers, strict=True
        ):
            if (slope := (high - low_before) / (high_at - low_at_before)) < greatest:
                greatest = slope
            if (slope := (low - high_before) / (low_at - high_at_before)) > least:
                least = slope
        self._least, self._greatest = least, greatest

    def _forget_before(self, oldest_at: int) -> None:
        slots = self._slots
        while slots and (slots[0] < oldest_at or slots[2] < oldest_at):
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        slots = self._slots
        del slots[:_FIELDS]
        self._least, self._greatest = -1.0, 1.0
        for start in range(_FIELDS, len(slots), _FIELDS):
            self._narrow(slots[:start], *slots[start : start + _FIELDS])

    def _keep(self, at: int, low: int, high: int) -> None:
        """Add the sample as a slot, or to the last slot where it is tighter than what that has."""
        slots = self._slots
        if not slots or at // SLOT_NS > slots[-4] // SLOT_NS:
            slots.extend((at, low, at, high))
            return
        slope = (self._least + self._greatest) / 2
        if low - slots[-3] > slope * (at - slots[-4]):
            slots[-4], slots[-3] = at, low
        if high - slots[-1] < slope * (at - slots[-2]):
            slots[-2], slots[-1] = at, high
