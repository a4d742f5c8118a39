"""This host's clocks."""

import time

from structlog.testing import capture_logs

from exporter.host_clock import HostClock, kernel_says_synchronized, steady_ns


def test_the_steady_clock_moves_on() -> None:
    first = steady_ns()
    assert steady_ns() >= first


def test_both_clocks_are_read_as_one_moment() -> None:
    now = HostClock().now()
    assert 0 < now.bracket_ns < 50_000_000
    assert abs(now.unix_seconds - time.time()) < 5


def test_of_several_readings_the_tightest_counts() -> None:
    ticks = iter([0, 90_000, 100_000, 120_000, 200_000, 250_000])
    now = HostClock(steady=lambda: next(ticks), unix=lambda: 7).now()
    assert (now.steady_ns, now.bracket_ns) == (110_000, 10_001)


def test_a_tight_reading_is_taken_at_once() -> None:
    ticks = iter([0, 9_000])
    now = HostClock(steady=lambda: next(ticks), unix=lambda: 7).now()
    assert (now.steady_ns, now.bracket_ns) == (4_500, 4_501)


def test_a_wall_clock_that_is_set_is_told_once() -> None:
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


def test_the_kernel_says_yes_or_no_or_nothing() -> None:
    assert kernel_says_synchronized() in (True, False, None)
