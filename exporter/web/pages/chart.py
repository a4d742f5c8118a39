"""The chart of a device's last polls, as shapes: offsets, steps, failures and durations. Pure.

Places and sizes are percentages of the chart's width and height, so that it can be as wide as the
page while its texts keep their size. The y axis points down, as in SVG.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Final, NamedTuple

from exporter.clock.offset import Offset
from exporter.devices.history import Poll
from exporter.system.text import COARSE_SECONDS, format_clock, format_offset
from exporter.web.pages.format import format_elapsed, format_time
from exporter.web.pages.scales import Scale, Tick, offset_label, offset_ticks, time_ticks

_LEAST_POLLS: Final = 12
"""The chart has room for at least so many polls, so that a device's first ones are not wide."""

_FIRST_SPACING_SECONDS: Final = 10.0
_LEAST_SPACING_SECONDS: Final = 1.0
_ROOM: Final = 0.06
"""The share of the offset axis that is left free above and below."""

_LEAST_DISTANCE: Final = 4.0
"""A threshold that is nearer to zero, in percent of the axis, is not drawn."""

_MOST_STEP_LINES: Final = 20
"""More steps are only marked: their lines would hide everything else."""

_BAR_SHARE: Final = 0.75
_LEAST_HEIGHT: Final = 4.0


class Limits(NamedTuple):
    """From which measured offset on, ahead or behind, there is a warning and a critical alert."""

    warning_seconds: float
    critical_seconds: float


class Column(NamedTuple):
    """The area of a poll, of the chart's full height; `title` is its tooltip."""

    x: float
    width: float
    title: str


class Area(NamedTuple):
    """The area beyond a threshold, of the chart's full width; `level` is as in `LimitLine`."""

    y: float
    height: float
    level: str


class LimitLine(NamedTuple):
    """A threshold as a horizontal line; `level` is `warning` or `critical`."""

    y: float
    level: str
    label: str


@dataclass(frozen=True, slots=True)
class OffsetPlot:
    """The measured and the reported offset over time.

    `band` and `line` are SVG paths with gaps where the offset is unknown and where the clock
    stepped; `reported` is one of points.
    """

    ticks: tuple[Tick, ...]
    beyond: tuple[Area, ...]
    limits: tuple[LimitLine, ...]
    band: str
    line: str
    reported: str


@dataclass(frozen=True, slots=True)
class Chart:
    """All shapes. `offsets` is `None` if no poll has an offset, measured or reported.

    `failures` marks failed polls; `answered` and `unanswered` are bars as high as a poll took. All
    three are SVG paths: one element for a hundred polls.
    """

    times: tuple[Tick, ...]
    polls: tuple[Column, ...]
    offsets: OffsetPlot | None
    steps: tuple[float, ...]
    step_lines: tuple[float, ...]
    failures: str
    answered: str
    unanswered: str
    longest: str
    day: str
    summary: str


class _Placed(NamedTuple):
    """A poll and the place of its end."""

    x: float
    poll: Poll


def draw(polls: Sequence[Poll], limits: Limits) -> Chart | None:
    """Return the chart of these polls, oldest first; `None` if there are none."""
    if not polls:
        return None
    spacing = _spacing_seconds(polls)
    first, last = polls[0].ended_unix, polls[-1].ended_unix
    begin = min(first, last - (_LEAST_POLLS - 1) * spacing)
    scale = Scale(begin - spacing / 2, last + spacing / 2)
    placed = [_Placed(scale.place(poll.ended_unix), poll) for poll in polls]
    width = scale.span(spacing)
    longest = max(poll.duration_seconds for poll in polls)
    failed = [each for each in placed if each.poll.reason is not None]
    answered = [each for each in placed if each.poll.reason is None]
    steps = tuple(x for x, poll in placed if poll.stepped)
    return Chart(
        times=time_ticks(scale),
        polls=tuple(Column(round(x - width / 2, 2), width, describe(poll)) for x, poll in placed),
        offsets=_offset_plot(placed, limits, width / 2),
        steps=steps,
        step_lines=steps if len(steps) <= _MOST_STEP_LINES else (),
        failures="".join(_bar(x, width, 100) for x, _ in failed),
        answered=_durations(answered, width, longest),
        unanswered=_durations(failed, width, longest),
        longest=format_elapsed(longest),
        day=_days(first, last),
        summary=_summary(polls, limits),
    )


