"""When a device is polled: pure arithmetic on a monotonic clock, in seconds."""

from __future__ import annotations

import hashlib
import math


def stable_hash(name: str) -> int:
    """A device's place among all, 0 to 2^64 - 1: Prometheus's `hashmod`, MD5's last 8 bytes."""
    return int.from_bytes(hashlib.md5(name.encode(), usedforsecurity=False).digest()[8:])


def first_due(name: str, interval_seconds: float, start: float) -> float:
    """When a device's first poll is due: within one interval, where its name's hash puts it."""
    return start + stable_hash(name) / 2**64 * interval_seconds


def next_due(due: float, interval_seconds: float, now: float) -> float:
    """The first turn after `now` in the device's own rhythm; turns that passed are skipped."""
    turns = max(1, math.floor((now - due) / interval_seconds) + 1)
    return due + turns * interval_seconds
