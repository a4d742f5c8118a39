"""A device's wall clock: the host's clock, put off and drifting."""

import time
from collections.abc import Callable

NANOSECONDS = 1_000_000_000
_PPM = 1_000_000

HostClock = Callable[[], int]
"""Tells the host's time in nanoseconds since the Unix epoch."""


class SimulatedClock:
    """A wall clock that is off by a settable offset which grows by a settable drift.

    Integers throughout: a float of nanoseconds since 1970 is only good to a quarter microsecond,
    too coarse for a truth that others are measured against. `host_nanoseconds` is the host's clock
    (nanoseconds since the Unix epoch); tests pass one that they turn by hand.
    """

    __slots__ = ("_anchor", "_drift_ppm", "_offset", "host_nanoseconds")

    def __init__(
        self,
        *,
        offset_seconds: float = 0.0,
        drift_ppm: float = 0.0,
        host_nanoseconds: HostClock = time.time_ns,
    ) -> None:
        self.host_nanoseconds = host_nanoseconds
        self._anchor = host_nanoseconds()
        self._offset = _to_nanoseconds(offset_seconds)
        self._drift_ppm = drift_ppm

    def __repr__(self) -> str:
        """Show the offset of the moment and the drift."""
        return f"SimulatedClock(offset_seconds={self.offset_seconds}, drift_ppm={self.drift_ppm})"

    def offset_nanoseconds_at(self, host_nanoseconds: int) -> int:
        """Tell the device's clock minus the host's, at that moment of the host's clock."""
        elapsed = host_nanoseconds - self._anchor
        return self._offset + round(elapsed * self._drift_ppm / _PPM)

    def nanoseconds_at(self, host_nanoseconds: int) -> int:
        """Tell the device's time (nanoseconds since the Unix epoch) at that host time."""
        return host_nanoseconds + self.offset_nanoseconds_at(host_nanoseconds)

    @property
    def offset_seconds(self) -> float:
        """The device's clock minus the host's, now; setting it moves the clock there at once."""
        return self.offset_nanoseconds_at(self.host_nanoseconds()) / NANOSECONDS

    @offset_seconds.setter
    def offset_seconds(self, seconds: float) -> None:
        self._anchor = self.host_nanoseconds()
        self._offset = _to_nanoseconds(seconds)

    @property
    def drift_ppm(self) -> float:
        """Microseconds that the clock gains in each second; setting it keeps the offset so far."""
        return self._drift_ppm

    @drift_ppm.setter
    def drift_ppm(self, ppm: float) -> None:
        now = self.host_nanoseconds()
        self._offset = self.offset_nanoseconds_at(now)
        self._anchor = now
        self._drift_ppm = ppm

    def step(self, seconds: float) -> None:
        """Jump forward (or back, if negative) by so many seconds."""
        self._offset += _to_nanoseconds(seconds)


def _to_nanoseconds(seconds: float) -> int:
    return round(seconds * NANOSECONDS)