def _spacing_seconds(polls: Sequence[Poll]) -> float:
    gaps = [after.ended_unix - before.ended_unix for before, after in pairwise(polls)]
    return max(median(gaps), _LEAST_SPACING_SECONDS) if gaps else _FIRST_SPACING_SECONDS


def _durations(placed: Iterable[_Placed], width: float, longest: float) -> str:
    """Return a bar for each poll, as high as it took compared with the longest one."""
    shares = ((x, poll.duration_seconds / longest if longest else 0.0) for x, poll in placed)
    return "".join(
        _bar(x, width * _BAR_SHARE, max(_LEAST_HEIGHT, share * 100)) for x, share in shares
    )


def _bar(x: float, width: float, height: float) -> str:
    return f"M{x - width / 2:.2f} 100v-{height:.1f}h{width:.2f}v{height:.1f}z"


def describe(poll: Poll) -> str:
    """Return all that is kept of a poll, as one line."""
    parts = [f"{format_time(poll.ended_unix)} UTC: {format_result(poll)}"]
    parts.append(f"took {format_elapsed(poll.duration_seconds)}")
    if poll.measured is not None:
        parts.append(f"measured offset {format_measured(poll.measured)}")
    if poll.reported_offset_seconds is not None:
        parts.append(f"reported offset {format_kept_offset(poll.reported_offset_seconds)}")
    return ", ".join(parts)


def format_result(poll: Poll) -> str:
    """Return how a poll ended: `answered`, or the reason of its failure with the code."""
    result = poll.reason or "answered"
    if poll.code is not None:
        result += f" {poll.code}"
    return f"{result}, clock stepped" if poll.stepped else result


def format_kept_offset(seconds: float | None) -> str:
    """Return a reported offset in the three digits that are kept; empty for `None`."""
    return (
        f"{'-' if seconds < 0 else '+'}{format_elapsed(abs(seconds))}"
        if seconds is not None
        else ""
    )


def format_measured(offset: Offset | None) -> str:
    """Return a measured offset with its uncertainty in three digits, as `format_clock` if rough."""
    if offset is None or offset.uncertainty_seconds >= COARSE_SECONDS:
        return format_clock(offset)
    return f"{format_offset(offset.seconds)} ± {format_elapsed(offset.uncertainty_seconds)}"


def _offset_plot(placed: Sequence[_Placed], limits: Limits, half_width: float) -> OffsetPlot | None:
    reported = [
        (x, poll.reported_offset_seconds)
        for x, poll in placed
        if poll.reported_offset_seconds is not None
    ]
    runs = list(_runs(placed))
    if not runs and not reported:
        return None
    measured = [offset for run in runs for _, offset in run]
    scale = _offset_scale(measured, [offset for _, offset in reported], limits)
    return OffsetPlot(
        ticks=offset_ticks(scale),
        beyond=tuple(_beyond(scale, limits)),
        limits=tuple(_limit_lines(scale, limits)),
        band="".join(_band(run, scale, half_width) for run in runs),
        line="".join(_path(run, scale, half_width) for run in runs),
        reported="".join(f"M{x:g} {scale.place(offset):g}h0" for x, offset in reported),
    )


_Run = list[tuple[float, Offset]]
"""Places and measured offsets between which nothing is unknown."""


def _runs(placed: Iterable[_Placed]) -> Iterator[_Run]:
    run: _Run = []
    for x, poll in placed:
        if run and (poll.measured is None or poll.stepped):
            yield run
            run = []
        if poll.measured is not None:
            run.append((x, poll.measured))
    if run:
        yield run


