"""A clock estimated poll by poll: how fast it gets precise, and how soon a step is detected."""

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.clock.estimator import DeviceClock
from exporter.clock.host import HostTime
from exporter.clock.motion import ClockEvent
from exporter.clock.offset import (
    DATE_LAG_NS,
    DRIFT_ALLOWANCE_PPM,
    SECOND_NS,
    ClockSample,
    Estimate,
)
from exporter.clock.phase import PhaseState, SamplePhase, next_phase_state, shift_ns
from tests.support.simulated_time import Look, Poller, Truth, see_date, see_nonce

SEEDS = range(200)


def poller(seed: int, interval_seconds: float, drift_ppm: float = 0.0) -> Poller:
    rng = random.Random(seed)
    truth = Truth(rng.randint(-(10**12), 10**12), drift_ppm)
    return Poller(truth, interval_seconds, rng, start_ns=rng.randint(0, 10**10))


def test_dates_of_a_clock_without_drift_polled_every_second_give_20_ms_after_12_polls() -> None:
    for seed in SEEDS:
        looks = poller(seed, 1.0).polls(40)
        assert all(look.holds_the_truth for look in looks)
        assert max(look.half_width_seconds for look in looks[11:]) <= 0.020, seed


@pytest.mark.parametrize("drift_ppm", [50, -50])
def test_dates_of_a_drifting_clock_polled_every_minute_give_30_ms_after_15_polls(
    drift_ppm: float,
) -> None:
    for seed in SEEDS:
        looks = poller(seed, 60.0, drift_ppm).polls(60)
        assert all(look.holds_the_truth for look in looks)
        assert max(look.half_width_seconds for look in looks[14:]) <= 0.030, seed


def stepping(seed: int, size_seconds: float, interval_seconds: float) -> list[Look]:
    """Return the polls from a step on, after the estimate has settled."""
    subject = poller(seed, interval_seconds, drift_ppm=seed % 101 - 50)
    assert not any(look.stepped for look in subject.polls(20 + seed % 11))
    subject.step(size_seconds)
    return subject.polls(40)


@pytest.mark.parametrize("interval_seconds", [1.0, 60.0])
@pytest.mark.parametrize("size_seconds", [3, -0.4, -3, -0.9])
def test_a_step_is_detected_within_three_polls_and_counted_once(
    size_seconds: float, interval_seconds: float
) -> None:
    for seed in SEEDS:
        looks = stepping(seed, size_seconds, interval_seconds)
        seen = [n for n, look in enumerate(looks) if look.stepped]
        assert len(seen) == 1, seed
        assert seen[0] < (1 if abs(size_seconds) > 1 else 3), seed
        assert all(look.holds_the_truth for look in looks[seen[0] :]), seed


def test_a_step_forward_of_under_a_second_is_detected_within_ten_polls() -> None:
    for seed in SEEDS:
        looks = stepping(seed, 0.4, 60.0)
        seen = [n for n, look in enumerate(looks) if look.stepped]
        assert len(seen) == 1, seed
        assert seen[0] < 10, seed


@pytest.mark.parametrize("size_seconds", [3, -0.4, 0.4, 0.02])
def test_a_nonce_shows_a_step_at_the_next_poll(size_seconds: float) -> None:
    subject = poller(1, 1.0)
    subject.see = see_nonce
    looks = subject.polls(5)
    subject.step(size_seconds)
    looks += subject.polls(5)
    assert [look.stepped for look in looks] == [n == 5 for n in range(10)]
    assert all(look.holds_the_truth for look in looks)


@pytest.mark.parametrize("size_seconds", [0.08, -0.08])
def test_a_small_step_seen_only_in_dates_could_be_a_slew_and_is_told_as_one(
    size_seconds: float,
) -> None:
    told = 0
    for seed in SEEDS:
        subject = poller(seed, 60.0)
        subject.polls(20)
        subject.step(size_seconds)
        kinds = [event.kind for _ in range(20) for event in events_of_a_poll(subject)]
        assert "stepped" not in kinds, seed
        told += kinds[:1] == ["slewing"]
    assert told >= 0.95 * len(SEEDS)


def events_of_a_poll(subject: Poller) -> tuple[ClockEvent, ...]:
    subject.polls(1)
    return subject.clock.events


