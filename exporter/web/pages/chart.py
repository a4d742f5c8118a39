"""The last polls as shapes: how long each took, which failed, where the clock was. Pure.

Sizes are in the drawing's own units; it is stretched to whatever width there is, so it has no text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from exporter.devices.history import Poll
from exporter.system.text import format_offset
from exporter.web.pages.format import format_time, format_took

SLOT: Final = 6
"""What a poll takes of the width."""

HEIGHT: Final = 100.0
FEWEST_SLOTS: Final = 30
"""The first polls of a device are no broader than that leaves them."""

_GAP: Final = 1.0
_LEAST_HEIGHT: Final = 2.0
_MARGIN: Final = 6.0


@dataclass(frozen=True, slots=True)
class Bar:
    """A poll; the y axis points down, as in SVG. `words` are for whoever points at it."""

    x: float
    y: float
    width: float
    height: float
    failed: bool
    words: str


@dataclass(frozen=True, slots=True)
class Line:
    """The clock offset over the polls as an SVG path, gaps where it was unknown.

    `zero_y` is where it would be right; `highest` and `lowest` say what the ends mean.
    """

    path: str
    zero_y: float
    highest: str
    lowest: str


@dataclass(frozen=True, slots=True)
class Chart:
    """What is drawn: the newest poll at the right. `line` is `None` if no offset was ever known."""

    width: int
    failed: int
    bars: tuple[Bar, ...]
    longest: str
    line: Line | None
    summary: str


def draw(polls: Sequence[Poll]) -> Chart | None:
    """The chart of some polls, oldest first; `None` for none."""
    if not polls:
        return None
    longest = max(poll.duration_seconds for poll in polls)
    slots = max(len(polls), FEWEST_SLOTS)
    placed = list(enumerate(polls, slots - len(polls)))
    return Chart(
        width=slots * SLOT,
        failed=sum(poll.reason is not None for poll in polls),
        bars=tuple(_bar(slot, poll, longest) for slot, poll in placed),
        longest=format_took(longest),
        line=_line([(slot, poll.clock_offset_seconds) for slot, poll in placed]),
        summary=_summary(polls, longest),
    )


def _bar(slot: int, poll: Poll, longest: float) -> Bar:
    share = poll.duration_seconds / longest if longest else 0.0
    height = max(_LEAST_HEIGHT, share * HEIGHT)
    x, y = slot * SLOT + _GAP / 2, HEIGHT - height
    took = format_took(poll.duration_seconds)
    words = f"{format_time(poll.ended_unix)}: {in_words(poll)}, {took}"
    return Bar(x, round(y, 1), SLOT - _GAP, round(height, 1), poll.reason is not None, words)


def in_words(poll: Poll) -> str:
    """How a poll ended: `answered`, or the reason with its code."""
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
    path = "".join(_strokes(points))
    return Line(path, y(0.0), _end(highest), _end(lowest))


def _end(seconds: float) -> str:
    return format_offset(seconds) if seconds else "0"


def _strokes(points: Iterable[tuple[int, float | None]]) -> Iterator[str]:
    """A path's commands; a point between gaps is a stroke of no length, which shows as a dot."""
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
        f"the longest took {format_took(longest)}. The table below has each of them."
    )
