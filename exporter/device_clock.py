"""What is known of one device's clock, and when to look at it next. Times passed in; no I/O."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from exporter.aim import POINT_SUFFICES_NS, Aiming, next_aiming, shift_ns
from exporter.clock import SECOND_NS, Estimate, Observation, Offset, combine, offset_at
from exporter.host_clock import HostTime

STEADY_LEAD_NS: Final = 2_000_000
"""A kept connection is ready sooner than this, and then it hardly varies."""

LONGEST_LEAD_NS: Final = 250_000_000
"""No poll begins more than this before its request is to leave."""


class DeviceClock:
    """The estimate of a device's clock over its polls. Steady times in nanoseconds.

    `steps` counts the jumps of the device's clock seen so far; `last_step_seconds` is the one
    that the last poll showed, `None` if it showed none.
    """

    __slots__ = (
        "_aiming",
        "_estimate",
        "_lead_ns",
        "_point_at_ns",
        "_round_trip_ns",
        "last_step_seconds",
        "steps",
    )

    def __init__(self) -> None:
        self.steps = 0
        self.last_step_seconds: float | None = None
        self._estimate: Estimate | None = None
        self._aiming = Aiming()
        self._point_at_ns: int | None = None
        self._round_trip_ns = 0
        self._lead_ns = 0

    @property
    def lead_ns(self) -> int:
        """How long before it is to send a request a poll is to begin: the connection takes time.

        Where that is long it also varies, as a TLS handshake does; the request is held back then.
        """
        if self._lead_ns < STEADY_LEAD_NS:
            return self._lead_ns
        return min(self._lead_ns * 3 // 2, LONGEST_LEAD_NS)

    def take_poll(self, observations: Sequence[Observation], lead_ns: int) -> None:
        """Take in what a poll has shown; nothing if it showed nothing.

        `lead_ns`: how long after it was due its first request could be sent.
        """
        self.last_step_seconds = None
        if observations:
            self._lead_ns = lead_ns
            self._take_aim(observations[0])
        for seen in observations:
            self._take(seen)

    def _take(self, seen: Observation) -> None:
        self._estimate, step_ns = combine(self._estimate, seen)
        self._round_trip_ns = seen.round_trip_ns
        if seen.is_point:
            self._point_at_ns = seen.at_ns
        elif step_ns is not None:
            # The point of before says nothing of a clock that has jumped since.
            self._point_at_ns = None
        if step_ns is not None:
            self.steps += 1
            self.last_step_seconds = step_ns / SECOND_NS

    def _take_aim(self, seen: Observation) -> None:
        if self._estimate is None:
            return
        said_later = seen.low_ns > self._estimate.at(seen.at_ns).low_ns
        # No halving gets below the round trip: what is left above it is what can be gained.
        left_ns = combine(self._estimate, seen)[0].width_ns - seen.round_trip_ns
        gain_ns = 0 if self._has_fresh_point(seen.at_ns) else left_ns
        self._aiming = next_aiming(self._aiming, said_later=said_later, gain_ns=gain_ns)

    def _has_fresh_point(self, now_ns: int) -> bool:
        return self._point_at_ns is not None and now_ns - self._point_at_ns < POINT_SUFFICES_NS

    def offset(self, now: HostTime) -> Offset | None:
        """The device's clock minus the host's; `None` while unknown."""
        return None if self._estimate is None else offset_at(self._estimate, now)

    def shift_seconds(self, due_ns: int) -> float:
        """How much later than at `due_ns` to poll so that it tells the most: 0 to under 1 s."""
        if self._estimate is None:
            return 0.0
        send_ns = due_ns + self.lead_ns
        expected = self._estimate.at(send_ns)
        return shift_ns(self._aiming.aim, expected, send_ns, self._round_trip_ns) / SECOND_NS
