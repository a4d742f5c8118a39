"""This host's clocks: a steady one to measure with, and the wall clock to compare with.

Both are read as one pair, so that a jump of the wall clock is never taken for a device's.
"""

from __future__ import annotations

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

# CLOCK_BOOTTIME goes on while the host sleeps, as the devices' clocks do.
_STEADY_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


steady_ns: Final = partial(time.clock_gettime_ns, _STEADY_CLOCK)
"""Nanoseconds on a clock that is never set, only disciplined in its rate."""


class HostTime(NamedTuple):
    """One moment on both clocks, nanoseconds; they were read within `bracket_ns` of each other."""

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
        """The wall clock's year, at its turn wrong by up to two days."""
        return _FIRST_YEAR + self.unix_ns // _YEAR_NS

    @property
    def unix_minus_steady_ns(self) -> int:
        """What makes a steady time a wall time; changes only when the wall clock is set."""
        return self.unix_ns - self.steady_ns


class HostClock:
    """Reads the pair of clocks and tells, once for each, when the wall clock was set."""

    def __init__(
        self,
        steady: Callable[[], int] = steady_ns,
        unix: Callable[[], int] = time.time_ns,
    ) -> None:
        self._steady = steady
        self._unix = unix
        self._unix_minus_steady_ns: int | None = None

    def now(self) -> HostTime:
        """The present moment, read again while the scheduler has torn the pair apart."""
        now = self._read()
        tries = 1
        while now.bracket_ns > _TIGHT_NS and tries < _TRIES:
            now = min(now, self._read(), key=lambda read: read.bracket_ns)
            tries += 1
        self._notice_step(now.unix_minus_steady_ns)
        return now

    def steady_ns(self) -> int:
        """The steady clock alone, nanoseconds."""
        return self._steady()

    def steady_seconds(self) -> float:
        """The steady clock alone, seconds."""
        return self._steady() / 1e9

    def unix_seconds_at(self, steady_seconds: float) -> float:
        """The wall clock at a steady time, Unix seconds, by how the two stood when last read."""
        known_ns = self._unix_minus_steady_ns
        ahead_ns = self.now().unix_minus_steady_ns if known_ns is None else known_ns
        return steady_seconds + ahead_ns / 1e9

    def _read(self) -> HostTime:
        before = self._steady()
        unix = self._unix()
        after = self._steady()
        return HostTime((before + after) // 2, unix, (after - before) // 2 + 1)

    def _notice_step(self, unix_minus_steady_ns: int) -> None:
        last, self._unix_minus_steady_ns = self._unix_minus_steady_ns, unix_minus_steady_ns
        if last is not None and abs(step := unix_minus_steady_ns - last) > _STEP_NS:
            _log.warning("host.clock_stepped", seconds=round(step / 1e9, 3))


class _Timex(ctypes.Structure):
    """The head of Linux's `struct timex` (adjtimex(2)); the rest is padding for the kernel."""

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
    """Whether the kernel holds this host's clock for synchronized; `None` where it cannot say."""
    adjtimex = getattr(ctypes.CDLL(None), "adjtimex", None)
    if adjtimex is None:
        return None
    timex = _Timex()
    state = adjtimex(ctypes.byref(timex))
    return says_synchronized(state, timex.status)


def says_synchronized(state: int, status: int) -> bool | None:
    """What adjtimex(2)'s result and status bits say; `None` for a call that failed."""
    if state < 0:
        return None
    return state != _TIME_ERROR and not status & _STA_UNSYNC
