"""What the measurements around a moment prove of a device's clock at that moment. Pure.

**Between polls.** `measurements.py` gives limits: what one poll alone proves of the offset, at its
time. A device's clock drifts by up to 100 ppm, and the clock of an exporter's host by up to 50 ppm,
if it is corrected by its own offset from the true time. Besides, the device's clock may have been
slewed or have stepped, by any amount and at any moment, and nobody may have noticed.

**Hidden moves.** Take the last lower and the last upper limit before the moment, and the first of
each after it. Assume that between these four the clock was moved in one direction only, by slews
and steps of any kind. If it was moved forward, then at the moment it was at least where it had been
before (the lower limit before still holds), and at most where it was afterwards (the upper limit
after holds already). If it was moved back, the other two hold. So the truth lies between the lowest
of the lower and the highest of the upper limits, whichever it was: the statement spans all four.
It does not hold if the clock was moved forward and back again between them, and no poll in between
showed it. A device that restarts does that, so there is no statement over a gap of the polls.

**What the picture shows.** The device showed `D` at a true time `t` with `D - t` within the
bounds at `t`. Between two polls the bounds change by 150 ppm, so `t + bound(t)` grows with `t`, and
`t = D - bound(t)` has one solution: each step of an iteration makes its error 6,000 times smaller.

Times are Unix nanoseconds. Unix time has no leap seconds: a clock that repeats a second, or smears
it, counts as off by as much, and one that steps for it has stepped.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from operator import attrgetter
from typing import Final, Literal, NamedTuple

from exporter.clock.offset import DRIFT_ALLOWANCE_PPM, SECOND_NS
from exporter.evidence.measurements import (
    HOST_DRIFT_PPM,
    Limit,
    Measurement,
    Side,
    limits,
    measurements,
)
from exporter.evidence.records import (
    Asked,
    Bounds,
    Scrape,
    Witness,
    clock_labels,
    describe_witness,
)
from exporter.evidence.refusals import (
    Unproven,
    refuse_contradictions,
    refuse_gaps,
    refuse_steps,
    refuse_suspect_host,
)
from exporter.evidence.times import format_utc
from exporter.system.text import format_duration, format_offset

Reference = Literal["exporter host", "time servers"]

_SIDES: Final[tuple[Side, Side]] = ("low", "high")

_ITERATIONS: Final = 8


class Finding(NamedTuple):
    """What one exporter's measurements prove: when it was, and what the device showed then.

    One of the two is a point: the moment asked about. `used` are the measurements that prove it, by
    time: at least one before and one after.
    """

    witness: Witness
    reference: Reference
    true_time: Bounds
    shown_time: Bounds
    used: tuple[Measurement, ...]

    @property
    def before(self) -> Measurement:
        """The last of them that is not after the moment."""
        earlier = [each for each in self.used if each.at_ns <= self.true_time.high_ns]
        return (earlier or self.used)[-1 if earlier else 0]

    @property
    def after(self) -> Measurement:
        """The first of them that is not before the moment."""
        later = [each for each in self.used if each.at_ns >= self.true_time.low_ns]
        return later[0] if later else self.used[-1]


class NoFinding(NamedTuple):
    """Why one exporter's measurements prove nothing. `is_gap`: they are missing or too few."""

    witness: Witness
    reason: str
    is_gap: bool = False
    is_suspect: bool = False


class Statement(NamedTuple):
    """What all exporters prove together, and what each of them does. `reason`: why nothing.

    `finding` has the bounds of all together, and the measurements of the most precise exporter.
    `measured_since_ns`: where other moments of a picture were sought, the first measurement.
    """

    asked: Asked
    finding: Finding | None
    reason: str | None
    each: tuple[Finding | NoFinding, ...] = ()
    measured_since_ns: int | None = None

    @property
    def offset(self) -> Bounds | None:
        """The device's clock minus the true time (or the exporter host's clock)."""
        if self.finding is None:
            return None
        true, shown = self.finding.true_time, self.finding.shown_time
        return Bounds(shown.low_ns - true.high_ns, shown.high_ns - true.low_ns)


def make_statement(
    asked: Asked, witnesses: Sequence[Witness], around_ns: int, window_seconds: float
) -> Statement:
    """Return what exporters have measured of a device at the moment asked about.

    `around_ns` is the moment itself if it is a true time, else about the true time at which the
    device showed it. The scrapes of the witnesses are from the window to each side of it.
    """
    each = tuple(_find(asked, witness, around_ns, window_seconds) for witness in witnesses)
    findings = [found for found in each if isinstance(found, Finding)]
    by_servers = [found for found in findings if found.reference == "time servers"]
    refusals = [found for found in each if isinstance(found, NoFinding)]
    # A host clock that is suspect does not count against one that was measured and is right.
    final = [no for no in refusals if not no.is_gap and not (no.is_suspect and by_servers)]
    if final or not findings:
        reason = (final or refusals)[0].reason if each else "no exporter has measured this device"
        return Statement(asked, None, reason, each)
    counted = by_servers or findings
    together = _combine(counted)
    contradiction = None if together else _describe_contradiction(counted)
    return Statement(asked, together, contradiction, each)


