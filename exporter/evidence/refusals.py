"""Why an exporter's measurements around a moment prove nothing. Pure."""

from collections.abc import Iterable, Sequence
from itertools import groupby, pairwise
from typing import Final

from exporter.clock.offset import SECOND_NS, SLEW_ALLOWANCE_PPM
from exporter.config.schema import SUSPECT_SECONDS
from exporter.evidence.measurements import (
    HOST_DRIFT_PPM,
    Limit,
    Measurement,
    measurements,
    usual_distance_ns,
)
from exporter.evidence.records import (
    Asked,
    Scrape,
    Witness,
    counted_steps,
    name_witness,
    was_restarted,
)
from exporter.evidence.times import format_utc
from exporter.system.text import format_offset
from exporter.time_servers.host_clock import DEVICES_TO_SUSPECT

_FASTEST_PPM: Final = SLEW_ALLOWANCE_PPM + HOST_DRIFT_PPM

_SCRAPED_BEFORE_SECONDS: Final = 1.0
"""No poll ends so much after its own scrape, unless one of the two clocks is wrong."""

_LONGEST_GAP: Final = 2.5
"""So many times longer than usual two measurements may be apart: one poll is not seen, or fails."""

_LONGEST_RESTART: Final = 1.5
"""The same over a restart of the exporter: if power failed, the device was restarted with it."""


class Unproven(Exception):
    """No statement can be made; `str()` says why.

    `is_gap`: measurements are missing. `is_suspect`: the exporter host's clock was suspect.
    """

    def __init__(self, reason: str, *, is_gap: bool = False, is_suspect: bool = False) -> None:
        super().__init__(reason)
        self.is_gap = is_gap
        self.is_suspect = is_suspect


def refuse_steps(asked: Asked, scrapes: Sequence[Scrape]) -> None:
    """Raise `Unproven` if a step was counted, or if the counter was not kept all the time."""
    if any(each.offset is not None and each.steps is None for each in scrapes):
        raise Unproven(
            "axis_ntp_clock_steps_total was not kept for the whole window, so a step cannot be "
            "excluded"
        )
    for before, after in counted_steps(scrapes):
        times = f"{_utc(before)} and {_utc(after)}"
        near = [
            *measurements(scrapes[: scrapes.index(before) + 1])[-1:],
            *measurements(scrapes[scrapes.index(after) :])[:1],
        ]
        hint = _describe_step(asked, *near) if len(near) == 2 else ""  # noqa: PLR2004 - both
        raise Unproven(f"the device's clock stepped, noticed between {times}{hint}")


def refuse_contradictions(asked: Asked, proven: Iterable[Limit]) -> None:
    """Raise `Unproven` if no slew of the device's clock explains all limits.

    `proven` are the limits of one exporter, by time.
    """
    last: dict[str, Limit] = {}
    for _, group in groupby(proven, key=lambda each: each.measurement.at_ns):
        found: dict[str, Limit] = {each.side: each for each in group}
        for side, opposite in (("low", "high"), ("high", "low")):
            if side in last and opposite in found:
                _refuse_contradiction(asked, last[side], found[opposite])
        last |= found


def _refuse_contradiction(asked: Asked, earlier: Limit, later: Limit) -> None:
    low, high = (earlier, later) if earlier.side == "low" else (later, earlier)
    middle_ns = (earlier.time.high_ns + later.time.low_ns) // 2
    if low.at(middle_ns, _FASTEST_PPM) <= high.at(middle_ns, _FASTEST_PPM):
        return
    before, after = earlier.measurement, later.measurement
    when = f"between {format_utc(before.at_ns)} and {format_utc(after.at_ns)}"
    whose = "the device's clock or the exporter host's clock stepped"
    raise Unproven(f"{whose} {when}{_describe_step(asked, before, after)}")


def _describe_step(asked: Asked, before: Measurement, after: Measurement) -> str:
    """Return what a step means for a shown time, if it is near."""
    if asked.kind == "at":
        return ""
    without, stepped = (asked.time_ns - sum(each.bounds) // 2 for each in (before, after))
    is_far = min(without, stepped) > after.at_ns or max(without, stepped) < before.at_ns
    if is_far or stepped == without:
        return ""
    if stepped < without:
        return "; the picture may never have shown this time, as the clock was set forward"
    times = f"about {format_utc(without)} and about {format_utc(stepped)}"
    return f"; the picture may have shown this time twice, as the clock was set back: {times}"


def _utc(scrape: Scrape) -> str:
    return format_utc(round(scrape.scraped_seconds * SECOND_NS))


def refuse_gaps(scrapes: Sequence[Scrape], used: Sequence[Measurement]) -> None:
    """Raise `Unproven` if nobody measured for a while between the measurements of a statement.

    A device that restarts begins with the time of its battery-backed clock, in whole seconds, and
    synchronizes some seconds later. So its clock moves in two directions, and no poll sees it.
    """
    measured = measurements(scrapes)
    usual_ns = usual_distance_ns(measured)
    first, last = (used[end].scrape.scraped_seconds for end in (0, -1))
    for before, after in pairwise(measured):
        start, end = before.scrape.scraped_seconds, after.scrape.scraped_seconds
        is_long = _is_long(before, after, usual_ns)
        if start < last and end > first and (is_long or _is_unanswered(scrapes, start, end)):
            raise Unproven(
                f"nothing was measured between {format_utc(before.at_ns)} and "
                f"{format_utc(after.at_ns)}: the device may have been restarted, and a clock may "
                "be wrong until it is synchronized again",
                is_gap=True,
            )


def _is_long(before: Measurement, after: Measurement, usual_ns: float) -> bool:
    is_restart = was_restarted(before.scrape, after.scrape)
    longest = _LONGEST_RESTART if is_restart else _LONGEST_GAP
    return after.at_ns - before.at_ns > longest * usual_ns


def _is_unanswered(scrapes: Iterable[Scrape], start: float, end: float) -> bool:
    """Return whether a scrape between two shows a poll that the device did not answer."""
    return any(
        start < each.scraped_seconds < end
        and each.offset is None
        and each.polled_seconds is not None
        for each in scrapes
    )


def refuse_suspect_host(witness: Witness) -> None:
    """Raise `Unproven` if the clock of the exporter's host was off, as far as anything shows it."""
    whose = f"the clock of the exporter's host ({name_witness(witness)}) was suspect"
    hosts = [each.host for each in witness.scrapes if each.host is not None]
    worst = max((abs(host.seconds) - host.uncertainty_seconds for host in hosts), default=0.0)
    if worst > SUSPECT_SECONDS:
        raise Unproven(f"{whose}: off by {format_offset(worst)[1:]} or more", is_suspect=True)
    if hosts:
        return
    middle = max(map(abs, witness.medians), default=0.0)
    if middle > SUSPECT_SECONDS:
        by = f"half of {DEVICES_TO_SUSPECT} or more devices were {format_offset(middle)[1:]}"
        raise Unproven(f"{whose}: {by} or more off it", is_suspect=True)
    if any(_is_polled_after(each) for each in witness.scrapes):
        raise Unproven(f"{whose}: it was ahead of Prometheus's clock", is_suspect=True)


def _is_polled_after(scrape: Scrape) -> bool:
    polled = scrape.polled_seconds
    return polled is not None and polled > scrape.scraped_seconds + _SCRAPED_BEFORE_SECONDS