@pytest.mark.parametrize("size_seconds", [1.5, -1.5, -0.9])
def test_a_step_of_a_slow_device_is_detected_too(size_seconds: float) -> None:
    late = []
    for seed in SEEDS:
        subject = poller(seed, 60.0)
        subject.round_trip_seconds = (0.2, 0.3)
        assert not any(look.stepped for look in subject.polls(30))
        subject.step(size_seconds)
        looks = subject.polls(90)
        seen = [n for n, look in enumerate(looks) if look.stepped]
        assert len(seen) == 1, seed
        assert all(look.holds_the_truth for look in looks[seen[0] :]), seed
        late.append(seen[0])
    assert sorted(late)[len(late) // 2] <= 4


def test_after_a_step_seen_in_a_date_halving_starts_again_despite_an_earlier_nonce() -> None:
    subject = poller(3, 10.0)
    subject.see = see_nonce
    subject.polls(1)
    subject.see = see_date
    looks = subject.polls(2)
    subject.step(-1)
    looks += subject.polls(17)
    assert sum(look.stepped for look in looks) == 1
    assert looks[-1].holds_the_truth
    assert looks[-1].half_width_seconds < 0.025


@pytest.mark.parametrize("size_seconds", [0.4, -0.4])
def test_while_a_nonce_is_recent_a_step_in_either_direction_is_detected_within_three_polls(
    size_seconds: float,
) -> None:
    for seed in SEEDS:
        subject = poller(seed, 60.0)
        subject.see = see_nonce
        subject.polls(1)
        subject.see = see_date
        subject.polls(1 + seed % 6)
        subject.step(size_seconds)
        assert sum(look.stepped for look in subject.polls(3)) == 1, seed


@pytest.mark.parametrize(
    "connect_seconds", [(0.05, 0.05), (0.03, 0.12), (0.4, 0.4), (0.3, 0.6), (0.0003, 0.06)]
)
def test_a_new_connection_for_each_poll_costs_no_precision(
    connect_seconds: tuple[float, float],
) -> None:
    widths = []
    for seed in SEEDS:
        subject = poller(seed, 60.0)
        subject.connect_seconds = connect_seconds
        looks = subject.polls(60)
        assert all(look.holds_the_truth for look in looks)
        widths += [look.half_width_seconds for look in looks[14:]]
    assert sorted(widths)[len(widths) * 9 // 10] <= 0.025


def test_a_poll_begins_earlier_by_its_connection_time_and_a_reserve() -> None:
    leads = {}
    for connect_ms in (1, 3, 40, 400, 4000):
        clock = DeviceClock()
        clock.take_poll([see_date(0, 0, 1000)], connect_ms * 1_000_000)
        leads[connect_ms] = clock.lead_ns / 1_000_000
    assert leads == {1: 1, 3: 4.5, 40: 60, 400: 600, 4000: 4250}


def test_the_longest_of_four_connection_times_counts_until_a_poll_gets_no_response() -> None:
    clock, leads = DeviceClock(), []
    for connect_ms in (40, 1, 1, 1, 1, 10, None):
        ready_after_ns = None if connect_ms is None else connect_ms * 1_000_000
        clock.take_poll([], ready_after_ns)
        leads.append(clock.lead_ns / 1_000_000)
    assert leads == [60, 60, 60, 60, 1, 15, 0]


@pytest.mark.parametrize("size_seconds", [3, -0.4])
def test_after_a_step_seen_in_a_date_halving_starts_at_once_however_recent_a_nonce_is(
    size_seconds: float,
) -> None:
    for seed in SEEDS:
        subject = poller(seed, 60.0)
        subject.see = see_nonce
        subject.polls(1)
        subject.see = see_date
        subject.polls(3)
        subject.step(size_seconds)
        looks = subject.polls(4)
        seen = next(n for n, look in enumerate(looks) if look.stepped)
        assert looks[seen + 1].half_width_seconds < 0.27, seed


def test_the_poll_after_a_step_halves_again() -> None:
    for seed in SEEDS:
        looks = stepping(seed, 3, 60.0)
        seen = next(n for n, look in enumerate(looks) if look.stepped)
        assert looks[seen + 1].half_width_seconds < 0.27, seed


def test_after_hours_without_a_response_the_estimate_starts_again() -> None:
    for seed in SEEDS:
        subject = poller(seed, 60.0, drift_ppm=90)
        subject.polls(20 + seed % 7)
        subject.start_ns += 5 * 3600 * SECOND_NS
        first, second = subject.polls(2)
        assert not first.stepped
        assert first.half_width_seconds > 0.5
        assert second.half_width_seconds < 0.27, seed


def test_a_leap_second_stepped_by_device_and_host_is_counted_and_keeps_the_offset() -> None:
    subject = poller(7, 10.0)
    subject.see = see_nonce
    looks = subject.polls(10)
    subject.step(-1)
    subject.host_wall_set_ns = -SECOND_NS
    looks += subject.polls(10)
    assert sum(look.stepped for look in looks) == 1
    assert all(look.holds_the_truth for look in looks)
    assert abs(looks[9].offset.seconds - looks[19].offset.seconds) < 0.01


def test_a_leap_second_that_the_device_smears_over_a_day_is_not_a_step() -> None:
    subject = poller(8, 60.0, drift_ppm=-1e6 / 86_400)
    looks = subject.polls(24 * 60)
    assert not any(look.stepped for look in looks)
    assert all(look.holds_the_truth for look in looks)


def test_a_host_that_is_slewed_faster_than_the_allowance_sees_slews_and_no_steps() -> None:
    subject = poller(9, 60.0, drift_ppm=500)
    kinds = [event.kind for _ in range(60) for event in events_of_a_poll(subject)]
    assert kinds.count("stepped") == 0
    assert kinds.count("slewing") >= 1


LARGE_STEP_SECONDS = 8.0
"""More than the width of any interval here: round trips of 2 s, a `Date`'s second, drift."""

exchanges = st.lists(
    st.tuples(
        st.floats(min_value=1, max_value=600),  # until the next poll
        st.floats(min_value=0, max_value=2),  # the round trip
        st.sampled_from([see_date, see_nonce, None]),  # what the response shows; None: a lost poll
        st.none() | st.floats(LARGE_STEP_SECONDS, 1e6) | st.floats(-1e6, -LARGE_STEP_SECONDS),
    ),
    min_size=1,
    max_size=40,
)


@settings(max_examples=1000)
@given(
    st.floats(min_value=-1e9, max_value=1e9),
    st.floats(-DRIFT_ALLOWANCE_PPM, DRIFT_ALLOWANCE_PPM),
    exchanges,
    st.integers(0, 2**32),
)
def test_the_interval_contains_the_truth_at_every_poll_whatever_happens(
    offset: float, drift_ppm: float, schedule: list[Any], seed: int
) -> None:
    truth = Truth(round(offset * SECOND_NS), drift_ppm)
    subject = Poller(truth, 60.0, random.Random(seed))
    turn, stepped, steps, seen_before = 0, False, 0, False
    for pause, round_trip, subject.see, step in schedule:
        if step is not None and not stepped:
            subject.step(step)
            stepped = True
        subject.round_trip_seconds = (round_trip, round_trip)
        if subject.see is not None:
            look = subject.poll(turn)
            assert look.holds_the_truth
            steps += stepped and seen_before
            stepped, seen_before = False, True
            assert subject.clock.steps == steps
        turn += round((pause + 3.5) * SECOND_NS)


def test_a_nonce_is_precise_to_half_the_round_trip_at_the_first_poll() -> None:
    subject = poller(1, 60.0)
    subject.see = see_nonce
    look = subject.poll(0)
    assert look.half_width_seconds < 0.0016


def test_the_offset_is_unknown_before_the_first_response() -> None:
    clock = DeviceClock()
    assert clock.offset(HostTime(0, 0)) is None
    assert clock.shift_seconds(12345) == 0
    clock.take_poll([], None)
    assert clock.offset(HostTime(0, 0)) is None


def test_after_hours_without_a_response_the_offset_is_unknown() -> None:
    polled = poller(1, 60)
    polled.polls(1)
    soon, late = 60 * SECOND_NS, 5 * 3600 * SECOND_NS
    assert polled.clock.offset(HostTime(soon, soon)) is not None
    assert polled.clock.offset(HostTime(late, late)) is None


def test_a_shift_is_always_under_a_second() -> None:
    subject = poller(1, 60.0, 100.0)
    for look in subject.polls(2000):
        assert look.holds_the_truth
        assert 0 <= subject.clock.shift_seconds(subject.rng.randint(0, 10**13)) < 1


def test_a_halving_is_sent_so_that_the_middle_of_the_interval_meets_the_full_second_of_a_date() -> (
    None
):
    expected = Estimate(100_000_000, 200_000_000, 0)
    shift = shift_ns(SamplePhase.MIDDLE, expected, send_ns=7 * SECOND_NS, round_trip_ns=10_000_000)
    read_ns = 7 * SECOND_NS + shift + 5_000_000
    assert (read_ns + 150_000_000) % SECOND_NS == DATE_LAG_NS // 2


def test_a_check_is_sent_just_after_or_just_before_the_full_second() -> None:
    expected = Estimate(-10_000_000, 10_000_000, 0)
    low = shift_ns(SamplePhase.LOW, expected, send_ns=0, round_trip_ns=0)
    high = shift_ns(SamplePhase.HIGH, expected, send_ns=0, round_trip_ns=0)
    assert 3_000_000 <= (low - 10_000_000) % SECOND_NS < 30_000_000
    assert 970_000_000 <= (high + 10_000_000) % SECOND_NS < 997_000_000


def test_low_follows_every_poll_that_a_clock_set_back_would_pass() -> None:
    for before in SamplePhase:
        after = next_phase_state(PhaseState(before), was_later=False, gain_ns=10_000_000)
        assert after.phase is SamplePhase.LOW or before is SamplePhase.LOW


def test_a_wide_interval_is_only_halved() -> None:
    for before in SamplePhase:
        after = next_phase_state(PhaseState(before), was_later=True, gain_ns=500_000_000)
        assert after == PhaseState(SamplePhase.MIDDLE)


@pytest.mark.parametrize(("resolution_ns", "is_date_only"), [(SECOND_NS, True), (1_000, False)])
def test_an_offset_says_whether_only_a_date_has_shown_it(
    resolution_ns: int,
    is_date_only: bool,  # noqa: FBT001 - a column of the table
) -> None:
    clock = DeviceClock()
    clock.take_poll([ClockSample.of(0, resolution_ns, 0, 1_000_000)], 0)
    offset = clock.offset(HostTime(0, 0))
    assert offset is not None
    assert offset.is_date_only == is_date_only
    clock.take_poll([ClockSample.of(SECOND_NS, SECOND_NS, SECOND_NS, SECOND_NS + 1_000_000)], 0)
    later = clock.offset(HostTime(0, 0))
    assert later is not None
    assert later.is_date_only == is_date_only, "a nonce counts on"
