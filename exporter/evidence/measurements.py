"""What scrapes have measured of a device's clock, and what each poll alone proves. Pure.

**A measurement.** A scrape shows the offset `o ± u` of the device's clock from the exporter host's,
as the polls so far have measured it, and when the last poll ended. The same scrape shows how far
the host's clock was from the true time, `h ± v`, if the exporter asks time servers. Both are by the
host's clock as it was set then, so their sum is about the device's clock minus the true time, and
the poll's end minus `h` is its true time, even if the host's clock was set before or afterwards.

**A limit.** The interval of a measurement is made from many polls. If the clock has moved since the
first of them (it was slewed, or a step was too small to be noticed), the interval may miss the
truth. But each end of it is from one response, and what one response shows is always true: "when it
was made, the clock was at least (at most) so far ahead". Between polls the exporter moves both ends
outward, by 100 ppm. So an end that is further inward than that is from a new response, which came
after the scrape before. These ends are the limits; the others repeat an older one and are not used.
If an end is further outward than even a slew allows, the exporter began a new interval, and both
ends are new. That is seen from the values of two scrapes. It takes for granted that each was
answered within 10 s, and that the host's clock was not set by a few milliseconds in between.
"""

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from math import ceil, floor
from statistics import median
from typing import Final, Literal, NamedTuple

from exporter.clock.offset import (
    DRIFT_ALLOWANCE_PPM,
    SECOND_NS,
    SLEW_ALLOWANCE_PPM,
    Offset,
)
from exporter.evidence.records import Bounds, Scrape, was_restarted

HOST_DRIFT_PPM: Final = 50
"""How fast the clock of an exporter's host may drift. Its NTP client keeps most within 1 ppm."""

_SAME_POLL_SECONDS: Final = 0.01
"""Scrapes that show the same poll give its time up to the reading of the host's two clocks."""

_TIME_ROUNDING_NS: Final = 500_000
"""The times of polls are exported in milliseconds."""

_POLLS_SINCE_START: Final = 20
"""From so many polls on, a restart of the exporter between two scrapes is seen by their number."""

_LATEST_SCRAPE_SECONDS: Final = 10.0
"""How much later than its time a scrape may be answered: the default timeout of Prometheus."""

_DRIFT: Final = DRIFT_ALLOWANCE_PPM * 1e-6
_SLEW: Final = SLEW_ALLOWANCE_PPM * 1e-6
_LATE_SECONDS: Final = _LATEST_SCRAPE_SECONDS * _DRIFT
"""How far an end may seem to have moved because one scrape was answered later than the other."""

_LATE_SLEWED_SECONDS: Final = _LATEST_SCRAPE_SECONDS * _SLEW
"""The same, while the exporter knows that the clock is slewed."""


Side = Literal["low", "high"]


class Measurement(NamedTuple):
    """The device's clock minus the reference at the end of a poll, as far as the exporter knew."""

    at_ns: int
    bounds: Bounds
    scrape: Scrape

    @property
    def time_slack_ns(self) -> int:
        """How far the true time of the poll's end may be from `at_ns`."""
        host = self.scrape.host
        return _TIME_ROUNDING_NS + (0 if host is None else ceil(host.uncertainty_seconds * 1e9))


class Limit(NamedTuple):
    """The offset was at least (`low`) or at most (`high`) this, at one moment within `time`."""

    side: Side
    offset_ns: int
    time: Bounds
    measurement: Measurement

    def at(self, time_ns: int, allowance_ppm: int) -> int:
        """Return the limit at another time, for a clock that moves by no more than that."""
        elapsed_ns = max(abs(time_ns - self.time.low_ns), abs(time_ns - self.time.high_ns))
        moved_ns = elapsed_ns * allowance_ppm // 1_000_000 + 1
        return self.offset_ns + (-moved_ns if self.side == "low" else moved_ns)


def measurements(scrapes: Iterable[Scrape], *, is_corrected: bool = False) -> list[Measurement]:
    """Return one measurement for each poll, by time: that of the scrape with the least doubt.

    They are against the true time if `is_corrected`, else against the exporter host's clock.
    """
    kept: list[Measurement] = []
    for scrape in scrapes:
        measured = _measure(scrape, is_corrected=is_corrected)
        if measured is None:
            continue
        if not kept or not is_same_poll(kept[-1].scrape, scrape):
            kept.append(measured)
        elif measured.bounds.width_ns < kept[-1].bounds.width_ns:
            kept[-1] = measured
    return sorted(kept, key=lambda each: each.at_ns)


