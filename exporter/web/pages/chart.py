"""The chart of a device's last polls: duration, failures and measured offset, as shapes. Pure.

Sizes are in units of the SVG's view box. The SVG is stretched to the page's width, so it holds no
text.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from exporter.devices.history import Poll
from exporter.system.text import format_offset
from exporter.web.pages.format import format_elapsed, format_time

SLOT: Final = 6
"""The width of one poll."""

HEIGHT: Final = 100.0
MIN_SLOTS: Final = 30
"""The chart has room for at least so many polls, so that a device's first polls are not wide."""

_GAP: Final = 1.0
_MIN_HEIGHT: Final = 2.0
_MARGIN: Final = 6.0


@dataclass(frozen=True, slots=True)
class Bar:
    """A poll; the y axis points down, as in SVG. `title` is its tooltip."""

    x: float
    y: float
    width: float
    height: float
    failed: bool
    title: str


@dataclass(frozen=True, slots=True)
class Line:
    """The measured offset over the polls as an SVG path, with gaps where it is unknown.

    `zero_y` is the height of offset 0; `highest` and `lowest` are the labels of the axis.
    """

    path: str
    zero_y: float
    highest: str
    lowest: str


@dataclass(frozen=True, slots=True)
class Chart:
    """The shapes, newest poll on the right. `line` is `None` if no poll has a measured offset."""

    width: int
    failed: int
    bars: tuple[Bar, ...]
    longest: str
    line: Line | None
    summary: str


def draw(polls: Sequence[Poll]) -> Chart | None:
    """Return the chart of these polls, oldest first; `None` if there are none."""
    if not polls:
        return None
    longest = max(poll.duration_seconds for poll in polls)
    slots = max(len(polls), MIN_SLOTS)
    placed = list(enumerate(polls, slots - len(polls)))
    return Chart(
        width=slots * SLOT,
        failed=sum(poll.reason is not None for poll in polls),
        bars=tuple(_bar(slot, poll, longest) for slot, poll in placed),
        longest=format_elapsed(longest),
        line=_line([(slot, poll.clock_offset_seconds) for slot, poll in placed]),
        summary=_summary(polls, longest),
    )


def _bar(slot: int, poll: Poll, longest: float) -> Bar:
    share = poll.duration_seconds / longest if longest else 0.0
    height = max(_MIN_HEIGHT, share * HEIGHT)
    x, y = slot * SLOT + _GAP / 2, HEIGHT - height
    elapsed = format_elapsed(poll.duration_seconds)
    title = f"{format_time(poll.ended_unix)}: {format_result(poll)}, {elapsed}"
    return Bar(x, round(y, 1), SLOT - _GAP, round(height, 1), poll.reason is not None, title)


def format_result(poll: Poll) -> str:
    """Return how a poll ended: `answered`, or the reason of its failure with the code."""
    if poll.reason is None:
        return "answered"
    return poll.reason if poll.code is None else f"{poll.reason} {poll.code}"


def _line(offsets: Sequence[tuple[int, float | None]]) -> Line | None:
    known = [offset for _, offset in offsets if offset is not None]
    if not known:
        return None
    lowest, highest = min(*known, 0.0), max(*known, 0.0)
    room = HEIGHT - 2 * _MARGIN
    per_second = room / (highest - lowest) if highest > lowest else 0.0

    def y(offset: float) -> float:
        return round(_MARGIN + (highest - offset) * per_second, 1)

    points = ((slot, None if offset is None else y(offset)) for slot, offset in offsets)
    path = "".join(_path_commands(points))
    return Line(path, y(0.0), _axis_label(highest), _axis_label(lowest))


def _axis_label(seconds: float) -> str:
    return format_offset(seconds) if seconds else "0"


def _path_commands(points: Iterable[tuple[int, float | None]]) -> Iterator[str]:
    """Yield the commands of an SVG path; a point between two gaps becomes a dot."""
    is_open = False
    for slot, y in points:
        x = slot * SLOT + SLOT / 2
        if y is not None:
            yield f"L{x:g} {y:g}" if is_open else f"M{x:g} {y:g}h0"
        is_open = y is not None


def _summary(polls: Sequence[Poll], longest: float) -> str:
    failed = sum(poll.reason is not None for poll in polls)
    since, until = format_time(polls[0].ended_unix), format_time(polls[-1].ended_unix)
    return (
        f"{len(polls)} polls from {since} to {until} UTC. {failed or 'None'} of them failed; "
        f"the longest took {format_elapsed(longest)}. The table below lists each poll."
    )
