"""The chart of a statement of `evidence`: measurements, steps and the answer, as shapes. Pure.

Unlike the device page's chart it has a fixed size in units of its SVG: it is made for paper.
"""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from exporter.clock.offset import SECOND_NS
from exporter.evidence.measurements import Measurement
from exporter.evidence.records import Witness, counted_steps
from exporter.evidence.statement import Statement
from exporter.web.pages.scales import Scale, offset_ticks, time_ticks

_WIDTH: Final = 720
_HEIGHT: Final = 220
_LEFT: Final = 78
_RIGHT: Final = 710
_TOP: Final = 16
_BOTTOM: Final = 196
_ROOM: Final = 0.08
"""The share of the offset axis that is left free above and below."""

_LEAST_SPAN_SECONDS: Final = 0.01
_FAR_SECONDS: Final = 300.0
"""From here on the axis shows the difference to a round offset, or its labels were all alike."""

_LEAST_BOX: Final = 6.0


class Bar(NamedTuple):
    """A measurement: its bounds from `top` to `bottom`, by the exporter of this number."""

    x: float
    top: float
    middle: float
    bottom: float
    exporter: int


class Box(NamedTuple):
    """The bounds of the statement, in time and offset."""

    x: float
    y: float
    width: float
    height: float


class EvidenceChart(NamedTuple):
    """All shapes, in the SVG's units. `base` says what the axis is relative to, if not zero."""

    rows: Sequence[tuple[float, str]]
    columns: Sequence[tuple[float, str]]
    bars: Sequence[Bar]
    steps: Sequence[float]
    moment: float
    answer: Box | None
    base: str
    width: int = _WIDTH
    height: int = _HEIGHT
    left: int = _LEFT
    right: int = _RIGHT
    top: int = _TOP
    bottom: int = _BOTTOM


class _Axes(NamedTuple):
    times: Scale
    offsets: Scale
    base_seconds: float

    def x(self, unix_ns: int) -> float:
        place = self.times.place(unix_ns / SECOND_NS)
        return round(_LEFT + min(max(place, 0), 100) / 100 * (_RIGHT - _LEFT), 2)

    def y(self, offset_ns: int) -> float:
        place = self.offsets.place(offset_ns / SECOND_NS - self.base_seconds)
        return _row(place)


def draw_evidence(
    statement: Statement,
    measured: Sequence[tuple[int, Measurement]],
    witnesses: Iterable[Witness],
    around_ns: int,
) -> EvidenceChart | None:
    """Return the chart of measurements, each with the number of its exporter; `None` of none."""
    if not measured:
        return None
    axes = _axes(statement, [each for _, each in measured], around_ns)
    return EvidenceChart(
        rows=[(_row(tick.place), tick.label) for tick in offset_ticks(axes.offsets)],
        columns=[
            (round(_LEFT + tick.place / 100 * (_RIGHT - _LEFT), 2), tick.label)
            for tick in time_ticks(axes.times)
        ],
        bars=[_bar(axes, number, each) for number, each in measured],
        steps=[
            axes.x(round((before.scraped_seconds + after.scraped_seconds) / 2 * SECOND_NS))
            for witness in witnesses
            for before, after in counted_steps(witness.scrapes)
        ],
        moment=axes.x(around_ns),
        answer=_answer(axes, statement),
        base=f", relative to {axes.base_seconds:+,.0f} s" if axes.base_seconds else "",
    )


def _row(place: float) -> float:
    return round(_TOP + place / 100 * (_BOTTOM - _TOP), 2)


def _axes(statement: Statement, measured: Sequence[Measurement], around_ns: int) -> _Axes:
    bounds = [each.bounds for each in measured]
    if statement.offset is not None:
        bounds.append(statement.offset)
    low = min(each.low_ns for each in bounds) / SECOND_NS
    high = max(each.high_ns for each in bounds) / SECOND_NS
    middle = (low + high) / 2
    base = float(round(middle)) if abs(middle) > _FAR_SECONDS else 0.0
    room = max((high - low) * _ROOM, (_LEAST_SPAN_SECONDS - (high - low)) / 2)
    times = [*(each.at_ns for each in measured), around_ns]
    # A second more at each end, so that a single measurement has a width too.
    first, last = min(times) / SECOND_NS - 1, max(times) / SECOND_NS + 1
    margin = (last - first) / 100
    return _Axes(
        Scale(first - margin, last + margin), Scale(high + room - base, low - room - base), base
    )


def _bar(axes: _Axes, number: int, measured: Measurement) -> Bar:
    low, high = measured.bounds
    return Bar(axes.x(measured.at_ns), axes.y(high), axes.y((low + high) // 2), axes.y(low), number)


def _answer(axes: _Axes, statement: Statement) -> Box | None:
    if statement.finding is None or statement.offset is None:
        return None
    left, right = _spread(*map(axes.x, statement.finding.true_time))
    top, bottom = _spread(axes.y(statement.offset.high_ns), axes.y(statement.offset.low_ns))
    return Box(left, top, round(right - left, 2), round(bottom - top, 2))


def _spread(low: float, high: float) -> tuple[float, float]:
    """Return the two places, moved apart if the box would be too small to be seen."""
    missing = max(0.0, _LEAST_BOX - (high - low)) / 2
    return round(low - missing, 2), round(high + missing, 2)
