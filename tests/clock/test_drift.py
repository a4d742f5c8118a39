"""The drift always contains the true one of a clock of constant rate, and gets precise."""

import random
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.clock.drift import SLOT_NS, WINDOW_NS, DriftWindow
from exporter.clock.offset import SECOND_NS, SLEW_ALLOWANCE_PPM, ClockSample
from tests.support.simulated_time import Poller, See, Truth, see_date, see_nonce

MS = 1_000_000
MINUTE_NS = 60 * SECOND_NS


def sample(theta_ns: float, at_ns: int, width_ns: int = 5 * MS) -> ClockSample:
    low = round(theta_ns) - width_ns // 2
    return ClockSample(low, low + width_ns, at_ns, width_ns, is_point=True)


def add_line(window: DriftWindow, rate_ppm: float, start_ns: int, polls: int) -> None:
    """Add one sample per minute of a clock of constant rate."""
    for at_ns in range(start_ns, start_ns + polls * MINUTE_NS, MINUTE_NS):
        window.add(sample((at_ns - start_ns) * rate_ppm / 1e6, at_ns))


def test_the_drift_is_unknown_until_it_is_known_to_100_ppm() -> None:
    window, known = DriftWindow(), []
    for at_seconds in (0, 90, 180):  # 10 ms in 90 s are 111 ppm
        window.add(sample(18e-6 * at_seconds * SECOND_NS, at_seconds * SECOND_NS, 10 * MS))
        known.append(window.drift is not None)
    assert known == [False, False, True]


def test_two_samples_allow_the_slopes_between_their_opposite_ends() -> None:
    window = DriftWindow()
    window.add(sample(0, 0, 2 * MS))
    window.add(sample(10 * MS, 1000 * SECOND_NS, 4 * MS))
    assert window.drift == pytest.approx((10e-6, 3e-6 + 1e-9), rel=1e-6)


def test_a_sample_of_the_same_moment_is_ignored() -> None:
    window = DriftWindow()
    window.add(sample(0, 5))
    window.add(sample(9 * MS, 5))
    window.add(sample(0, 5 + 1000 * SECOND_NS))
    assert window.drift == pytest.approx((0, 5e-6 + 1e-9))


def test_samples_older_than_an_hour_do_not_count() -> None:
    window = DriftWindow()
    add_line(window, 50, 0, 10)
    window.add(sample(0, WINDOW_NS + 10 * MINUTE_NS))
    assert window.drift is None


def test_of_a_slot_no_end_older_than_an_hour_counts() -> None:
    window = DriftWindow()
    for seconds, low, high in ((0, -1, 1), (800, -1, 1), (890, 0, 3)):  # the last narrows below
        window.add(ClockSample(low * MS, high * MS, seconds * SECOND_NS, MS, is_point=True))
    assert window.drift is not None
    window.add(sample(0, WINDOW_NS + 50 * SECOND_NS, 2 * MS))
    assert window.drift is None


def test_the_samples_that_contradict_a_new_one_are_forgotten_the_oldest_first() -> None:
    window = DriftWindow()
    add_line(window, 90, 0, 30)
    turn_ns = 30 * MINUTE_NS
    for minute in range(25):
        window.add(sample(90e-6 * turn_ns, turn_ns + minute * MINUTE_NS))
    assert window.drift is not None
    assert abs(window.drift.ratio) <= window.drift.uncertainty_ratio < 5e-6


polls = st.lists(
    st.tuples(
        st.floats(0.001, 1200),  # since the last response
        st.floats(0, 2),  # the round trip
        st.floats(0, 1),  # when within it the device read its clock
        st.sampled_from([see_date, see_nonce]),
    ),
    min_size=2,
    max_size=200,
)


@settings(max_examples=500)
@given(st.floats(-1e9, 1e9), st.floats(-SLEW_ALLOWANCE_PPM, SLEW_ALLOWANCE_PPM), polls)
def test_the_true_drift_of_a_constant_clock_is_always_inside(
    offset: float,
    drift_ppm: float,
    schedule: list[tuple[float, float, float, See]],
) -> None:
    truth, window, now = Truth(round(offset * SECOND_NS), drift_ppm), DriftWindow(), 0
    for pause, round_trip, fraction, see in schedule:
        sent = now + round(pause * SECOND_NS)
        now = sent + round(round_trip * SECOND_NS)
        read = sent + round(round_trip * fraction * SECOND_NS)
        window.add(see(read + truth.at(read), sent, now))
        if (drift := window.drift) is not None:
            assert abs(drift.ratio - drift_ppm / 1e6) <= drift.uncertainty_ratio


@pytest.mark.parametrize(
    ("see", "bar_ppm", "most_drift_ppm"),
    [(see_nonce, 3, 100), (see_date, 15, 50)],
)
def test_after_an_hour_of_polls_once_a_minute_the_drift_is_known_to(
    see: See, bar_ppm: float, most_drift_ppm: float
) -> None:
    for seed in range(50):
        rng = random.Random(seed)
        drift_ppm = rng.uniform(-most_drift_ppm, most_drift_ppm)
        subject = Poller(Truth(rng.randint(-(10**12), 10**12), drift_ppm), 60.0, rng, see)
        subject.round_trip_seconds = (0.005, 0.005)
        subject.polls(60)
        for _ in range(60):
            subject.polls(1)
            drift = subject.clock.drift
            assert drift is not None
            assert abs(drift.ratio - drift_ppm / 1e6) <= drift.uncertainty_ratio
            assert drift.uncertainty_ratio <= bar_ppm / 1e6, seed


def test_after_a_step_the_drift_is_unknown_until_it_is_measured_again() -> None:
    subject = Poller(Truth(0, 20), 60.0, random.Random(1), see_nonce)
    subject.polls(30)
    known = [subject.clock.drift is not None]
    subject.step(2)
    for _ in range(3):
        subject.polls(1)
        known.append(subject.clock.drift is not None)
    assert known == [True, False, False, True]


def test_of_precise_samples_in_quick_succession_only_the_first_counts() -> None:
    window = DriftWindow()
    for seconds in (0, 100, 150):
        window.add(sample(0, seconds * SECOND_NS))
    drift = window.drift
    window.add(sample(0, 189 * SECOND_NS))
    assert window.drift == drift
    window.add(sample(0, 190 * SECOND_NS))
    assert window.drift != drift


def test_a_slew_is_a_drift_while_it_lasts() -> None:
    window = DriftWindow()
    add_line(window, 500, 0, 20)
    assert window.drift is not None
    assert window.drift.ratio == pytest.approx(500e-6, abs=3e-6)


@pytest.mark.parametrize("interval_seconds", [0.5, 60, 600])
def test_a_window_takes_a_few_hundred_bytes(interval_seconds: float) -> None:
    window = DriftWindow()
    for number in range(10_000):
        window.add(sample(0, round(number * interval_seconds * SECOND_NS)))
    held = [window, window._slots, window._least, window._greatest]
    assert sum(map(sys.getsizeof, held)) < 500
    assert len(window._slots) // 4 <= WINDOW_NS // SLOT_NS + 1
