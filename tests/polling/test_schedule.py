"""When a device is polled."""

from hypothesis import given
from hypothesis import strategies as st

from exporter.polling.schedule import first_wait, next_turn

intervals = st.floats(min_value=0.1, max_value=86_400)


def test_first_polls_are_spread_evenly_over_the_interval() -> None:
    waits = [first_wait(f"camera-{n}", 60.0, 1000.0) for n in range(6000)]
    seconds = [sum(n <= wait < n + 1 for wait in waits) for n in range(60)]
    assert sum(seconds) == 6000
    assert min(seconds) > 60
    assert max(seconds) < 140


@given(st.text(), intervals, st.floats(min_value=0, max_value=4e9))
def test_the_first_poll_is_due_within_one_interval(
    name: str, interval: float, now_unix: float
) -> None:
    assert 0 <= first_wait(name, interval, now_unix) <= interval


@given(st.text(), st.floats(min_value=1e9, max_value=4e9), st.floats(min_value=0, max_value=1e6))
def test_a_restart_leaves_a_device_its_turn(name: str, start: float, later: float) -> None:
    first = start + first_wait(name, 60.0, start)
    again = start + later + first_wait(name, 60.0, start + later)
    turns = (again - first) / 60
    assert abs(turns - round(turns)) < 1e-4


def test_the_next_poll_is_one_interval_after_the_last_was_due() -> None:
    assert next_turn(100.0, 60.0, now=103.0) == 160.0


def test_turns_that_passed_are_skipped_and_the_rhythm_is_kept() -> None:
    assert next_turn(100.0, 60.0, now=225.0) == 280.0


def test_a_turn_that_is_due_just_now_is_not_taken_twice() -> None:
    assert next_turn(100.0, 60.0, now=160.0) == 220.0


@given(st.floats(min_value=0, max_value=1e6), intervals, st.floats(min_value=0, max_value=1e5))
def test_the_next_poll_is_never_in_the_past_nor_more_than_an_interval_away(
    due: float, interval: float, late: float
) -> None:
    now = due + late
    following = next_turn(due, interval, now)
    assert now - 1e-3 <= following <= now + interval + 1e-3