def usual_distance_ns(measured: Sequence[Measurement]) -> float:
    """Return the middle distance of neighbouring measurements, of two or more."""
    return median(after.at_ns - before.at_ns for before, after in pairwise(measured))


def is_same_poll(one: Scrape, other: Scrape) -> bool:
    """Return whether two scrapes of an exporter show the same poll."""
    polled, then = one.polled_seconds, other.polled_seconds
    return polled is not None and then is not None and abs(polled - then) < _SAME_POLL_SECONDS


def _measure(scrape: Scrape, *, is_corrected: bool) -> Measurement | None:
    """Return what a scrape measures, rounded outwards; `None` for nothing of this kind."""
    offset, host, polled = scrape.offset, scrape.host, scrape.polled_seconds
    if offset is None or polled is None or (is_corrected and host is None):
        return None
    host = host if is_corrected and host is not None else Offset(0.0, 0.0)
    middle = Fraction(offset.seconds) + Fraction(host.seconds)
    half = Fraction(offset.uncertainty_seconds) + Fraction(host.uncertainty_seconds)
    bounds = Bounds(floor((middle - half) * SECOND_NS), ceil((middle + half) * SECOND_NS))
    at_ns = floor((Fraction(polled) - Fraction(host.seconds)) * SECOND_NS)
    return Measurement(at_ns, bounds, scrape)


def limits(measured: Sequence[Measurement]) -> Iterator[Limit]:
    """Yield what the polls of one exporter prove, each on its own."""
    for before, after in pairwise(measured):
        if not _is_host_stepped(before.scrape, after.scrape):
            time = _poll_time(before, after)
            low_ns, high_ns = after.bounds.widened(_host_drift_ns(after.scrape))
            low_is_new, high_is_new = _new_ends(before.scrape, after.scrape)
            if low_is_new:
                yield Limit("low", low_ns, time, after)
            if high_is_new:
                yield Limit("high", high_ns, time, after)


def _host_drift_ns(scrape: Scrape) -> int:
    """Return how far the host's clock may have drifted from the poll to the scrape."""
    if scrape.host is None or scrape.polled_seconds is None:
        return 0
    since = max(0.0, scrape.scraped_seconds - scrape.polled_seconds)
    return ceil(since * HOST_DRIFT_PPM * 1_000)


def _new_ends(before: Scrape, after: Scrape) -> tuple[bool, bool]:
    """Return whether the lower and the upper end are from a response after `before`."""
    if before.offset is None or after.offset is None:
        return False, False
    elapsed = after.scraped_seconds - before.scraped_seconds
    # How far outward each end has moved.
    low = _low(before.offset) - _low(after.offset)
    high = _high(after.offset) - _high(before.offset)
    slewed = _SLEW * elapsed + _LATE_SLEWED_SECONDS
    if was_restarted(before, after) or max(low, high) > slewed:
        return True, True
    drifted = _DRIFT * elapsed
    # If the host's clock was set, one end seems to have moved inward and the other outward.
    if max(low, high) > drifted + _LATE_SECONDS:
        return False, False
    return low < drifted - _LATE_SECONDS, high < drifted - _LATE_SECONDS


def _low(offset: Offset) -> float:
    return offset.seconds - offset.uncertainty_seconds


def _high(offset: Offset) -> float:
    return offset.seconds + offset.uncertainty_seconds


def _is_host_stepped(before: Scrape, after: Scrape) -> bool:
    """Return whether the host's clock was certainly set, so that two offsets do not compare."""
    one, other = before.host, after.host
    if one is None or other is None:
        return False
    drift = HOST_DRIFT_PPM * 1e-6 * (after.scraped_seconds - before.scraped_seconds)
    doubt = one.uncertainty_seconds + other.uncertainty_seconds + drift
    return abs(other.seconds - one.seconds) > doubt


def _poll_time(before: Measurement, after: Measurement) -> Bounds:
    """Return when the responses came that `after` shows and `before` does not."""
    one, other = before.scrape, after.scrape
    latest = after.at_ns + after.time_slack_ns
    earliest = before.at_ns - before.time_slack_ns
    is_single = (
        one.polls is not None and one.polls >= _POLLS_SINCE_START and other.polls == one.polls + 1
    )
    if is_single and other.poll_seconds is not None:
        began = after.at_ns - ceil(other.poll_seconds * SECOND_NS) - after.time_slack_ns
        earliest = max(earliest, began)
    return Bounds(earliest, latest)
