"""What is known of one device's clock, and when to look at it next. Times passed in; no I/O."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from exporter.clock.host import HostTime
from exporter.clock.offset import (
    MAX_AGE_NS,
    SECOND_NS,
    ClockSample,
    Estimate,
    Offset,
    intersect,
    offset_at,
)
from exporter.clock.phase import POINT_SUFFICES_NS, PhaseState, next_phase_state, shift_ns
from exporter.vapix.hold import SHORTEST_HOLD_NS

POLLS_KEPT: Final = 4
"""So many polls tell how long a connection takes: some may have found one that was kept."""

LONGEST_RESERVE_NS: Final = 250_000_000
"""No request is held back for more than this on account of connections that vary."""


class DeviceClock:
    """The estimate of a device's clock over its polls. Steady times in nanoseconds.

    `steps` counts the jumps of the device's clock seen so far; `last_step_seconds` is the one
    that the last poll showed, `None` if it showed none.
    """

    __slots__ = (
        "_aiming",
        "_estimate",
        "_point_at_ns",
        "_ready_after_ns",
        "_round_trip_ns",
        "last_step_seconds",
        "steps",
    )

    def __init__(self) -> None:
        self.steps = 0
        self.last_step_seconds: float | None = None
        self._estimate: Estimate | None = None
        self._aiming = PhaseState()
        self._point_at_ns: int | None = None
        self._round_trip_ns = 0
        self._ready_after_ns: tuple[int, ...] = ()

    @property
    def estimate(self) -> Estimate | None:
        """The estimate of the device's clock; `None` before the first response."""
        return self._estimate

    @property
    def lead_ns(self) -> int:
        """How long before its request is to leave a poll is to begin: the connection takes time.

        Where that is long it also varies, as a TLS handshake does: so there is a reserve, for
        which the request is held back.
        """
        longest = max(self._ready_after_ns, default=0)
        if longest < SHORTEST_HOLD_NS:
            return longest
        return longest + min(longest // 2, LONGEST_RESERVE_NS)

    def take_poll(self, observations: Sequence[ClockSample], ready_after_ns: int | None) -> None:
        """Take in what a poll has shown; nothing if it showed nothing.

        `ready_after_ns`: how long after it began its request could leave; `None` if no answer came.
        """
        self.last_step_seconds = None
        last = self._ready_after_ns[: POLLS_KEPT - 1]
        self._ready_after_ns = () if ready_after_ns is None else (ready_after_ns, *last)
        for seen in observations:
            # Only the first of a poll's requests was sent at the moment aimed at.
            self._take(seen, aimed=seen is observations[0])

    def _take(self, seen: ClockSample, *, aimed: bool) -> None:
        before = self._estimate
        self._estimate, step_ns = intersect(before, seen)
        if step_ns is not None:
            self._take_step(step_ns)
        elif aimed and before is not None:
            self._take_aim(self._estimate, seen)
        if seen.is_point:
            self._point_at_ns = seen.at_ns
        self._round_trip_ns = seen.round_trip_ns

    def _take_step(self, step_ns: int) -> None:
        self.steps += 1
        self.last_step_seconds = step_ns / SECOND_NS
        self._aiming = PhaseState()
        # The point of before says nothing of a clock that has jumped since.
        self._point_at_ns = None

    def _take_aim(self, after: Estimate, seen: ClockSample) -> None:
        said_later = after.low_ns == seen.low_ns
        # What is left above the round trip, below which no halving gets.
        gain_ns = 0 if self._has_fresh_point(seen.at_ns) else after.width_ns - seen.round_trip_ns
        self._aiming = next_phase_state(self._aiming, said_later=said_later, gain_ns=gain_ns)

    def _has_fresh_point(self, now_ns: int) -> bool:
        return self._point_at_ns is not None and now_ns - self._point_at_ns < POINT_SUFFICES_NS

    def offset(self, now: HostTime) -> Offset | None:
        """The device's clock minus the host's; `None` while unknown."""
        return None if self._estimate is None else offset_at(self._estimate, now)

    def rough_offset_seconds(self, now: HostTime) -> float | None:
        """`offset` without its uncertainty, to a microsecond: cheap enough for every poll."""
        seen = self._estimate
        if seen is None or now.steady_ns - seen.at_ns > MAX_AGE_NS:
            return None
        return (seen.low_ns + seen.high_ns - 2 * now.unix_minus_steady_ns) / (2 * SECOND_NS)

    def shift_seconds(self, send_ns: int) -> float:
        """How much later than at `send_ns` to ask so that it tells the most: 0 to under 1 s."""
        if self._estimate is None:
            return 0.0
        expected = self._estimate.at(send_ns)
        return shift_ns(self._aiming.aim, expected, send_ns, self._round_trip_ns) / SECOND_NS
