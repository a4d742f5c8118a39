"""The offset of a device's clock, as an interval that contains the true value. No I/O.

`theta` is the device's clock minus the host's steady clock, in nanoseconds. An interval keeps
containing it as long as the two clocks drift apart by no more than `DRIFT_ALLOWANCE_PPM`, or
`SLEW_ALLOWANCE_PPM` while the device is known to slew its clock. The host's wall clock is only used
to export the offset, so setting it changes no interval. The mathematics: docs/clock.md.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple, Self

from exporter.clock.host import HostTime

SECOND_NS: Final = 1_000_000_000
MICROSECOND_NS: Final = 1_000
DRIFT_ALLOWANCE_PPM: Final = 100
"""How fast a device's clock and ours may drift apart."""

SLEW_ALLOWANCE_PPM: Final = DRIFT_ALLOWANCE_PPM + 500
"""How fast they may drift apart while the device slews its clock, which adjtime(3) does at 500 ppm.

A faster change is a step.
"""

DATE_LAG_NS: Final = 10_000_000
"""How late a `Date` may be: servers read the kernel's coarse clock, which ticks 100 to 1000 Hz."""

MAX_AGE_NS: Final = 4 * 3600 * SECOND_NS
"""An estimate is dropped after this time without a response."""

_FLOAT_ROUNDING: Final = 2**-52
"""The relative error of an offset that is exported as a float."""


def drift_ns(elapsed_ns: int, allowance_ppm: int = DRIFT_ALLOWANCE_PPM) -> int:
    """Return how far the clocks may drift apart in `elapsed_ns`, rounded up."""
    return abs(elapsed_ns) * allowance_ppm // 1_000_000 + 1


class ClockSample(NamedTuple):
    """What one response shows: theta was within the interval at some moment up to `at_ns`.

    `round_trip_ns` runs from just before the request was sent until the response had arrived.
    `is_point` is true for a time in microseconds, false for one cut to whole seconds.
    """

    low_ns: int
    high_ns: int
    at_ns: int
    round_trip_ns: int
    is_point: bool

    @classmethod
    def of(cls, device_ns: int, resolution_ns: int, sent_ns: int, received_ns: int) -> Self:
        """Return the sample of a Unix time, read between two steady times.

        The device has cut its time to `resolution_ns`: to a microsecond, or to a second, as in a
        `Date`, which may be late by `DATE_LAG_NS` besides.
        """
        round_trip = received_ns - sent_ns
        drift = drift_ns(round_trip, SLEW_ALLOWANCE_PPM)
        is_point = resolution_ns < SECOND_NS
        low = device_ns - received_ns - drift
        high = device_ns + resolution_ns + (0 if is_point else DATE_LAG_NS) - sent_ns + drift
        return cls(low, high, received_ns, round_trip, is_point)


class Estimate(NamedTuple):
    """An interval that contains theta at the steady time `at_ns`.

    `allowance_ppm` is how fast theta may change from then on.
    """

    low_ns: int
    high_ns: int
    at_ns: int
    allowance_ppm: int = DRIFT_ALLOWANCE_PPM

    @property
    def width_ns(self) -> int:
        """The interval's width."""
        return self.high_ns - self.low_ns

    @property
    def middle_ns(self) -> int:
        """The interval's middle."""
        return (self.low_ns + self.high_ns) // 2

    def at(self, steady_ns: int) -> "Estimate":
        """Return the interval at another time, widened by the possible drift in between."""
        drift = drift_ns(steady_ns - self.at_ns, self.allowance_ppm)
        return Estimate(self.low_ns - drift, self.high_ns + drift, steady_ns, self.allowance_ppm)

    def intersect(self, sample: ClockSample, allowance_ppm: int) -> "Estimate | None":
        """Return the estimate after a sample; `None` if theta has changed faster than allowed."""
        drift = drift_ns(sample.at_ns - self.at_ns, allowance_ppm)
        low = max(self.low_ns - drift, sample.low_ns)
        high = min(self.high_ns + drift, sample.high_ns)
        return None if low > high else Estimate(low, high, sample.at_ns, allowance_ppm)


class Offset(NamedTuple):
    """The device's clock minus the host's wall clock, correct to within the uncertainty.

    `is_date_only`: only `Date` headers, which show whole seconds, are known to have shown it.
    """

    seconds: float
    uncertainty_seconds: float
    is_date_only: bool = False


def true_offset(measured: Offset | None, host: Offset | None) -> Offset | None:
    """Return the device's clock minus the true time; `None` if either offset is unknown.

    `host` is this host's clock minus the true time, at the moment of `measured`.
    """
    if measured is None or host is None:
        return None
    seconds = measured.seconds + host.seconds
    rounding = abs(seconds) * _FLOAT_ROUNDING
    uncertainty_seconds = measured.uncertainty_seconds + host.uncertainty_seconds + rounding
    return Offset(seconds, uncertainty_seconds, measured.is_date_only)


def offset_at(estimate: Estimate, now: HostTime, *, is_date_only: bool = False) -> Offset | None:
    """Return the offset now; `None` if the estimate is too old."""
    [offset] = offsets_at([estimate], now)
    return None if offset is None else Offset(*offset, is_date_only)


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
        low_ns, high_ns, _, allowance_ppm = estimate
        drift = abs(elapsed_ns) * allowance_ppm // 1_000_000 + 1
        seconds = (low_ns + high_ns - ahead_ns) / (2 * SECOND_NS)
        half_width_ns = (high_ns - low_ns + 2 * drift) / 2 + bracket_ns
        offsets.append((seconds, half_width_ns / SECOND_NS + abs(seconds) * _FLOAT_ROUNDING))
    return offsets
