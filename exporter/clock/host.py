"""This host's clocks: the steady clock to measure with, the wall clock to compare with.

Both are read together, so that a step of the wall clock is not mistaken for a device's.
"""

import ctypes
import time
from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple

import structlog

_log = structlog.get_logger()

_STEP_NS: Final = 100_000_000
_TRIES: Final = 3
_TIGHT_NS: Final = 5_000
_FIRST_YEAR: Final = 1970
_YEAR_NS: Final = 31_556_952 * 10**9
_STA_UNSYNC: Final = 0x0040
_TIME_ERROR: Final = 5

# Unlike CLOCK_MONOTONIC, CLOCK_BOOTTIME keeps running while the host sleeps.
steady_ns: Final = partial(
    time.clock_gettime_ns, getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
)
"""Return the nanoseconds of a clock that is never set, only slewed."""


class HostTime(NamedTuple):
    """One moment on both clocks, in nanoseconds, read within `bracket_ns` of each other."""

    steady_ns: int
    unix_ns: int
    bracket_ns: int = 0

    @property
    def steady_seconds(self) -> float:
        """The steady clock, seconds."""
        return self.steady_ns / 1e9

    @property
    def unix_seconds(self) -> float:
        """The wall clock, Unix seconds."""
        return self.unix_ns / 1e9

    @property
    def year(self) -> int:
        """The wall clock's year; it may change up to two days early or late."""
        return _FIRST_YEAR + self.unix_ns // _YEAR_NS

    @property
    def unix_minus_steady_ns(self) -> int:
        """The difference of the clocks; it only changes when the wall clock is set."""
        return self.unix_ns - self.steady_ns

    def unix_seconds_at(self, steady_seconds: float) -> float:
        """Return what the wall clock, as it is set now, calls a steady time: Unix seconds."""
        return steady_seconds + self.unix_minus_steady_ns / 1e9


class HostClock:
    """Reads both clocks together, and logs each step of the wall clock once.

    `steady_ns` reads the steady clock alone.
    """

    def __init__(
        self, steady: Callable[[], int] = steady_ns, unix: Callable[[], int] = time.time_ns
    ) -> None:
        self.steady_ns: Final = steady
        self._unix = unix
        self._unix_minus_steady_ns: int | None = None

    def now(self) -> HostTime:
        """Return the current time, read again if the process was interrupted between the clocks."""
        now = self._read()
        tries = 1
        while now.bracket_ns > _TIGHT_NS and tries < _TRIES:
            now = min(now, self._read(), key=lambda read: read.bracket_ns)
            tries += 1
        last, self._unix_minus_steady_ns = self._unix_minus_steady_ns, now.unix_minus_steady_ns
        if last is not None and abs(step := now.unix_minus_steady_ns - last) > _STEP_NS:
            _log.warning("host.clock_stepped", seconds=round(step / 1e9, 3))
        return now

    def steady_seconds(self) -> float:
        """Return the steady clock alone, in seconds."""
        return self.steady_ns() / 1e9

    def _read(self) -> HostTime:
        before = self.steady_ns()
        unix = self._unix()
        after = self.steady_ns()
        return HostTime((before + after) // 2, unix, (after - before) // 2 + 1)


class _Timex(ctypes.Structure):
    """The start of Linux's `struct timex` (adjtimex(2)), and room for the rest."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 256),
    )


def kernel_says_synchronized() -> bool | None:
    """Return whether the kernel considers this host's clock synchronized; `None` if unknown."""
    adjtimex = getattr(ctypes.CDLL(None), "adjtimex", None)
    if adjtimex is None:
        return None
    timex = _Timex()
    state = adjtimex(ctypes.byref(timex))
    return is_synchronized(state, timex.status)


def is_synchronized(state: int, status: int) -> bool | None:
    """Decode the result and status bits of adjtimex(2); `None` for a failed call."""
    if state < 0:
        return None
    return state != _TIME_ERROR and not status & _STA_UNSYNC
