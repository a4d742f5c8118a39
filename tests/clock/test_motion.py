"""A clock that is slewed does not step, and one that steps is not slewed."""

import random
from collections.abc import Sequence
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.clock.motion import ClockEvent, Motion, begin
from exporter.clock.offset import (
    DRIFT_ALLOWANCE_PPM,
    MAX_AGE_NS,
    SECOND_NS,
    SLEW_ALLOWANCE_PPM,
    ClockSample,
)
from tests.support.simulated_time import Poller, See, Truth, see_date, see_nonce

MS = 1_000_000
MINUTE_NS = 60 * SECOND_NS


def point(theta_ns: int, at_ns: int, width_ns: int = 5 * MS) -> ClockSample:
    """Return a sample in microseconds whose middle is `theta_ns`."""
    half = width_ns // 2
    return ClockSample(theta_ns - half, theta_ns + half, at_ns, width_ns, is_point=True)


def follow(rates_ppm: Sequence[float], interval_ns: int = MINUTE_NS) -> list[ClockEvent]:
    """Return the events of a clock that is polled once per interval, each with its rate."""
    motion, theta, events = begin(point(0, 0)), 0.0, []
    for number, rate_ppm in enumerate(rates_ppm, 1):
        theta += rate_ppm * interval_ns / 1e6
        motion = motion.follow(point(round(theta), number * interval_ns))
        assert motion.estimate.low_ns <= theta <= motion.estimate.high_ns
        events += [motion.event] if motion.event else []
    return events


def test_a_slew_of_two_hours_is_told_at_its_start_and_at_its_end_with_its_total() -> None:
    began, ended = follow([0] * 10 + [-500] * 120 + [0] * 30)
    assert began.kind == "slewing"
    assert -0.031 < began.seconds < 0
    assert ended.kind == "slewed"
    assert ended.seconds == pytest.approx(-3.6, abs=0.003)


def test_a_slew_is_over_only_after_ten_minutes_without_one() -> None:
    pauses = ([500] + [0] * 9) * 5
    assert [event.kind for event in follow([0, *pauses, *[0] * 10])] == ["slewing", "slewed"]


def test_a_step_in_the_middle_of_a_slew_is_a_step() -> None:
    began, stepped, again, _ = follow([500] * 10 + [20_000] + [500] * 10 + [0] * 20)
    assert [began.kind, stepped.kind, again.kind] == ["slewing", "stepped", "slewing"]
    assert stepped.seconds == pytest.approx(1.2, abs=0.01)


def test_what_a_slew_since_the_last_response_does_not_explain_is_a_step() -> None:
    [stepped] = follow([0, 0, 800, 0])
    assert stepped.kind == "stepped"
    assert stepped.seconds == pytest.approx(0.048, abs=0.001)


def test_intervals_that_do_not_overlap_are_a_step_and_start_a_new_estimate() -> None:
    motion = begin(point(0, 0)).follow(point(3 * SECOND_NS, SECOND_NS))
    assert motion == begin(point(3 * SECOND_NS, SECOND_NS))._replace(
        event=ClockEvent("stepped", 3.0)
    )


def test_an_estimate_that_is_too_old_is_dropped_without_an_event() -> None:
    motion = begin(point(0, 0)).follow(point(SECOND_NS, MAX_AGE_NS + 1))
    assert motion == begin(point(SECOND_NS, MAX_AGE_NS + 1))


rates = st.floats(-SLEW_ALLOWANCE_PPM, SLEW_ALLOWANCE_PPM)
stretches = st.lists(st.tuples(rates, st.integers(1, 40)), min_size=1, max_size=10)


@settings(max_examples=500)
@given(stretches, st.floats(0, 1), st.floats(0.001, 2), st.integers(0, 2**32))
def test_no_slew_however_it_changes_is_a_step(
    stretches: list[tuple[float, int]], exact_share: float, round_trip: float, seed: int
) -> None:
    """Samples of a clock that runs up to 600 ppm too fast or too slow, read at random times."""
    rng = random.Random(seed)
    theta, now, motion = 0.0, 0, None
    for rate_ppm, polls in stretches:
        for _ in range(polls):
            pause = rng.randint(SECOND_NS, 600 * SECOND_NS)
            sent = now + pause
            read = sent + rng.randint(0, round(round_trip * SECOND_NS))
            received = read + rng.randint(0, round(round_trip * SECOND_NS))
            at_read = theta + rate_ppm * (read - now) / 1e6
            see = see_nonce if rng.random() < exact_share else see_date
            motion = after(motion, see(read + round(at_read), sent, received))
            theta, now = theta + rate_ppm * (received - now) / 1e6, received
            assert motion.event is None or motion.event.kind != "stepped"
            assert motion.unless_stepped.low_ns - 2 <= theta <= motion.unless_stepped.high_ns + 2


def after(motion: Motion | None, sample: ClockSample) -> Motion:
    return begin(sample) if motion is None else motion.follow(sample)


def test_during_a_slew_the_interval_widens_as_fast_as_the_slew() -> None:
    motion = begin(point(0, 0)).follow(point(30 * MS, MINUTE_NS))
    assert motion.estimate.allowance_ppm == SLEW_ALLOWANCE_PPM
    for minute in range(2, 13):
        motion = motion.follow(point(30 * MS, minute * MINUTE_NS))
    assert motion.estimate.allowance_ppm == DRIFT_ALLOWANCE_PPM


def see_aging_nonces(every: int) -> See:
    """See a nonce in every so manyth response, as a device with challenges of 300 s shows it."""
    numbers = count()

    def see(device_ns: int, sent_ns: int, received_ns: int) -> ClockSample:
        sees = see_date if next(numbers) % every else see_nonce
        return sees(device_ns, sent_ns, received_ns)

    return see


@pytest.mark.parametrize("every", [1, 5, 10_000])
@pytest.mark.parametrize("drift_ppm", [-80, 0, 80])
def test_a_long_slew_is_one_slew_however_seldom_the_clock_is_read_exactly(
    every: int, drift_ppm: float
) -> None:
    for seed in range(5):
        device = Poller(Truth(0, drift_ppm), 60.0, random.Random(seed), see_aging_nonces(every))
        device.polls(60)
        slew_began_ns = device.start_ns + device.number * MINUTE_NS
        device.truth.slew(slew_began_ns, slew_began_ns + 120 * MINUTE_NS, 500)
        events: list[ClockEvent] = []
        outside = 0
        for look in (device.poll(device.next_turn_ns()) for _ in range(240)):
            events += device.clock.events
            outside += not look.holds_the_truth
        assert [event.kind for event in events] == ["slewing", "slewed"]
        # What ends a slew of 3.6 s is told late, after some drift.
        assert events[1].seconds == pytest.approx(3.6, abs=0.9)
        assert outside <= 6, "only before the slew is known"
