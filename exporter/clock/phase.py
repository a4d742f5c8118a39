"""When within a second to poll, so that a `Date` in whole seconds shows the most. No I/O.

A `Date` shows only whether the device's clock had reached a full second when it was read. A poll
in the middle of the estimate's interval halves the interval. A poll at one of its ends, where the
answer is already known, halves nothing but detects a step: LOW one backward, HIGH one forward.
docs/clock.md explains the order of the phases.
"""

from enum import Enum
from typing import Final, NamedTuple

from exporter.clock.offset import DATE_LAG_NS, SECOND_NS, Estimate

SHORTEST_HOLD_NS: Final = 2_000_000
"""Shorter waits are skipped: a timer of the event loop is no more precise than this."""

WIDE_NS: Final = 20_000_000
"""Above this gain, halvings continue between checks."""

TOO_WIDE_TO_CHECK_NS: Final = 200_000_000
"""Above this gain, there are no checks: they would detect only large steps."""

LATER_IN_A_ROW: Final = 3
"""The upper end is checked after this many consecutive halvings that kept the upper half."""

POINT_SUFFICES_NS: Final = 600 * SECOND_NS
"""While a sample in microseconds is younger than this, halving gains nothing."""


class SamplePhase(Enum):
    """The part of the estimate's interval that the next `Date` compares with a full second."""

    LOW = "low"
    MIDDLE = "middle"
    HIGH = "high"


class PhaseState(NamedTuple):
    """The next poll's phase, and how many halvings in a row have kept the upper half."""

    phase: SamplePhase = SamplePhase.MIDDLE
    later_in_a_row: int = 0


def next_phase_state(last: PhaseState, *, was_later: bool, gain_ns: int) -> PhaseState:
    """Return the state after a poll.

    `was_later`: the device's clock was later than the middle of the interval. `gain_ns`: how much
    of the interval further halvings can remove. LOW follows every poll that would look the same
    if the clock had been set back, so that such a step is detected within two polls.
    """
    if gain_ns > TOO_WIDE_TO_CHECK_NS:
        return PhaseState(SamplePhase.MIDDLE)
    if last.phase is SamplePhase.LOW:
        return last._replace(phase=SamplePhase.MIDDLE if gain_ns > WIDE_NS else SamplePhase.HIGH)
    if last.phase is SamplePhase.HIGH or not was_later:
        return PhaseState(SamplePhase.LOW)
    later = last.later_in_a_row + 1
    if later >= LATER_IN_A_ROW:
        return PhaseState(SamplePhase.HIGH)
    return PhaseState(SamplePhase.MIDDLE if gain_ns > WIDE_NS else SamplePhase.LOW, later)


def shift_ns(phase: SamplePhase, expected: Estimate, send_ns: int, round_trip_ns: int) -> int:
    """Return how much later than `send_ns` (steady) to send: 0 to under one second.

    `expected` is the estimate at `send_ns`.
    """
    if phase is SamplePhase.MIDDLE:
        read_ns = send_ns + (round_trip_ns - DATE_LAG_NS) // 2
        return -(read_ns + expected.middle_ns) % SECOND_NS
    if phase is SamplePhase.LOW:
        return _shift_into(_LOW_WINDOW, (send_ns + expected.low_ns) % SECOND_NS)
    return _shift_into(_HIGH_WINDOW, (send_ns + round_trip_ns + expected.high_ns) % SECOND_NS)


# The part of the device's second in which a check is sent: just after the full second for LOW,
# just before it for HIGH; for LOW a `Date` may be late besides. The closer, the smaller the steps
# that it detects; a poll's jitter sets the limit.
_LOW_WINDOW: Final = (DATE_LAG_NS + 3_000_000, DATE_LAG_NS + 30_000_000)
_HIGH_WINDOW: Final = (970_000_000, 997_000_000)


def _shift_into(window: tuple[int, int], time_in_second_ns: int) -> int:
    start, end = window
    if start <= time_in_second_ns < end:
        return 0
    return ((start + end) // 2 - time_in_second_ns) % SECOND_NS


def hold_ns(send_at_ns: int, ready_ns: int) -> int:
    """Return how long a request that is ready has to wait for its time to leave."""
    wait_ns = send_at_ns - ready_ns
    return wait_ns if wait_ns > SHORTEST_HOLD_NS else 0