def find_nearest_offset(scraped: Iterable[Iterable[Scrape]], around_ns: int) -> int | None:
    """Return the offset that was measured nearest to a moment, without its bounds; ns."""
    measured = [each for scrapes in scraped for each in measurements(scrapes)]
    if not measured:
        return None
    nearest = min(measured, key=lambda each: abs(each.at_ns - around_ns))
    return sum(nearest.bounds) // 2


def _combine(findings: Sequence[Finding]) -> Finding | None:
    """Return what findings prove together; `None` if they contradict each other.

    The clocks of two hosts may differ. Where no time servers were asked, the bounds therefore hold
    by the clock of each.
    """
    by_clock = defaultdict[object, list[Finding]](list)
    for found in findings:
        is_true_time = found.reference == "time servers"
        by_clock[None if is_true_time else clock_labels(found.witness.labels)].append(found)
    met = _joined(findings, Bounds.meet)
    each = [_joined(group, Bounds.meet) for group in by_clock.values()]
    known = [found for found in each if found is not None]
    return None if met is None else _joined(known, Bounds.hull)


def _joined(
    findings: Sequence[Finding], join: Callable[[Bounds, Bounds], Bounds | None]
) -> Finding | None:
    best = min(findings, key=lambda found: found.true_time.width_ns + found.shown_time.width_ns)
    for other in findings:
        true_time = join(best.true_time, other.true_time)
        shown_time = join(best.shown_time, other.shown_time)
        if true_time is None or shown_time is None:
            return None
        best = best._replace(true_time=true_time, shown_time=shown_time)
    return best


def _describe_contradiction(findings: Sequence[Finding]) -> str:
    witnesses = [found.witness for found in findings]
    texts = (
        f"{describe_witness(found.witness, witnesses)} measured {_describe_offset(found)}"
        for found in findings
    )
    return f"the exporters contradict each other: {', '.join(texts)}"


def _describe_offset(found: Finding) -> str:
    low = found.shown_time.low_ns - found.true_time.high_ns
    high = found.shown_time.high_ns - found.true_time.low_ns
    return f"{format_offset(low / SECOND_NS)} to {format_offset(high / SECOND_NS)}"


def _find(
    asked: Asked, witness: Witness, around_ns: int, window_seconds: float
) -> Finding | NoFinding:
    window = Bounds(around_ns, around_ns).widened(round(window_seconds * SECOND_NS))
    # A host's clock that was measured for a part of the window is not taken as right for the rest.
    is_corrected = any(each.host is not None for each in witness.scrapes)
    try:
        refuse_steps(asked, witness.scrapes)
        return _prove(asked, witness, window, is_corrected=is_corrected)
    except Unproven as unproven:
        return NoFinding(witness, str(unproven), unproven.is_gap, unproven.is_suspect)


