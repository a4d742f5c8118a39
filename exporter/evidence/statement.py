"""What the measurements around a moment prove of a device's clock at that moment. Pure.

**A measurement.** A scrape shows the offset `o ± u` of the device's clock from the exporter host's,
as the last poll has measured it, and when that poll ended. The same scrape shows how far the host's
clock was from the true time, `h ± v`, if the exporter asks time servers. Both are by the host's
clock as it was set then, so their sum holds the device's clock minus the true time, and the poll's
end minus `h` is its true time, even if the host's clock was stepped before or afterwards.

**Between measurements.** The device's clock drifts by up to 100 ppm and may be slewed by 500 ppm
besides. So what is known at one moment is known at another within 600 ppm of the time between. Of
the two measurements around a moment both must hold then, so their intersection does.

**Hidden steps.** A step is no part of that. A counted one, and measurements that contradict each
other, allow no statement. A step too small for that looks like a slew, and of both the exporter's
estimate may be wrong until it notices, some polls later. Then it begins a new estimate. While it
does not, each estimate lies within the one before, widened by 100 ppm: so a new one can be seen.
From the moment to the next new one the clock may have moved at any time, so the statement spans all
that both neighbours and that new one allow, instead of an intersection. It also spans both
neighbours if nobody watched in between: the exporter was restarted, or the device did not respond
and may have restarted. So one hidden step is covered, at any moment.

**What the picture shows.** The device showed `D` at a true time `t` with `D - t` within the
bounds at `t`. The bounds change by less than 600 ppm, so `t + bound(t)` grows with `t`, and
`t = D - bound(t)` has one solution: each step of an iteration makes its error 1,600 times smaller.

Times are Unix nanoseconds. Unix time has no leap seconds: a clock that repeats a second, or smears
it, counts as off by as much, and one that steps for it has stepped.
"""

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from math import ceil, floor
from typing import Final, Literal, NamedTuple

from exporter.clock.offset import (
    DRIFT_ALLOWANCE_PPM,
    SECOND_NS,
    SLEW_ALLOWANCE_PPM,
    Offset,
    drift_ns,
)
from exporter.config.schema import SUSPECT_SECONDS
from exporter.evidence.records import (
    Asked,
    Bounds,
    Scrape,
    Witness,
    counted_steps,
    name_witness,
    was_restarted,
)
from exporter.evidence.times import format_utc
from exporter.system.text import format_duration, format_offset
from exporter.time_servers.host_clock import DEVICES_TO_SUSPECT

Reference = Literal["exporter host", "time servers"]

_SAME_POLL_SECONDS: Final = 0.01
"""Scrapes that show the same poll give its time up to the reading of the host's two clocks."""

_TIME_ROUNDING_NS: Final = 1_000
"""More than the rounding of a Unix time that is exported as a float."""

_SCRAPE_JITTER_SECONDS: Final = 1e-4
"""What an estimate is widened in the longest time that a scrape may begin late, and rounding."""

_ITERATIONS: Final = 8


class Measurement(NamedTuple):
    """The device's clock minus the reference was within `bounds` at `at_ns`, give or take."""

    at_ns: int
    slack_ns: int
    bounds: Bounds
    scrape: Scrape

    def at(self, time_ns: int) -> Bounds:
        """Return the bounds at another time."""
        elapsed_ns = abs(time_ns - self.at_ns) + self.slack_ns
        return self.bounds.widened(drift_ns(elapsed_ns, SLEW_ALLOWANCE_PPM))

    def allows(self, other: "Measurement") -> bool:
        """Return whether the clock could be slewed from one to the other."""
        return self.at(other.at_ns).meet(other.at(other.at_ns)) is not None


class Finding(NamedTuple):
    """What one exporter's measurements prove: when it was, and what the device showed then.

    One of the two is a point: the moment asked about.
    """

    witness: Witness
    reference: Reference
    true_time: Bounds
    shown_time: Bounds
    before: Measurement
    after: Measurement


class NoFinding(NamedTuple):
    """Why one exporter's measurements prove nothing. `is_gap`: they are missing or too few."""

    witness: Witness
    reason: str
    is_gap: bool = False
    is_suspect: bool = False


