"""Find the time on which most servers agree: RFC 5905, section 11.2.1. Pure.

A server's interval holds the true time, unless the server is wrong. Of n intervals, the algorithm
leaves out the smallest number, under half of n, so that the others have a point in common. The
result reaches from the first such point to the last. Unlike in the RFC, the middles of the
intervals do not count: any point of an interval may be the truth.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from exporter.clock.host import HostTime
from exporter.clock.offset import Estimate, Offset, offset_at

_OPENS: Final = 0
_CLOSES: Final = 1


class Agreement(NamedTuple):
    """The interval on which a majority agrees, and which servers contradict it.

    `falsetickers` are the positions of intervals that have no point in common with it.
    """

    estimate: Estimate
    falsetickers: tuple[int, ...]


def find_agreement(
    estimates: Sequence[Estimate], steady_ns: int, servers: int = 0
) -> Agreement | None:
    """Return the agreement of the servers' intervals, each widened by the drift until `steady_ns`.

    `servers` is the number of servers, those without an interval included. `None` if no point
    lies within the intervals of more than half of them: a wrong server must not decide because
    the right ones are silent. If more than half are right, the result has a point in common with a
    right one. It holds the true time if no wrong one overlaps any right one.
    """
    now = [estimate.at(steady_ns) for estimate in estimates]
    most, ranges = 0, list[tuple[int, int]]()
    for low_ns, high_ns, depth in _overlaps(now):
        if depth >= most:
            ranges = [(low_ns, high_ns)] if depth > most else [*ranges, (low_ns, high_ns)]
            most = depth
    if 2 * most <= max(servers, len(now)):
        return None
    agreed = Estimate(ranges[0][0], ranges[-1][1], steady_ns)
    outside = (
        place
        for place, each in enumerate(now)
        if each.high_ns < agreed.low_ns or each.low_ns > agreed.high_ns
    )
    return Agreement(agreed, tuple(outside))


def _overlaps(intervals: Sequence[Estimate]) -> list[tuple[int, int, int]]:
    """Return each range that intervals share with no end inside, and how many share it."""
    ends = sorted(
        [(each.low_ns, _OPENS) for each in intervals]
        + [(each.high_ns, _CLOSES) for each in intervals]
    )
    found, depth, start_ns = [], 0, 0
    for position, (at_ns, kind) in enumerate(ends):
        if kind == _OPENS:
            depth, start_ns = depth + 1, at_ns
            continue
        if ends[position - 1][1] == _OPENS:
            found.append((start_ns, at_ns, depth))
        depth -= 1
    return found


def host_offset(agreement: Agreement, now: HostTime) -> Offset | None:
    """Return this host's wall clock minus the agreed time; `None` for an old agreement."""
    truth = offset_at(agreement.estimate, now)
    return None if truth is None else Offset(-truth.seconds, truth.uncertainty_seconds)
