"""Refuse a statement about a picture whose time the device may have shown at another moment too."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Final

from exporter.clock.offset import SECOND_NS
from exporter.evidence.prometheus_api import (
    PrometheusApi,
    PrometheusFailed,
    RawSeries,
    selector_of,
)
from exporter.evidence.records import REPLICA_LABELS, exporter_labels
from exporter.evidence.series import HOST_SERIES, OFFSET
from exporter.evidence.statement import NoFinding, Statement
from exporter.evidence.times import format_utc

AGAIN_SECONDS: Final = 3 * 86_400.0
"""How far to both sides it is looked for another moment at which a picture showed the same."""

_AGAIN_STEP_SECONDS: Final = 60.0
_NOTICED_SECONDS: Final = 900.0
"""So much later than it happened a step is noticed and scraped, at most, in ordinary cases."""

_NEAR_SECONDS: Final = 5.0
_MOST_MOMENTS: Final = 4
_LOOKBACK_SECONDS: Final = 600.0
"""Between samples further apart than this, nobody knows what the clock did."""


async def refuse_if_shown_again(api: PrometheusApi, statement: Statement) -> Statement:
    """Return the statement, or none if the device may have shown the same time at another moment.

    All exporters count that have ever polled the device, also under another `instance`, except
    those whose host's clock is suspect.
    """
    finding = statement.finding
    assert finding is not None  # noqa: S101 - only then others are sought
    around = finding.true_time.low_ns / SECOND_NS
    try:
        series = await _read_days(api, statement, around)
    except PrometheusFailed as failure:
        reason = f"whether the picture showed this time again cannot be asked: {failure}"
        return statement._replace(finding=None, reason=reason)
    shown = statement.asked.time_ns / SECOND_NS
    near = finding.true_time.width_ns / SECOND_NS + _NEAR_SECONDS
    moments = [when for samples in series for when in find_moments(samples, shown)]
    others = {round(when) for when in moments if abs(when - around) > near}
    if not others:
        since = min((samples[0][0] for samples in series), default=around)
        return statement._replace(measured_since_ns=round(since) * SECOND_NS)
    times = [format_utc(when * SECOND_NS) for when in sorted([round(around), *others])]
    reason = (
        "a device of this name may have shown this time more than once: about "
        f"{' and about '.join(times[:_MOST_MOMENTS])}"
    )
    return statement._replace(finding=None, reason=reason)


async def _read_days(
    api: PrometheusApi, statement: Statement, around: float
) -> list[list[tuple[float, float]]]:
    """Return what was measured in the days around a moment: Unix seconds and offset.

    There is one list for each exporter, and for those that came after it.
    """
    times = (around - AGAIN_SECONDS, around + AGAIN_SECONDS, _AGAIN_STEP_SECONDS)
    suspect = [
        each.witness.labels
        for each in statement.each
        if isinstance(each, NoFinding) and each.is_suspect
    ]
    found = []
    for selector in sorted({_selector(each.witness.labels) for each in statement.each}):
        for each in await api.query_range(f"{OFFSET}{selector}", *times):
            labels = {name: each.labels[name] for name in each.labels if name != "__name__"}
            if labels not in suspect:
                found.append(await _corrected(api, each, times))
    return _chained(found)


def _selector(labels: Mapping[str, str]) -> str:
    return selector_of({name: labels[name] for name in labels if name not in REPLICA_LABELS})


async def _corrected(
    api: PrometheusApi, series: RawSeries, times: tuple[float, float, float]
) -> list[tuple[float, float]]:
    """Return the offsets from the true time, where the exporter's host was compared with it."""
    selector = selector_of(exporter_labels(series.labels))
    hosts = await api.query_range(f"{HOST_SERIES[0]}{selector}", *times)
    corrections = dict(hosts[0].samples) if hosts else {}
    return [(when, offset + corrections.get(when, 0.0)) for when, offset in series.samples]


def _chained(series: Iterable[list[tuple[float, float]]]) -> list[list[tuple[float, float]]]:
    """Return the series, each joined with one that began after it had ended."""
    chains: list[list[tuple[float, float]]] = []
    for samples in sorted(each for each in series if each):
        earlier = [chain for chain in chains if chain[-1][0] < samples[0][0]]
        if earlier:
            earlier[0].extend(samples)
        else:
            chains.append(samples)
    return chains


def find_moments(samples: Sequence[tuple[float, float]], shown: float) -> Iterator[float]:
    """Yield the moments at which a clock may have shown a time, by samples of its offset. Pure.

    Where the clock was set, or was not measured, it may have shown what it would have shown with
    the offset before, or, as a step is noticed some polls later, with the offset after.
    """
    for (before, offset), (after, next_offset) in pairwise(samples):
        if abs(next_offset - offset) < after - before < _LOOKBACK_SECONDS:
            if before + offset <= shown < after + next_offset:
                yield shown - offset
            continue
        if before <= shown - offset <= after:
            yield shown - offset
        if before - _NOTICED_SECONDS <= shown - next_offset <= after:
            yield shown - next_offset
