"""When a device is polled: pure arithmetic, in seconds."""

from __future__ import annotations

import hashlib
import math
from typing import Final

MAX_SHIFT_SECONDS: Final = 1.0
"""No poll begins and no request leaves further from its turn than this, for the clock's sake."""


def stable_hash(name: str) -> int:
    """A device's place among all, 0 to 2^64 - 1: Prometheus's `hashmod`, MD5's last 8 bytes."""
    return int.from_bytes(hashlib.md5(name.encode(), usedforsecurity=False).digest()[8:])


def first_wait(name: str, interval_seconds: float, now_unix: float) -> float:
    """How long until a device's first poll: to its turn, under one interval away.

    Turns follow from the name's hash and the wall clock, as Prometheus's do, so that a restart
    leaves them where they were.
    """
    turn = stable_hash(name) / 2**64 * interval_seconds
    return (turn - now_unix) % interval_seconds


def may_shift(shift_seconds: float, interval_seconds: float) -> bool:
    """Whether a poll may be that long after its turn, for the sake of reading the clock."""
    return interval_seconds >= MAX_SHIFT_SECONDS and shift_seconds < MAX_SHIFT_SECONDS


def following_turn(turn: float, interval_seconds: float, now: float) -> float:
    """The turn after `turn`; one that began within a shift's room before `now` is still taken."""
    room = MAX_SHIFT_SECONDS if interval_seconds >= MAX_SHIFT_SECONDS else 0.0
    return next_due(turn, interval_seconds, now - room)


def next_due(due: float, interval_seconds: float, now: float) -> float:
    """The first turn after `now` in the device's own rhythm; turns that passed are skipped."""
    turns = max(1, math.floor((now - due) / interval_seconds) + 1)
    return due + turns * interval_seconds
