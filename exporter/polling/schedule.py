"""When a device is polled: pure arithmetic, in seconds.

A device has a turn in each interval. Within its turn, a poll may be shifted by up to a second, so
that its response shows as much as possible of the device's clock.
"""

import hashlib
import math
from typing import Final, NamedTuple

from exporter.clock.estimator import DeviceClock
from exporter.clock.offset import SECOND_NS

MAX_SHIFT_SECONDS: Final = 1.0
"""No poll begins and no request leaves further from its turn than this."""


class PlannedPoll(NamedTuple):
    """A poll of a turn; steady seconds. `send_at_ns` is steady nanoseconds, 0 for "at once"."""

    turn: float
    due: float
    send_at_ns: int = 0


def stable_hash(name: str) -> int:
    """Return 0 to 2^64 - 1, as Prometheus's `hashmod` does: the last 8 bytes of the MD5."""
    return int.from_bytes(hashlib.md5(name.encode(), usedforsecurity=False).digest()[8:])


def first_wait(name: str, interval_seconds: float, now_unix: float) -> float:
    """Return how long to wait for a device's first turn, less than one interval.

    Turns depend on the name's hash and the wall clock, as Prometheus's do: a restart does not
    move them.
    """
    turn = stable_hash(name) / 2**64 * interval_seconds
    return (turn - now_unix) % interval_seconds


def early_poll_wait(due: float | None, interval_seconds: float, now: float) -> float:
    """Return how long to wait until the next poll, due then, may be made early; 0 if it may be now.

    A poll that is made early takes the next turn. Only one turn may be taken in advance: so however
    often somebody asks, a device is polled once more than it has turns.
    """
    if due is None:
        return 0.0
    return max(0.0, due - now - interval_seconds - MAX_SHIFT_SECONDS)


def following_turn(turn: float, interval_seconds: float, now: float) -> float:
    """Return the turn after `turn`; one that began less than a shift before `now` still counts."""
    room = MAX_SHIFT_SECONDS if interval_seconds >= MAX_SHIFT_SECONDS else 0.0
    return next_turn(turn, interval_seconds, now - room)


def next_turn(turn: float, interval_seconds: float, now: float) -> float:
    """Return the first turn after `now`; turns that have passed are skipped."""
    turns = max(1, math.floor((now - turn) / interval_seconds) + 1)
    return turn + turns * interval_seconds


def plan_poll(clock: DeviceClock, turn: float, interval_seconds: float, now: float) -> PlannedPoll:
    """Plan the poll of a turn for the time at which it shows the most of the device's clock."""
    lead = clock.lead_ns / SECOND_NS
    send = max(turn, now + lead)
    send += clock.shift_seconds(round(send * SECOND_NS))
    if interval_seconds >= MAX_SHIFT_SECONDS and max(send - turn, lead) < MAX_SHIFT_SECONDS:
        return PlannedPoll(turn, send - lead, round(send * SECOND_NS))
    return PlannedPoll(turn, max(turn, now))
