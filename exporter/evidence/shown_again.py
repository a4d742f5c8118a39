"""Refuse a statement about a picture whose time the device may have shown at another moment too."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Final

from exporter.clock.offset import SECOND_NS
from exporter.evidence.prometheus_api import PrometheusApi, PrometheusFailed, selector_of
from exporter.evidence.records import exporter_labels
from exporter.evidence.series import HOST_SERIES, OFFSET
from exporter.evidence.statement import Finding, Statement
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

    Of the exporters, those count that the statement is from.
    """
    finding = statement.finding
    assert finding is not None  # noqa: S101 - only then others are sought
    around = finding.true_time.low_ns / SECOND_NS
    counted = [each.witness.labels for each in statement.each if isinstance(each, Finding)]
    try:
        series = [await _read_days(api, labels, around) for labels in counted]
    except PrometheusFailed as failure:
        reason = f"whether the picture showed this time again cannot be asked: {failure}"
        return statement._replace(finding=None, reason=reason)
    shown = statement.asked.time_ns / SECOND_NS
    near = finding.true_time.width_ns / SECOND_NS + _NEAR_SECONDS
    moments = [when for samples in series for when in find_moments(samples, shown)]
    others = {round(when) for when in moments if abs(when - around) > near}
    if not others:
        return statement
    times = [format_utc(when * SECOND_NS) for when in sorted([round(around), *others])]
    reason = (
        "a device of this name may have shown this time more than once: about "
        f"{' and about '.join(times[:_MOST_MOMENTS])}"
    )
    return statement._replace(finding=None, reason=reason)


async def _read_days(
    api: PrometheusApi, labels: Mapping[str, str], around: float
) -> list[tuple[float, float]]:
    """Return what an exporter measured in the days around a moment: Unix seconds, offset."""
    start, end, step = around - AGAIN_SECONDS, around + AGAIN_SECONDS, _AGAIN_STEP_SECONDS
    offsets = await api.query_range(f"{OFFSET}{selector_of(labels)}", start, end, step)
    hosts = await api.query_range(
        f"{HOST_SERIES[0]}{selector_of(exporter_labels(labels))}", start, end, step
    )
    corrections = dict(hosts[0].samples) if hosts else {}
    samples = offsets[0].samples if offsets else ()
    return [(when, offset + corrections.get(when, 0.0)) for when, offset in samples]


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