def _offset_scale(measured: Iterable[Offset], reported: Iterable[float], limits: Limits) -> Scale:
    """Return an axis from high to low with everything that matters on it.

    It contains the warning thresholds, so that a small offset looks small, and the critical one on
    a side where the warning one is passed. Of a wide band, the part beyond that is cut off.
    """
    values = [-limits.warning_seconds, limits.warning_seconds, *reported]
    for offset in measured:
        shown = min(offset.uncertainty_seconds, limits.warning_seconds)
        values += (offset.seconds - shown, offset.seconds + shown)
    low, high = min(values), max(values)
    if low < -limits.warning_seconds:
        low = min(low, -limits.critical_seconds)
    if high > limits.warning_seconds:
        high = max(high, limits.critical_seconds)
    room = (high - low) * _ROOM
    return Scale(high + room, low - room)


def _beyond(scale: Scale, limits: Limits) -> Iterator[Area]:
    warning, critical = limits
    sides = ((scale.start, warning, critical), (scale.end, -warning, -critical))
    for edge, near, far in sides:
        has_critical = abs(edge) > abs(far)
        yield _area(scale, near, far if has_critical else edge, "warning")
        if has_critical:
            yield _area(scale, far, edge, "critical")


def _area(scale: Scale, one: float, other: float, level: str) -> Area:
    top, bottom = sorted((scale.place(one), scale.place(other)))
    return Area(top, round(bottom - top, 2), level)


def _limit_lines(scale: Scale, limits: Limits) -> Iterator[LimitLine]:
    levels = (("warning", limits.warning_seconds), ("critical", limits.critical_seconds))
    for level, size in levels:
        for seconds in (size, -size):
            is_apart = scale.span(size) >= _LEAST_DISTANCE
            if is_apart and scale.end < seconds < scale.start:
                label = f"{level} {offset_label(seconds, scale)}"
                yield LimitLine(scale.place(seconds), level, label)


def _path(run: _Run, scale: Scale, half_width: float) -> str:
    """Return the line of a run; a single value becomes as wide as its poll."""
    [(x, offset), *others] = run
    y = scale.place(offset.seconds)
    if not others:
        return f"M{x - half_width:.2f} {y:g}h{2 * half_width:.2f}"
    return f"M{x:g} {y:g}" + "".join(f"L{x:g} {scale.place(o.seconds):g}" for x, o in others)


def _band(run: _Run, scale: Scale, half_width: float) -> str:
    """Return the area between the bounds of a run."""
    if len(run) == 1:
        [(x, offset)] = run
        run = [(x - half_width, offset), (x + half_width, offset)]
    highs = [(x, scale.place(o.seconds + o.uncertainty_seconds)) for x, o in run]
    lows = [(x, scale.place(o.seconds - o.uncertainty_seconds)) for x, o in reversed(run)]
    return "M" + "L".join(f"{x:.2f} {y:g}" for x, y in highs + lows) + "Z"


def _days(first_unix: float, last_unix: float) -> str:
    first, last = format_time(first_unix)[:10], format_time(last_unix)[:10]
    return first if first == last else f"{first} to {last}"


def _summary(polls: Sequence[Poll], limits: Limits) -> str:
    since, until = format_time(polls[0].ended_unix), format_time(polls[-1].ended_unix)
    sentences = [f"{len(polls)} polls from {since} to {until} UTC"]
    sentences += _describe_offsets(polls, limits)
    steps = sum(poll.stepped for poll in polls)
    sentences.append(f"{steps or 'None'} of them showed a step of the clock")
    failed = sum(poll.reason is not None for poll in polls)
    longest = max(poll.duration_seconds for poll in polls)
    sentences.append(
        f"{failed or 'None'} of them failed; the longest took {format_elapsed(longest)}"
    )
    return ". ".join((*sentences, "The table below lists each poll."))


def _describe_offsets(polls: Sequence[Poll], limits: Limits) -> Iterator[str]:
    known = [poll.measured for poll in polls if poll.measured is not None]
    if not known:
        yield "The measured offset is unknown"
        return
    lowest, highest = min(known).seconds, max(known).seconds
    yield f"The measured offset was between {format_offset(lowest)} and {format_offset(highest)}"
    yield f"The last one is {format_measured(known[-1])}"
    yield f"A warning begins at {format_elapsed(limits.warning_seconds)}, ahead or behind"
