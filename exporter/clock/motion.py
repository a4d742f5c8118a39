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
    drift_ns,
)

SLEW_OVER_AFTER_NS: Final = 600 * SECOND_NS
"""A slew is over when theta has certainly changed slowly for this long."""

SLOW_PPM: Final = 250
"""Halfway from the fastest drift, 100 ppm, to the slowest slew, 500 ppm less that drift."""


class Slew(NamedTuple):
    """A slew in progress: theta's middle before it, and the estimate when it was last certain."""

    middle_before_ns: int
    last_certain: Estimate

    def goes_on(self, now: Estimate) -> bool:
        """Return whether theta has certainly changed fast since `last_certain`."""
        before, slow_ns = self.last_certain, self._slow_ns(now)
        return now.low_ns - before.high_ns > slow_ns or now.high_ns - before.low_ns < -slow_ns

    def is_over(self, now: Estimate) -> bool:
        """Return whether theta has certainly changed slowly since `last_certain`."""
        before, slow_ns = self.last_certain, self._slow_ns(now)
        return (
            now.at_ns - before.at_ns >= SLEW_OVER_AFTER_NS
            and now.low_ns - before.high_ns >= -slow_ns
            and now.high_ns - before.low_ns <= slow_ns
        )

    def _slow_ns(self, now: Estimate) -> int:
        return drift_ns(now.at_ns - self.last_certain.at_ns, SLOW_PPM)


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
        if drifted is not None and self.slew is None:
            # An exact sample is narrower than both: then one object, to save memory.
            is_one = drifted[:2] == unless_stepped[:2]
            return Motion(drifted, drifted if is_one else unless_stepped)
        estimate = before.intersect(sample, before.allowance_ppm) or _alone(sample)
        if self.slew is None:
            event = _event("slewing", unless_stepped, before.middle_ns)
            return Motion(estimate, unless_stepped, Slew(before.middle_ns, estimate), event)
        if drifted is None or self.slew.goes_on(estimate):
            slew = self.slew._replace(last_certain=estimate)
            return Motion(estimate, unless_stepped, slew)
        return self._end_slew(self.slew, estimate, unless_stepped)

    def _end_slew(self, slew: Slew, estimate: Estimate, unless_stepped: Estimate) -> "Motion":
        """Return what is known after a sample that drift alone explains, too."""
        if not slew.is_over(estimate):
            return Motion(estimate, unless_stepped, slew)
        event = _event("slewed", estimate, slew.middle_before_ns)
        slow = estimate._replace(allowance_ppm=DRIFT_ALLOWANCE_PPM)
        return Motion(slow, unless_stepped, None, event)


def begin(sample: ClockSample) -> Motion:
    """Return what is known after the first sample."""
    estimate = Estimate(sample.low_ns, sample.high_ns, sample.at_ns)
    return Motion(estimate, estimate)


def _alone(sample: ClockSample) -> Estimate:
    """Return what a sample shows of a clock that is slewed, without those before."""
    return Estimate(sample.low_ns, sample.high_ns, sample.at_ns, SLEW_ALLOWANCE_PPM)


def _event(
    kind: Literal["stepped", "slewing", "slewed"], now: Estimate, before_ns: int
) -> ClockEvent:
    return ClockEvent(kind, (now.middle_ns - before_ns) / SECOND_NS)