def _prove(asked: Asked, witness: Witness, window: Bounds, *, is_corrected: bool) -> Finding:
    """Return what the measurements against one reference prove. Raises `Unproven`."""
    # First: by a wrong clock, polls are at wrong times.
    refuse_suspect_host(witness)
    measured = measurements(witness.scrapes, is_corrected=is_corrected)
    if not any(window.low_ns <= each.at_ns <= window.high_ns for each in measured):
        side = format_duration(window.width_ns / 2 / SECOND_NS)
        middle = format_utc((window.low_ns + window.high_ns) // 2)
        raise Unproven(f"no measurement within {side} of {middle}", is_gap=True)
    proven = [*limits(measured)]
    refuse_contradictions(asked, proven)
    allowance_ppm = DRIFT_ALLOWANCE_PPM + (HOST_DRIFT_PPM if is_corrected else 0)
    stretches = [*_stretches(proven, allowance_ppm)]
    solve = _solve_at if asked.kind == "at" else _solve_shown
    solution = solve(asked.time_ns, stretches)
    if solution is None:
        middle_ns = sum(measured[-1].bounds) // 2 if asked.kind == "shown" else 0
        raise _gap(asked.time_ns - middle_ns, measured, proven)
    true_time, shown_time, found = solution
    used = _used(found)
    refuse_gaps(witness.scrapes, used)
    reference: Reference = "time servers" if is_corrected else "exporter host"
    return Finding(witness, reference, true_time, shown_time, used)


def _used(stretches: Iterable["_Stretch"]) -> tuple[Measurement, ...]:
    found = {each.measurement.at_ns: each.measurement for one in stretches for each in one.limits}
    return tuple(found[at_ns] for at_ns in sorted(found))


class _Stretch(NamedTuple):
    """A time in which no poll proves anything new, and the limits around it: see above."""

    time: Bounds
    limits: Sequence[Limit]
    allowance_ppm: int

    def bounds_at(self, time_ns: int) -> Bounds:
        """Return the bounds of the offset at a time."""
        low_ns = min(self._ends("low", time_ns))
        return Bounds(low_ns, max(low_ns, *self._ends("high", time_ns)))

    def _ends(self, side: Side, time_ns: int) -> Iterator[int]:
        return (each.at(time_ns, self.allowance_ppm) for each in self.limits if each.side == side)

    def solve_shown(self, shown_ns: int) -> Bounds:
        """Return the true times at which the device may have shown a time, if bounds hold then."""
        earliest = latest = shown_ns
        for _ in range(_ITERATIONS):
            earliest = shown_ns - self.bounds_at(earliest).high_ns
            latest = shown_ns - self.bounds_at(latest).low_ns
        return Bounds(earliest - 1, latest + 1)


def _stretches(proven: Sequence[Limit], allowance_ppm: int) -> Iterator[_Stretch]:
    """Yield the stretches that have limits of both sides before and after them, by time."""
    edges = sorted({edge for limit in proven for edge in limit.time})
    by_side = [_Neighbours([each for each in proven if each.side == side]) for side in _SIDES]
    for start, end in pairwise(edges):
        around = [each for side in by_side for each in side.around(start, end) if each is not None]
        if len(around) == 2 * len(_SIDES):
            yield _Stretch(Bounds(start, end), around, allowance_ppm)


class _Neighbours:
    """The limits of one side, to find those next to a stretch."""

    def __init__(self, proven: Sequence[Limit]) -> None:
        self._by_end = sorted(proven, key=attrgetter("time.high_ns"))
        self._ends = [each.time.high_ns for each in self._by_end]
        self._by_start = sorted(proven, key=attrgetter("time.low_ns"))
        self._starts = [each.time.low_ns for each in self._by_start]

    def around(self, start_ns: int, end_ns: int) -> tuple[Limit | None, Limit | None]:
        """Return the last limit before a stretch and the first one after it."""
        before, after = bisect_right(self._ends, start_ns), bisect_left(self._starts, end_ns)
        return (
            self._by_end[before - 1] if before else None,
            self._by_start[after] if after < len(self._by_start) else None,
        )


_Solution = tuple[Bounds, Bounds, Sequence[_Stretch]]
"""The true time, the shown time, and the stretches that they lie in."""


def _solve_at(time_ns: int, stretches: Sequence[_Stretch]) -> _Solution | None:
    for stretch in stretches:
        if stretch.time.low_ns <= time_ns <= stretch.time.high_ns:
            low, high = stretch.bounds_at(time_ns)
            shown = Bounds(time_ns + low, time_ns + high)
            return Bounds(time_ns, time_ns), shown, [stretch]
    return None


def _solve_shown(shown_ns: int, stretches: Sequence[_Stretch]) -> _Solution | None:
    """Join the solutions of all stretches: the bounds may reach over a poll."""
    found: list[tuple[Bounds, _Stretch]] = []
    for stretch in stretches:
        solution = stretch.solve_shown(shown_ns).meet(stretch.time)
        if solution is not None:
            found.append((solution, stretch))
    if not found:
        return None
    true_time = Bounds(found[0][0].low_ns, found[-1][0].high_ns)
    first, last = stretches[0].time.low_ns, stretches[-1].time.high_ns
    if true_time.low_ns <= first or true_time.high_ns >= last:
        return None  # Beyond the first or the last stretch it may also be true.
    return true_time, Bounds(shown_ns, shown_ns), [stretch for _, stretch in found]


def _gap(time_ns: int, measured: Sequence[Measurement], proven: Sequence[Limit]) -> Unproven:
    """Return what is missing around a moment that lies in no stretch."""
    before = {each.side for each in proven if each.time.high_ns <= time_ns}
    is_before = len(before) < len(_SIDES)
    where = "before" if is_before else "after"
    nearest = measured[0 if is_before else -1].at_ns
    reason = f"not enough measurements {where} {format_utc(time_ns)} within the window"
    if (nearest > time_ns) == is_before:
        there = "first" if is_before else "last"
        return Unproven(f"{reason}: the {there} one is from {format_utc(nearest)}", is_gap=True)
    return Unproven(
        f"{reason}: they must prove how far the clock was ahead at most and at least", is_gap=True
    )
