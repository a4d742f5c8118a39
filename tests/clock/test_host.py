"""This host's clocks."""

import calendar
import ctypes
import time
from types import SimpleNamespace
from unittest.mock import patch

import pytest
from structlog.testing import capture_logs

from exporter.clock.host import (
    HostClock,
    HostTime,
    is_synchronized,
    kernel_says_synchronized,
    steady_ns,
)


def test_the_steady_clock_advances() -> None:
    first = steady_ns()
    assert steady_ns() >= first


def test_both_clocks_are_read_together() -> None:
    now = HostClock().now()
    assert 0 < now.bracket_ns < 50_000_000
    assert abs(now.unix_seconds - time.time()) < 5


def test_of_several_readings_the_one_with_the_smallest_bracket_is_returned() -> None:
    ticks = iter([0, 90_000, 100_000, 120_000, 200_000, 250_000])
    now = HostClock(steady=lambda: next(ticks), unix=lambda: 7).now()
    assert (now.steady_ns, now.bracket_ns) == (110_000, 10_001)


def test_a_reading_with_a_small_bracket_is_returned_at_once() -> None:
    ticks = iter([0, 9_000])
    now = HostClock(steady=lambda: next(ticks), unix=lambda: 7).now()
    assert (now.steady_ns, now.bracket_ns) == (4_500, 4_501)


def test_a_step_of_the_wall_clock_is_logged_once() -> None:
    steady, wall = 0, 10**18

    def unix() -> int:
        return wall + steady

    host = HostClock(steady=lambda: steady, unix=unix)
    with capture_logs() as logs:
        host.now()
        steady += 60 * 10**9
        host.now()
        wall -= 5 * 10**9
        host.now()
        host.now()
    assert logs == [{"event": "host.clock_stepped", "log_level": "warning", "seconds": -5.0}]


TIME_OK, TIME_WAIT, TIME_ERROR = 0, 4, 5
STA_PLL, STA_UNSYNC, STA_NANO = 0x0001, 0x0040, 0x2000


@pytest.mark.parametrize(
    ("state", "status", "verdict"),
    [
        (TIME_OK, STA_PLL | STA_NANO, True),
        (TIME_OK, 0, True),
        (TIME_WAIT, STA_PLL, True),
        (TIME_OK, STA_PLL | STA_UNSYNC, False),
        (TIME_ERROR, STA_PLL, False),
        (TIME_ERROR, STA_UNSYNC, False),
        (-1, 0, None),
    ],
)
def test_the_kernels_status_is_decoded_as_adjtimex_documents_it(
    state: int, status: int, verdict: object
) -> None:
    assert is_synchronized(state, status) is verdict


@pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), "ntp_gettime"), reason="the C library has no ntp_gettime"
)
def test_the_kernels_status_is_the_one_that_ntp_gettime_returns() -> None:
    # struct ntptimeval: time (two longs), maxerror, esterror, tai, four reserved longs.
    state = ctypes.CDLL(None).ntp_gettime(ctypes.create_string_buffer(128))
    assert kernel_says_synchronized() is (None if state < 0 else state != TIME_ERROR)


@pytest.mark.skipif(
    ctypes.sizeof(ctypes.c_long) != 8, reason="the offset of `status` is that of 64-bit systems"
)
@pytest.mark.parametrize(("status", "verdict"), [(STA_PLL, True), (STA_UNSYNC, False)])
def test_the_status_is_read_at_its_place_in_struct_timex(status: int, verdict: object) -> None:
    def adjtimex(timex: object) -> int:
        address = ctypes.addressof(timex._obj)  # type: ignore[attr-defined]
        ctypes.c_int.from_address(address + 40).value = status
        return TIME_OK

    with patch.object(ctypes, "CDLL", return_value=SimpleNamespace(adjtimex=adjtimex)):
        assert kernel_says_synchronized() is verdict


@pytest.mark.skipif(not hasattr(time, "CLOCK_BOOTTIME"), reason="this system has no CLOCK_BOOTTIME")
def test_the_steady_clock_keeps_running_while_the_host_sleeps() -> None:
    assert steady_ns.func is time.clock_gettime_ns
    assert steady_ns.args == (time.CLOCK_BOOTTIME,)


@pytest.mark.parametrize("year", [1970, 1999, 2000, 2026, 2100])
def test_the_year_is_right_from_two_days_after_new_year_on(year: int) -> None:
    for day in (3, 363):
        noon = calendar.timegm((year, 1, day, 12, 0, 0))
        assert HostTime(0, noon * 1_000_000_000).year == year
