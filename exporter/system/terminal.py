"""The person at the terminal: colours, a progress bar, a question. Plain text where there is none.

Nothing here reads markup: what devices and configs say is text, escaped by who writes the lines.
"""

from __future__ import annotations

import asyncio
import sys
import termios
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, TextIO

from exporter.system.signals import unless

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

Advance = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a line in one style, as rich names them; `""` is plain."""

    text: str
    style: str = ""


Line = tuple[Span, ...]


class Table(NamedTuple):
    """What there is to say of one thing: a title, and rows of a name and a text each."""

    title: Line
    rows: tuple[tuple[str, Span], ...]


NAME_WIDTH: Final = 11
"""How wide the column of names is, the same in every table."""


def counted(devices: int) -> str:
    """`1 device`, `2 devices`."""
    return f"{devices} device{'' if devices == 1 else 's'}"


def print_lines(lines: Iterable[Line], stream: TextIO) -> None:
    """Print lines, in colour if `stream` is a terminal."""
    if not stream.isatty():
        stream.writelines("".join(piece.text for piece in line) + "\n" for line in lines)
        stream.flush()
        return
    console = _console(stream)
    for line in lines:
        console.print(_text(*line), soft_wrap=True)


def print_tables(tables: Iterable[Table], stream: TextIO) -> None:
    """Print tables, long texts folded to the terminal's width; else each row is one line."""
    if not stream.isatty():
        print_lines((line for table in tables for line in _as_lines(table)), stream)
        return
    from rich.padding import Padding  # noqa: PLC0415 - only a terminal needs it
    from rich.table import Table as Grid  # noqa: PLC0415

    console = _console(stream)
    for table in tables:
        console.print(_text(*table.title), soft_wrap=True)
        grid = Grid.grid(padding=(0, 2, 0, 0))
        grid.add_column(width=NAME_WIDTH, no_wrap=True)
        grid.add_column(overflow="fold")
        for name, piece in table.rows:
            grid.add_row(_text(Span(name, "dim")), _text(piece))
        console.print(Padding(grid, (0, 0, 0, 2)))


def _as_lines(table: Table) -> Iterator[Line]:
    yield table.title
    for name, piece in table.rows:
        yield Span(f"  {name:<{NAME_WIDTH}}  "), piece


def _console(stream: TextIO) -> Console:
    from rich.console import Console  # noqa: PLC0415 - only a terminal needs it

    return Console(file=stream, force_terminal=True, highlight=False)


def _text(*pieces: Span) -> Text:
    from rich.text import Text  # noqa: PLC0415 - only a terminal needs it

    return Text.assemble(*((piece.text, piece.style) for piece in pieces))


@contextmanager
def progress(what: str, total: int, stream: TextIO) -> Iterator[Advance]:
    """A bar that the yielded call advances by one; none unless `stream` is a terminal."""
    if not stream.isatty():
        yield lambda: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn  # noqa: PLC0415

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    bar = Progress(*columns, console=_console(stream), transient=True)
    task = bar.add_task(what, total=total)
    # The terminal may go away at any time: that ends the bar and nothing else.
    with suppress(OSError):
        bar.start()
    try:
        yield lambda: bar.advance(task)
    finally:
        with suppress(OSError):
            bar.stop()


def warn(text: str) -> None:
    """A line on standard error, for whoever is still there."""
    with suppress(OSError):
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()


async def confirm(question: str, stop: asyncio.Event) -> bool:
    """Whether the person at the terminal answers yes; no if `stop` is set first.

    A terminal that is gone says no.
    """
    answer = None
    with suppress(OSError, termios.error):
        # What was typed before the question is no answer to it.
        termios.tcflush(sys.stdin, termios.TCIFLUSH)
        sys.stderr.write(f"{question} [y/N] ")
        sys.stderr.flush()
        answer = await unless(stop, _line_of(sys.stdin))
    if not answer:
        warn("")
    return (answer or "").strip().lower() in ("y", "yes")


async def _line_of(stream: TextIO) -> str:
    readable = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(stream, readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(stream)
    return stream.readline()
