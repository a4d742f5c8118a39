"""The interval always contains the truth, whatever devices and networks do."""

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.clock.host import HostTime
from exporter.clock.motion import Motion, begin
from exporter.clock.offset import (
    DATE_LAG_NS,
    DRIFT_ALLOWANCE_PPM,
    MAX_AGE_NS,
    MICROSECOND_NS,
    SECOND_NS,
    ClockSample,
    Estimate,
    offset_at,
)
from tests.support.simulated_time import Truth, see_date, see_nonce

MS = 1_000_000
seconds = st.floats(min_value=-1e9, max_value=1e9)


def test_a_point_is_as_wide_as_its_round_trip() -> None:
    seen = ClockSample.of(5 * SECOND_NS, MICROSECOND_NS, sent_ns=SECOND_NS, received_ns=1_010 * MS)
    assert seen.low_ns == pytest.approx(5 * SECOND_NS - 1_010 * MS, abs=8000)
    assert seen.high_ns == pytest.approx(4 * SECOND_NS, abs=8000)
    assert seen.is_point


def test_a_window_is_one_second_and_the_lag_wider_than_its_round_trip() -> None:
    seen = ClockSample.of(5 * SECOND_NS, SECOND_NS, sent_ns=SECOND_NS, received_ns=1_010 * MS)
    assert seen.low_ns == pytest.approx(5 * SECOND_NS - 1_010 * MS, abs=8000)
    assert seen.high_ns == pytest.approx(5 * SECOND_NS + DATE_LAG_NS, abs=8000)
    assert not seen.is_point


def test_the_new_estimate_is_the_intersection() -> None:
    before = Estimate(0, 500 * MS, at_ns=0)
    seen = ClockSample(300 * MS, 900 * MS, 1 * SECOND_NS, 0, is_point=False)
    after = before.intersect(seen, DRIFT_ALLOWANCE_PPM)
    assert after is not None
    assert after.low_ns == 300 * MS
    assert after.high_ns == pytest.approx(500 * MS, abs=MS)


def test_an_interval_widens_by_the_possible_drift() -> None:
    later = Estimate(0, 0, at_ns=0).at(1000 * SECOND_NS)
    assert later.high_ns == -later.low_ns
    assert later.high_ns == 1000 * SECOND_NS * DRIFT_ALLOWANCE_PPM // 1_000_000 + 1


def test_an_estimate_that_is_too_old_is_not_exported() -> None:
    assert offset_at(Estimate(0, 0, at_ns=0), HostTime(MAX_AGE_NS + 1, 0)) is None


def test_setting_the_hosts_clock_changes_the_offset_and_counts_no_step() -> None:
    before = Estimate(100 * SECOND_NS, 100 * SECOND_NS, at_ns=0)
    offset = offset_at(before, HostTime(steady_ns=0, unix_ns=100 * SECOND_NS))
    assert offset is not None
    assert offset.seconds == 0
    moved = offset_at(before, HostTime(steady_ns=0, unix_ns=103 * SECOND_NS))
    assert moved is not None
    assert moved.seconds == -3
    seen = ClockSample(100 * SECOND_NS, 100 * SECOND_NS, SECOND_NS, 0, is_point=True)
    assert begin(seen).follow(seen._replace(at_ns=2 * SECOND_NS)).event is None


@pytest.mark.parametrize("apart_seconds", [60, -60])
def test_the_offset_is_right_at_the_scrape_too_before_or_after_the_poll(apart_seconds: int) -> None:
    estimate = Estimate(0, 0, at_ns=100 * SECOND_NS)
    now_ns = (100 + apart_seconds) * SECOND_NS
    offset = offset_at(estimate, HostTime(now_ns, now_ns))
    assert offset is not None
    assert offset.uncertainty_seconds == pytest.approx(0.006, abs=1e-6)


def test_the_time_between_reading_the_hosts_two_clocks_adds_to_the_uncertainty() -> None:
    offset = offset_at(Estimate(0, 0, at_ns=0), HostTime(0, 0, bracket_ns=5 * MS))
    assert offset is not None
    assert offset.uncertainty_seconds == pytest.approx(0.005, abs=1e-6)


