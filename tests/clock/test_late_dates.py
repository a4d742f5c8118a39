"""Servers that read the kernel's coarse clock: their `Date` is up to 10 ms late, a nonce is not.

`CLOCK_OBSERVATIONS=1000000 pytest tests/clock/test_late_dates.py` is the long run.
"""

import os
import random

import pytest

from exporter.clock.offset import DATE_LAG_NS, ClockSample
from tests.support.simulated_time import Poller, Truth, see_date, see_nonce

OBSERVATIONS = int(os.environ.get("CLOCK_OBSERVATIONS", "100000"))
DEVICES = 40


def late_server(rng: random.Random, exact_share: float) -> Poller:
    """Make a device whose Dates lag by 0 to 10 ms, always the same or each by another time."""
    fixed_ns = rng.choice([None, 0, DATE_LAG_NS, rng.randint(0, DATE_LAG_NS)])

    def see(device_ns: int, sent_ns: int, received_ns: int) -> ClockSample:
        if rng.random() < exact_share:
            return see_nonce(device_ns, sent_ns, received_ns)
        lag_ns = rng.randint(0, DATE_LAG_NS) if fixed_ns is None else fixed_ns
        return see_date(device_ns - lag_ns, sent_ns, received_ns)

    truth = Truth(rng.randint(-(10**18), 10**18), rng.choice([-100, 100, rng.uniform(-100, 100)]))
    interval = rng.choice([0.5, 1.0, 15.0, 60.0, 600.0])
    return Poller(truth, interval, rng, see, start_ns=rng.randint(0, 10**10))


@pytest.mark.parametrize("lost", [0.0, 0.3])
@pytest.mark.parametrize("exact_share", [0.0, 0.1, 0.9])
def test_late_dates_invent_no_step_and_the_truth_is_always_inside(
    exact_share: float, lost: float
) -> None:
    for number in range(DEVICES):
        rng = random.Random(f"{exact_share} {lost} {number}")
        subject = late_server(rng, exact_share)
        observed = 0
        while observed < OBSERVATIONS / (6 * DEVICES):
            turn_ns = subject.next_turn_ns()
            if rng.random() < lost:
                continue
            look = subject.poll(turn_ns)
            observed += 1
            assert not look.stepped, (number, observed, subject.clock.events)
            assert look.holds_the_truth, (number, observed, look)
