"""A device's wall clock: the host's clock plus an offset and a drift."""

import time
from collections.abc import Callable

NANOSECONDS = 1_000_000_000
_PPM = 1_000_000

HostNanoseconds = Callable[[], int]
"""Return the host's time in nanoseconds since the Unix epoch."""


class SimulatedClock:
    """A wall clock with a settable offset from the host's clock, which changes by a settable drift.

    All times are integers: a float of nanoseconds since 1970 has steps of a quarter microsecond,
    too coarse for the reference in tests. `host_nanoseconds` is the host's clock; tests pass a
    clock of their own.
    """

    __slots__ = ("_anchor", "_drift_ppm", "_offset", "host_nanoseconds")

    def __init__(
        self,
        *,
        offset_seconds: float = 0.0,
        drift_ppm: float = 0.0,
        host_nanoseconds: HostNanoseconds = time.time_ns,
    ) -> None:
        self.host_nanoseconds = host_nanoseconds
        self._anchor = host_nanoseconds()
        self._offset = _to_nanoseconds(offset_seconds)
        self._drift_ppm = drift_ppm

    def __repr__(self) -> str:
        """Show the current offset and the drift."""
        return f"SimulatedClock(offset_seconds={self.offset_seconds}, drift_ppm={self.drift_ppm})"

    def offset_nanoseconds_at(self, host_nanoseconds: int) -> int:
        """Return the device's clock minus the host's, at that host time."""
        elapsed = host_nanoseconds - self._anchor
        return self._offset + round(elapsed * self._drift_ppm / _PPM)

    def nanoseconds_at(self, host_nanoseconds: int) -> int:
        """Return the device's time (nanoseconds since the Unix epoch) at that host time."""
        return host_nanoseconds + self.offset_nanoseconds_at(host_nanoseconds)

    @property
    def offset_seconds(self) -> float:
        """The device's clock minus the host's, now; setting it steps the clock."""
        return self.offset_nanoseconds_at(self.host_nanoseconds()) / NANOSECONDS

    @offset_seconds.setter
    def offset_seconds(self, seconds: float) -> None:
        self._anchor = self.host_nanoseconds()
        self._offset = _to_nanoseconds(seconds)

    @property
    def drift_ppm(self) -> float:
        """Microseconds that the clock gains per second; setting it keeps the current offset."""
        return self._drift_ppm

    @drift_ppm.setter
    def drift_ppm(self, ppm: float) -> None:
        now = self.host_nanoseconds()
        self._offset = self.offset_nanoseconds_at(now)
        self._anchor = now
        self._drift_ppm = ppm

    def step(self, seconds: float) -> None:
        """Step the clock forward by that many seconds, or back if negative."""
        self._offset += _to_nanoseconds(seconds)


def _to_nanoseconds(seconds: float) -> int:
    return round(seconds * NANOSECONDS)
