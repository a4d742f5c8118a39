"""Estimate one device's clock from its responses, and decide when to sample it next. No I/O."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from exporter.clock.drift import Drift, DriftWindow
from exporter.clock.host import HostTime
from exporter.clock.motion import ClockEvent, Motion, begin
from exporter.clock.offset import (
    DATE_LAG_NS,
    SECOND_NS,
    ClockSample,
    Estimate,
    Offset,
    offset_at,
)
from exporter.clock.phase import (
    POINT_SUFFICES_NS,
    SHORTEST_HOLD_NS,
    PhaseState,
    SamplePhase,
    next_phase_state,
    shift_ns,
)

POLLS_KEPT: Final = 4
"""A longer connection time counts for this many polls, as some polls reuse a connection."""

LONGEST_RESERVE_NS: Final = 250_000_000
"""The most that a poll begins earlier because connection times vary."""


@dataclass(slots=True, eq=False)
class DeviceClock:
    """The estimate of one device's clock. All times are steady, in nanoseconds.

    `steps` counts the steps of the device's clock.
    `events` are the steps and slews that the last poll showed.
    """

    steps: int = 0
    events: tuple[ClockEvent, ...] = ()
    _motion: Motion | None = None
    _drift: DriftWindow = field(default_factory=DriftWindow)
    _phase_state: PhaseState = field(default_factory=PhaseState)
    _last_point_ns: int | None = None
    _round_trip_ns: int = 0
    _longest_connect_ns: int = 0
    _polls_since_longest: int = 0

    @property
    def estimate(self) -> Estimate | None:
        """The interval of theta at the last sample; `None` before the first."""
        return None if self._motion is None else self._motion.estimate

    @property
    def lead_ns(self) -> int:
        """How long before sending its request a poll begins, so that a connection is ready.

        A long connection time also varies, as with a TLS handshake, so half of it is added.
        """
        longest = self._longest_connect_ns
        if longest < SHORTEST_HOLD_NS:
            return longest
        return longest + min(longest // 2, LONGEST_RESERVE_NS)

    def take_poll(self, samples: Sequence[ClockSample], ready_after_ns: int | None) -> None:
        """Add the samples of one poll, oldest first; there may be none.

        `ready_after_ns`: the time from the poll's start until its request could be sent, `None`
        if there was no response.
        """
        self.events = ()
        self._polls_since_longest += 1
        if (
            ready_after_ns is None
            or ready_after_ns >= self._longest_connect_ns
            or self._polls_since_longest >= POLLS_KEPT
        ):
            self._longest_connect_ns, self._polls_since_longest = ready_after_ns or 0, 0
        for sample in samples:
            # Only a poll's first request is sent at the chosen phase.
            self._add(sample, in_phase=sample is samples[0])

    def _add(self, sample: ClockSample, *, in_phase: bool) -> None:
        before = self._motion
        self._motion = motion = begin(sample) if before is None else before.follow(sample)
        if motion.event is not None:
            self._take_event(motion.event)
        elif in_phase and before is not None:
            self._update_phase(motion.likely, sample)
        # A sample that does not narrow the interval hardly narrows the drift.
        if sample.low_ns == motion.estimate.low_ns or sample.high_ns == motion.estimate.high_ns:
            self._drift.add(sample)
        if sample.is_point:
            self._last_point_ns = sample.at_ns
        self._round_trip_ns = sample.round_trip_ns

    def _take_event(self, event: ClockEvent) -> None:
        self.events += (event,)
        if event.kind == "stepped":
            self.steps += 1
            self._drift = DriftWindow()
        if event.kind != "slewed":
            # The last precise sample is no longer true.
            phase = SamplePhase.MIDDLE
            if event.kind == "slewing":  # Was it a step?
                phase = SamplePhase.HIGH if event.seconds > 0 else SamplePhase.LOW
            self._phase_state, self._last_point_ns = PhaseState(phase), None

    def _update_phase(self, after: Estimate, sample: ClockSample) -> None:
        last_ns = self._last_point_ns
        has_recent_point = last_ns is not None and sample.at_ns - last_ns < POINT_SUFFICES_NS
        # Halving cannot make the interval narrower than the round trip and a late Date.
        gain_ns = 0 if has_recent_point else after.width_ns - sample.round_trip_ns - DATE_LAG_NS
        was_later = after.low_ns == sample.low_ns
        self._phase_state = next_phase_state(
            self._phase_state, was_later=was_later, gain_ns=gain_ns
        )

    @property
    def drift(self) -> Drift | None:
        """How fast the device's clock drifts against the host's, or `None` while unknown."""
        return self._drift.drift

    def offset(self, now: HostTime) -> Offset | None:
        """Return the device's clock minus the host's, or `None` while unknown."""
        if self._motion is None:
            return None
        return offset_at(self._motion.estimate, now, is_date_only=self._last_point_ns is None)

    def shift_seconds(self, send_ns: int) -> float:
        """Return how much later than `send_ns` to send for the best sample: 0 to under 1 s."""
        if self._motion is None:
            return 0.0
        expected = self._motion.likely.at(send_ns)
        return shift_ns(self._phase_state.phase, expected, send_ns, self._round_trip_ns) / SECOND_NS