class Statement(NamedTuple):
    """What all exporters prove together, and what each of them does. `reason`: why nothing.

    `finding` has the bounds of all together, and the measurements of the most precise exporter.
    """

    asked: Asked
    finding: Finding | None
    reason: str | None
    each: tuple[Finding | NoFinding, ...] = ()

    @property
    def offset(self) -> Bounds | None:
        """The device's clock minus the true time (or the exporter host's clock)."""
        if self.finding is None:
            return None
        true, shown = self.finding.true_time, self.finding.shown_time
        return Bounds(shown.low_ns - true.high_ns, shown.high_ns - true.low_ns)


class _Unproven(Exception):
    """No statement can be made; `str()` says why."""

    def __init__(self, reason: str, *, is_gap: bool = False, is_suspect: bool = False) -> None:
        super().__init__(reason)
        self.is_gap = is_gap
        self.is_suspect = is_suspect


def make_statement(
    asked: Asked, witnesses: Sequence[Witness], around_ns: int, window_seconds: float
) -> Statement:
    """Return what exporters have measured of a device at the moment asked about.

    Only scrapes within the window to each side of `around_ns` count. That is the moment itself if
    it is a true time, else about the true time at which the device showed it.
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
    best = min(findings, key=lambda found: found.true_time.width_ns + found.shown_time.width_ns)
    for other in findings:
        true_time = best.true_time.meet(other.true_time)
        shown_time = best.shown_time.meet(other.shown_time)
        if true_time is None or shown_time is None:
            return None
        best = best._replace(true_time=true_time, shown_time=shown_time)
    return best


def _describe_contradiction(findings: Sequence[Finding]) -> str:
    texts = (
        f"{name_witness(found.witness)} measured {_describe_offset(found)}" for found in findings
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
    try:
        _refuse_steps(asked, witness.scrapes)
        try:
            return _find_by(asked, witness, window, is_corrected=True)
        except _Unproven as unproven:
            if not unproven.is_gap:
                raise
            return _find_by(asked, witness, window, is_corrected=False)
    except _Unproven as unproven:
        return NoFinding(witness, str(unproven), unproven.is_gap, unproven.is_suspect)


def _find_by(asked: Asked, witness: Witness, window: Bounds, *, is_corrected: bool) -> Finding:
    """Return what the measurements against one reference prove. Raises `_Unproven`."""
    measured = [
        each
        for each in measurements(witness.scrapes, is_corrected=is_corrected)
        if window.low_ns <= each.at_ns <= window.high_ns
    ]
    if not measured:
        side = format_duration((window.high_ns - window.low_ns) / 2 / SECOND_NS)
        middle = format_utc((window.low_ns + window.high_ns) // 2)
        raise _Unproven(f"no measurement within {side} of {middle}", is_gap=True)
    _refuse_suspect_host(witness, is_corrected=is_corrected)
    _refuse_contradictions(asked, measured)
    stretches = [*_stretches(measured, witness.scrapes)]
    reference: Reference = "time servers" if is_corrected else "exporter host"
    solve = _solve_at if asked.kind == "at" else _solve_shown
    true_time, shown_time, first, last = solve(asked.time_ns, measured, stretches)
    return Finding(witness, reference, true_time, shown_time, first.before, last.after)


def measurements(scrapes: Iterable[Scrape], *, is_corrected: bool = False) -> list[Measurement]:
    """Return one measurement for each poll, by time: that of the scrape with the least doubt."""
    kept: list[Measurement] = []
    for scrape in scrapes:
        measured = _measure(scrape, is_corrected=is_corrected)
        if measured is None:
            continue
        if not kept or not _same_poll(kept[-1].scrape, scrape):
            kept.append(measured)
        elif measured.bounds.width_ns < kept[-1].bounds.width_ns:
            kept[-1] = measured
    return sorted(kept, key=lambda each: each.at_ns)


def _same_poll(one: Scrape, other: Scrape) -> bool:
    polled, then = one.polled_seconds, other.polled_seconds
    return polled is not None and then is not None and abs(polled - then) < _SAME_POLL_SECONDS


def _measure(scrape: Scrape, *, is_corrected: bool) -> Measurement | None:
    """Return what a scrape measures, rounded outwards; `None` for nothing of this kind.

    The response that was measured came at some moment of the poll.
    """
    offset, host, polled = scrape.offset, scrape.host, scrape.polled_seconds
    if offset is None or polled is None or (is_corrected and host is None):
        return None
    host = host if is_corrected and host is not None else Offset(0.0, 0.0)
    middle = Fraction(offset.seconds) + Fraction(host.seconds)
    half = Fraction(offset.uncertainty_seconds) + Fraction(host.uncertainty_seconds)
    bounds = Bounds(floor((middle - half) * SECOND_NS), ceil((middle + half) * SECOND_NS))
    at_ns = floor((Fraction(polled) - Fraction(host.seconds)) * SECOND_NS)
    slack_ns = ceil((scrape.poll_seconds + host.uncertainty_seconds) * SECOND_NS)
    return Measurement(at_ns, slack_ns + _TIME_ROUNDING_NS, bounds, scrape)


def _refuse_steps(asked: Asked, scrapes: Sequence[Scrape]) -> None:
    if scrapes and all(each.steps is None for each in scrapes):
        raise _Unproven("axis_ntp_clock_steps_total was not kept, so a step cannot be excluded")
    for before, after in counted_steps(scrapes):
        text = f"the device's clock stepped, noticed between {_utc(before)} and {_utc(after)}"
        around = [
            measurements(scrapes[: scrapes.index(before) + 1])[-1:],
            measurements(scrapes[scrapes.index(after) :])[:1],
        ]
        raise _Unproven(text + _describe_step(asked, *around))


def _describe_step(
    asked: Asked, before: Sequence[Measurement], after: Sequence[Measurement]
) -> str:
    """Return what a step means for a shown time, if it is near."""
    if asked.kind == "at" or not before or not after:
        return ""
    without, stepped = (asked.time_ns - sum(each[0].bounds) // 2 for each in (before, after))
    is_far = min(without, stepped) > after[0].at_ns or max(without, stepped) < before[0].at_ns
    if is_far or stepped == without:
        return ""
    if stepped < without:
        return "; the picture may never have shown this time, as the clock was set forward"
    times = f"about {format_utc(without)} and about {format_utc(stepped)}"
    return f"; the picture may have shown this time twice, as the clock was set back: {times}"


def _utc(scrape: Scrape) -> str:
    return format_utc(round(scrape.scraped_seconds * SECOND_NS))


def _refuse_suspect_host(witness: Witness, *, is_corrected: bool) -> None:
    hosts = [each.host for each in witness.scrapes if each.host is not None]
    off = [abs(host.seconds) - host.uncertainty_seconds for host in hosts]
    worst = max(off, default=0.0)
    whose = f"the clock of the exporter's host ({name_witness(witness)}) was suspect"
    if worst > SUSPECT_SECONDS:
        by = format_offset(worst)[1:]
        raise _Unproven(f"{whose}: off by {by} or more", is_suspect=True)
    middle = max(map(abs, witness.medians), default=0.0)
    if not is_corrected and middle > SUSPECT_SECONDS:
        by = f"half of {DEVICES_TO_SUSPECT} or more devices were {format_offset(middle)[1:]}"
        raise _Unproven(f"{whose}: {by} or more off it", is_suspect=True)


def _refuse_contradictions(asked: Asked, measured: Sequence[Measurement]) -> None:
    for before, after in pairwise(measured):
        if not before.allows(after):
            when = f"between {format_utc(before.at_ns)} and {format_utc(after.at_ns)}"
            whose = "the device's clock or the exporter host's clock stepped"
            raise _Unproven(f"{whose} {when}{_describe_step(asked, [before], [after])}")


class _Stretch(NamedTuple):
    """The time between two neighbouring measurements. `moved`: see "Hidden steps" above.

    `moved` is the next new estimate, from `after` on; `None` if there is none.
    """

    before: Measurement
    after: Measurement
    moved: Measurement | None
    is_watched: bool

    def bounds_at(self, time_ns: int) -> Bounds:
        """Return the bounds of the offset at a time."""
        before, after = self.before.at(time_ns), self.after.at(time_ns)
        both = before.meet(after)
        if both is not None and self.is_watched and self.moved is None:
            return both
        either = before.hull(after)
        return either if self.moved is None else either.hull(self.moved.at(time_ns))

    def solve_shown(self, shown_ns: int) -> Bounds:
        """Return the true times at which the device may have shown a time, if bounds hold then."""
        earliest = latest = shown_ns
        for _ in range(_ITERATIONS):
            earliest = shown_ns - self.bounds_at(earliest).high_ns
            latest = shown_ns - self.bounds_at(latest).low_ns
        return Bounds(earliest - 1, latest + 1)


def _stretches(measured: Sequence[Measurement], scrapes: Sequence[Scrape]) -> Iterator[_Stretch]:
    pairs = [*pairwise(measured)]
    moves = [after for before, after in pairs if not _continues(before.scrape, after.scrape)]
    for before, after in pairs:
        moved = next((each for each in moves if each.at_ns >= after.at_ns), None)
        yield _Stretch(before, after, moved, _is_watched(before.scrape, after.scrape, scrapes))


def _continues(before: Scrape, after: Scrape) -> bool:
    """Return whether an estimate lies within the one before, widened until it was scraped."""
    one, other = before.offset, after.offset
    if one is None or other is None:
        return False
    drift = (after.scraped_seconds - before.scraped_seconds) * DRIFT_ALLOWANCE_PPM * 1e-6
    reach = one.uncertainty_seconds + drift + _SCRAPE_JITTER_SECONDS
    return abs(other.seconds - one.seconds) + other.uncertainty_seconds <= reach


def _is_watched(before: Scrape, after: Scrape, scrapes: Sequence[Scrape]) -> bool:
    """Return whether the same process polled all the time, and the device always responded."""
    between = [
        each for each in scrapes if before.scraped_seconds <= each.scraped_seconds
        <= after.scraped_seconds
    ]  # fmt: skip
    return all(
        earlier.polls is not None
        and later.polls is not None
        and not was_restarted(earlier, later)
        and later.offset is not None
        for earlier, later in pairwise(between)
    )


_Solution = tuple[Bounds, Bounds, _Stretch, _Stretch]
"""The true time, the shown time, and the first and the last stretch that they lie in."""


def _solve_at(
    time_ns: int, measured: Sequence[Measurement], stretches: Sequence[_Stretch]
) -> _Solution:
    for stretch in stretches:
        if stretch.before.at_ns <= time_ns <= stretch.after.at_ns:
            low, high = stretch.bounds_at(time_ns)
            shown = Bounds(time_ns + low, time_ns + high)
            return Bounds(time_ns, time_ns), shown, stretch, stretch
    raise _gap(time_ns, measured)


def _gap(time_ns: int, measured: Sequence[Measurement]) -> _Unproven:
    """Return that there are measurements on one side of a moment only."""
    is_before = measured[-1].at_ns < time_ns
    nearest = measured[-1 if is_before else 0].at_ns
    side, last = ("after", "last one before") if is_before else ("before", "first one after")
    return _Unproven(
        f"no measurement {side} {format_utc(time_ns)} within the window; the {last} is from "
        f"{format_utc(nearest)}",
        is_gap=True,
    )


def _solve_shown(
    shown_ns: int, measured: Sequence[Measurement], stretches: Sequence[_Stretch]
) -> _Solution:
    """Join the solutions of all stretches: the bounds may reach over a measurement."""
    found: list[tuple[Bounds, _Stretch]] = []
    for stretch in stretches:
        own = Bounds(stretch.before.at_ns, stretch.after.at_ns)
        solution = stretch.solve_shown(shown_ns).meet(own)
        if solution is not None:
            found.append((solution, stretch))
    true_time = Bounds(found[0][0].low_ns, found[-1][0].high_ns) if found else None
    first, last = measured[0].at_ns, measured[-1].at_ns
    if true_time is None or true_time.low_ns <= first or true_time.high_ns >= last:
        # Beyond the first or the last measurement it may also be true.
        raise _gap(shown_ns - sum(measured[-1].bounds) // 2, measured)
    return true_time, Bounds(shown_ns, shown_ns), found[0][1], found[-1][1]
