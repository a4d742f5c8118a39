"""Tell how a device's clock moved: it drifted, was slewed, or stepped. No I/O.

Two intervals are kept: one for a clock that drifts, and a wider one for a clock that is slewed
too, as OpenNTPD on older firmware does at 500 ppm for hours. A sample that contradicts the first
shows a slew; one that contradicts both shows a step.
"""

from typing import Final, Literal, NamedTuple

from exporter.clock.offset import (
    DRIFT_ALLOWANCE_PPM,
    MAX_AGE_NS,
    SECOND_NS,
    SLEW_ALLOWANCE_PPM,
    ClockSample,
    Estimate,
)

SLEW_OVER_AFTER_NS: Final = 600 * SECOND_NS
"""A slew is over when drift alone has explained all samples for this long."""


class Slew(NamedTuple):
    """A slew in progress: theta's estimate before it, and when drift last explained too little."""

    middle_before_ns: int
    last_seen_ns: int


class ClockEvent(NamedTuple):
    """A step, the start of a slew or its end.

    `seconds` is how far the clock has moved by it so far, forward or back.
    """

    kind: Literal["stepped", "slewing", "slewed"]
    seconds: float


class Motion(NamedTuple):
    """What is known of a clock's motion after a sample.

    `estimate` contains theta. `unless_stepped` does so if there was no step since its first sample,
    however the clock was slewed. `event` is what the last sample has shown.
    """

    estimate: Estimate
    unless_stepped: Estimate
    slew: Slew | None = None
    event: ClockEvent | None = None

    @property
    def likely(self) -> Estimate:
        """The narrower interval: the one to make still narrower, or to prove a step with."""
        drifting, slewing = self.estimate, self.unless_stepped
        return drifting if drifting.width_ns <= slewing.width_ns else slewing

    def follow(self, sample: ClockSample) -> "Motion":
        """Return what is known after one more sample."""
        before = self.estimate
        if sample.at_ns - before.at_ns > MAX_AGE_NS:
            return begin(sample)
        unless_stepped = self.unless_stepped.intersect(sample, SLEW_ALLOWANCE_PPM)
        if unless_stepped is None:
            fresh = begin(sample)
            return fresh._replace(event=_event("stepped", fresh.estimate, before.middle_ns))
        drifted = before.intersect(sample, DRIFT_ALLOWANCE_PPM)
        if drifted is None:
            return self._slewed(unless_stepped, sample)
        if self.slew is None:
            return Motion(drifted, unless_stepped)
        estimate = before.intersect(sample, SLEW_ALLOWANCE_PPM) or drifted
        if sample.at_ns - self.slew.last_seen_ns < SLEW_OVER_AFTER_NS:
            return Motion(estimate, unless_stepped, self.slew)
        event = _event("slewed", estimate, self.slew.middle_before_ns)
        return Motion(
            estimate._replace(allowance_ppm=DRIFT_ALLOWANCE_PPM), unless_stepped, None, event
        )

    def _slewed(self, unless_stepped: Estimate, sample: ClockSample) -> "Motion":
        """Return what is known after a sample that drift does not explain."""
        estimate = Estimate(sample.low_ns, sample.high_ns, sample.at_ns, SLEW_ALLOWANCE_PPM)
        if self.slew is not None:
            slew = self.slew._replace(last_seen_ns=sample.at_ns)
            return Motion(estimate, unless_stepped, slew)
        slew = Slew(self.estimate.middle_ns, sample.at_ns)
        event = _event("slewing", unless_stepped, slew.middle_before_ns)
        return Motion(estimate, unless_stepped, slew, event)


def begin(sample: ClockSample) -> Motion:
    """Return what is known after the first sample."""
    estimate = Estimate(sample.low_ns, sample.high_ns, sample.at_ns)
    return Motion(estimate, estimate)


def _event(
    kind: Literal["stepped", "slewing", "slewed"], now: Estimate, before_ns: int
) -> ClockEvent:
    return ClockEvent(kind, (now.middle_ns - before_ns) / SECOND_NS)
