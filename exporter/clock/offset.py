"""Where a device's clock stands, seen from outside: interval arithmetic, no I/O.

Everything is measured against the host's steady clock: `theta = device - steady`, an interval of
nanoseconds that holds the truth as long as the device's rate is within the drift allowance. The
host's wall clock comes in only when the offset is told, so that setting it moves no interval.
docs/clock.md has the mathematics.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from exporter.clock.host import HostTime

SECOND_NS: Final = 1_000_000_000
DRIFT_ALLOWANCE_PPM: Final = 100
"""How fast a device's clock and ours may drift apart without its being called a step."""

MAX_AGE_NS: Final = 4 * 3600 * SECOND_NS
"""After so long without an answer nothing is known any more."""

_TIME_RESOLUTION_NS: Final = 1_000
_ROUNDING: Final = 2**-52
"""The offset is told as a float: what it may be off by for that alone, relative to its size."""


def drift_ns(elapsed_ns: int) -> int:
    """How far the clocks may have drifted apart in that time, rounded up."""
    return abs(elapsed_ns) * DRIFT_ALLOWANCE_PPM // 1_000_000 + 1


class ClockSample(NamedTuple):
    """What one answer tells: theta was within the interval at some moment up to `at_ns`.

    `round_trip_ns` lies between the moments just before the request was sent and just after the
    answer had come. `is_point` tells a reading in microseconds from a second's window.
    """

    low_ns: int
    high_ns: int
    at_ns: int
    round_trip_ns: int
    is_point: bool

    @classmethod
    def point(cls, device_us: int, sent_ns: int, received_ns: int) -> ClockSample:
        """A device's time to the microsecond, Unix, taken between two steady moments."""
        device_ns = device_us * 1_000
        return cls._spanning(device_ns, _TIME_RESOLUTION_NS, sent_ns, received_ns)

    @classmethod
    def window(cls, device_second: int, sent_ns: int, received_ns: int) -> ClockSample:
        """A device's time cut to whole seconds, Unix, taken between two steady moments."""
        device_ns = device_second * SECOND_NS
        return cls._spanning(device_ns, SECOND_NS, sent_ns, received_ns)

    @classmethod
    def _spanning(
        cls, device_ns: int, resolution_ns: int, sent_ns: int, received_ns: int
    ) -> ClockSample:
        round_trip = received_ns - sent_ns
        drift = drift_ns(round_trip)
        low = device_ns - received_ns - drift
        high = device_ns + resolution_ns - sent_ns + drift
        return cls(low, high, received_ns, round_trip, resolution_ns < SECOND_NS)


class Estimate(NamedTuple):
    """An interval that holds theta at the steady time `at_ns`."""

    low_ns: int
    high_ns: int
    at_ns: int

    @property
    def width_ns(self) -> int:
        """The interval's width."""
        return self.high_ns - self.low_ns

    @property
    def middle_ns(self) -> int:
        """The interval's middle."""
        return (self.low_ns + self.high_ns) // 2

    def at(self, steady_ns: int) -> Estimate:
        """The interval at another time, widened by the drift that is possible until then."""
        drift = drift_ns(steady_ns - self.at_ns)
        return Estimate(self.low_ns - drift, self.high_ns + drift, steady_ns)


def intersect(before: Estimate | None, seen: ClockSample) -> tuple[Estimate, int | None]:
    """The estimate after an observation, and the step of the clock it shows, if it shows one.

    Intervals intersect. Where they do not, the clock has jumped: the step in nanoseconds is
    between the middles, and the estimate starts afresh.
    """
    if before is None or seen.at_ns - before.at_ns > MAX_AGE_NS:
        return _afresh(seen), None
    expected = before.at(seen.at_ns)
    low, high = max(expected.low_ns, seen.low_ns), min(expected.high_ns, seen.high_ns)
    if low > high:
        fresh = _afresh(seen)
        return fresh, fresh.middle_ns - expected.middle_ns
    return Estimate(low, high, seen.at_ns), None


def _afresh(seen: ClockSample) -> Estimate:
    return Estimate(seen.low_ns, seen.high_ns, seen.at_ns)


class Offset(NamedTuple):
    """The device's clock minus the host's wall clock; the truth is within the uncertainty."""

    seconds: float
    uncertainty_seconds: float


def offset_at(estimate: Estimate, now: HostTime) -> Offset | None:
    """Return the offset now; `None` if the estimate is too old."""
    [offset] = offsets_at([estimate], now)
    return None if offset is None else Offset(*offset)


def offsets_at(
    estimates: Iterable[Estimate | None], now: HostTime
) -> list[tuple[float, float] | None]:
    """Return the fields of an `Offset` for each estimate; `None` where `offset_at` returns it.

    A scrape calls this for every device: two thirds of the time of `offset_at` are calls.
    """
    steady_ns, ahead_ns, bracket_ns = now.steady_ns, 2 * now.unix_minus_steady_ns, now.bracket_ns
    offsets: list[tuple[float, float] | None] = []
    for estimate in estimates:
        if estimate is None or (elapsed_ns := steady_ns - estimate[2]) > MAX_AGE_NS:
            offsets.append(None)
            continue
        low_ns, high_ns, _ = estimate
        drift = abs(elapsed_ns) * DRIFT_ALLOWANCE_PPM // 1_000_000 + 1
        seconds = (low_ns + high_ns - ahead_ns) / (2 * SECOND_NS)
        half_width_ns = (high_ns - low_ns + 2 * drift) / 2 + bracket_ns
        offsets.append((seconds, half_width_ns / SECOND_NS + abs(seconds) * _ROUNDING))
    return offsets
