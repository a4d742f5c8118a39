from hypothesis import given
from hypothesis import strategies as st

from exporter.simulator.clock import SimulatedClock
from tests.simulator.conftest import START, ManualClock

DAY = 86_400


def test_the_clock_is_the_hosts_by_default() -> None:
    host = ManualClock()
    clock = SimulatedClock(host_nanoseconds=host)
    assert clock.nanoseconds_at(host()) == START


def test_the_offset_is_exact_to_the_nanosecond() -> None:
    host = ManualClock()
    clock = SimulatedClock(offset_seconds=3.25, host_nanoseconds=host)
    assert clock.nanoseconds_at(host()) == START + 3_250_000_000


def test_the_offset_grows_by_the_drift() -> None:
    host = ManualClock()
    clock = SimulatedClock(drift_ppm=50, host_nanoseconds=host)
    host.advance(DAY)
    assert clock.offset_nanoseconds_at(host()) == 50 * DAY * 1_000


def test_changing_the_drift_keeps_the_offset() -> None:
    host = ManualClock()
    clock = SimulatedClock(drift_ppm=100, host_nanoseconds=host)
    host.advance(1_000)
    clock.drift_ppm = -100
    assert clock.offset_seconds == 0.1
    host.advance(1_000)
    assert clock.offset_seconds == 0.0


def test_a_step_adds_to_the_drift() -> None:
    host = ManualClock()
    clock = SimulatedClock(drift_ppm=100, host_nanoseconds=host)
    host.advance(1_000)
    clock.step(-0.4)
    assert clock.offset_seconds == -0.3


def test_setting_the_offset_replaces_the_accumulated_drift() -> None:
    host = ManualClock()
    clock = SimulatedClock(drift_ppm=100, host_nanoseconds=host)
    host.advance(1_000)
    clock.offset_seconds = 2.0
    assert clock.offset_seconds == 2.0
    assert clock.drift_ppm == 100


@given(
    offset=st.integers(-(10**18), 10**18),
    steps=st.lists(st.integers(-(10**6), 10**6), max_size=5),
)
def test_whole_seconds_are_exact(offset: int, steps: list[int]) -> None:
    host = ManualClock()
    clock = SimulatedClock(host_nanoseconds=host)
    clock.step(offset // 10**9)
    for step in steps:
        clock.step(step)
    assert clock.offset_nanoseconds_at(host()) == (offset // 10**9 + sum(steps)) * 10**9


def test_the_repr_shows_offset_and_drift() -> None:
    clock = SimulatedClock(offset_seconds=1.5, drift_ppm=20, host_nanoseconds=ManualClock())
    assert repr(clock) == "SimulatedClock(offset_seconds=1.5, drift_ppm=20)"
