"""When within a second to poll, so that a `Date` cut to seconds tells the most. Pure.

A `Date` says only whether the device's clock had reached a full second k when it was read. Asked
in the middle of the interval that holds the clock, it halves the interval. Asked where the
interval leaves no doubt about the answer, it shows a clock that has jumped out of it: LOW shows a
jump backward, HIGH one forward. docs/clock.md tells why the order of aims is as it is.
"""

from __future__ import annotations

from enum import Enum
from typing import Final, NamedTuple

from exporter.clock.offset import SECOND_NS, Estimate

WIDE_NS: Final = 20_000_000
"""While there is more than this to gain, halvings go on between checks."""

TOO_WIDE_TO_CHECK_NS: Final = 200_000_000
"""While there is more than this to gain, nothing is checked: it would show little."""

SHORTEST_HOLD_NS: Final = 2_000_000
"""A timer of the event loop is not more precise than this: a shorter wait is pointless."""

LATER_IN_A_ROW: Final = 5
"""After so many halvings in a row that all said "later", the upper end is checked."""

POINT_SUFFICES_NS: Final = 600 * SECOND_NS
"""While a reading in microseconds is younger than this, halving adds nothing."""


class SamplePhase(Enum):
    """Where in the interval the device's full second is to fall."""

    LOW = "low"
    MIDDLE = "middle"
    HIGH = "high"


class PhaseState(NamedTuple):
    """The present aim, and how many halvings in a row said "later"."""

    aim: SamplePhase = SamplePhase.MIDDLE
    later_in_a_row: int = 0


def next_phase_state(last: PhaseState, *, said_later: bool, gain_ns: int) -> PhaseState:
    """The aim after a poll that left `gain_ns` of the interval for halvings to take away.

    `said_later`: the device's clock had passed the middle. A check of the lower end follows
    everything that a clock set back would pass unnoticed, so that it is seen within two polls.
    """
    if gain_ns > TOO_WIDE_TO_CHECK_NS:
        return PhaseState(SamplePhase.MIDDLE)
    if last.aim is SamplePhase.LOW:
        return last._replace(aim=SamplePhase.MIDDLE if gain_ns > WIDE_NS else SamplePhase.HIGH)
    if last.aim is SamplePhase.HIGH or not said_later:
        return PhaseState(SamplePhase.LOW)
    later = last.later_in_a_row + 1
    if later >= LATER_IN_A_ROW:
        return PhaseState(SamplePhase.HIGH)
    return PhaseState(SamplePhase.MIDDLE if gain_ns > WIDE_NS else SamplePhase.LOW, later)


def shift_ns(aim: SamplePhase, expected: Estimate, send_ns: int, round_trip_ns: int) -> int:
    """How much later than `send_ns` (steady) to send, 0 to under one second.

    `expected` is the estimate for that time, `round_trip_ns` what a round trip takes.
    """
    if aim is SamplePhase.MIDDLE:
        return -(send_ns + round_trip_ns // 2 + expected.middle_ns) % SECOND_NS
    if aim is SamplePhase.LOW:
        return _into(_LOW_WINDOW, (send_ns + expected.low_ns) % SECOND_NS)
    return _into(_HIGH_WINDOW, (send_ns + round_trip_ns + expected.high_ns) % SECOND_NS)


# Where in the device's second a check falls, just after it for LOW and just before it for HIGH:
# as close as the jitter of a poll lets us come, for a smaller jump passes unnoticed.
_LOW_WINDOW: Final = (3_000_000, 30_000_000)
_HIGH_WINDOW: Final = (970_000_000, 997_000_000)


def _into(window: tuple[int, int], phase_ns: int) -> int:
    start, end = window
    return 0 if start <= phase_ns < end else ((start + end) // 2 - phase_ns) % SECOND_NS


def hold_ns(send_at_ns: int, ready_ns: int) -> int:
    """Return how long a request that is ready has to wait for its time to leave."""
    wait_ns = send_at_ns - ready_ns
    return wait_ns if wait_ns > SHORTEST_HOLD_NS else 0