@pytest.mark.parametrize("device_year_seconds", [0, 4_294_967_295, 253_402_300_799])
def test_a_device_in_another_century_is_measured_too(device_year_seconds: int) -> None:
    unix_ns = 1_790_000_000 * SECOND_NS
    seen = ClockSample.of(device_year_seconds * SECOND_NS, SECOND_NS, sent_ns=0, received_ns=MS)
    offset = offset_at(begin(seen).estimate, HostTime(MS, unix_ns))
    assert offset is not None
    truth = device_year_seconds + 0.5 - 1_790_000_000
    assert offset.seconds == pytest.approx(truth, abs=0.51)


polls = st.lists(
    st.tuples(
        st.floats(min_value=0.1, max_value=600),  # since the last response
        st.floats(min_value=0, max_value=2),  # the round trip
        st.floats(min_value=0, max_value=1),  # when within the round trip the device read its clock
        st.booleans(),  # a nonce (else a Date)
    ),
    min_size=1,
    max_size=40,
)


@settings(max_examples=1000)
@given(seconds, st.floats(-DRIFT_ALLOWANCE_PPM, DRIFT_ALLOWANCE_PPM), polls)
def test_the_interval_contains_the_truth_at_every_poll_and_no_step_is_invented(
    offset: float, drift_ppm: float, schedule: list[tuple[float, float, float, bool]]
) -> None:
    truth = Truth(round(offset * SECOND_NS), drift_ppm)
    motion: Motion | None = None
    now = 0
    for pause, round_trip, fraction, with_nonce in schedule:
        sent = now + round(pause * SECOND_NS)
        now = sent + round(round_trip * SECOND_NS)
        read = sent + round(round_trip * fraction * SECOND_NS)
        see = see_nonce if with_nonce else see_date
        sample = see(read + truth.at(read), sent, now)
        motion = begin(sample) if motion is None else motion.follow(sample)
        assert motion.event is None
        estimate = motion.estimate
        assert estimate.low_ns <= truth.at(now) <= estimate.high_ns
        between = estimate.at(now + round(pause * SECOND_NS / 2))
        assert between.low_ns <= truth.at(between.at_ns) <= between.high_ns


@settings(max_examples=1000)
@given(
    seconds,
    st.floats(-DRIFT_ALLOWANCE_PPM, DRIFT_ALLOWANCE_PPM),
    st.lists(st.floats(0.1, 1e6) | st.floats(-1e6, -0.1), min_size=1, max_size=4),
    st.integers(0, 2**32),
)
def test_the_interval_contains_the_truth_after_every_step_that_nonces_show(
    offset: float, drift_ppm: float, sizes: list[float], seed: int
) -> None:
    rng = random.Random(seed)
    truth = Truth(round(offset * SECOND_NS), drift_ppm)
    motion: Motion | None = None
    counted = 0
    now = 0
    for number in range(30):
        sent = now + round(rng.uniform(1, 60) * SECOND_NS)
        if number % 6 == 5 and number // 6 < len(sizes):
            truth.steps[sent] = round(sizes[number // 6] * SECOND_NS)
        now = sent + rng.randint(0, 20 * MS)
        read = rng.randint(sent, now)
        sample = see_nonce(read + truth.at(read), sent, now)
        motion = begin(sample) if motion is None else motion.follow(sample)
        counted += motion.event is not None and motion.event.kind == "stepped"
        assert motion.estimate.low_ns <= truth.at(now) <= motion.estimate.high_ns
    assert counted == len(sizes)


def test_the_exported_offset_contains_the_truth_in_floats_too() -> None:
    rng = random.Random(1)
    for _ in range(2000):
        theta = rng.randint(-(10**19), 10**19)
        unix = rng.randint(10**18, 2 * 10**18)
        offset: Any = offset_at(Estimate(theta, theta, 5), HostTime(5, unix))
        assert abs(offset.seconds - (theta - unix + 5) / 1e9) <= offset.uncertainty_seconds
