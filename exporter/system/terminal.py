"""Terminal output: colors, a progress bar, a question. Plain text if there is no terminal.

Nothing here interprets markup: texts from devices and configs are escaped by the callers.
"""

import asyncio
import os
import shutil
import stat
import sys
import termios
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple, TextIO

from exporter.system.signals import run_unless

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

Advance = Callable[[], None]


class Span(NamedTuple):
    """Part of a line, in one of rich's styles; `""` is plain."""

    text: str
    style: str = ""


Line = tuple[Span, ...]


class Table(NamedTuple):
    """A title, and rows of a name and a text."""

    title: Line
    rows: tuple[tuple[str, Span], ...]


WIDTH_WITHOUT_TERMINAL: Final = 200
LEAST_WIDTH: Final = 72
MOST_WIDTH: Final = 500
_USUAL_WIDTH: Final = 80

NAME_WIDTH: Final = 11
"""The width of the column of names, the same in all tables."""


def print_lines(lines: Iterable[Line], stream: TextIO) -> None:
    """Print lines, with colors if `stream` is a terminal."""
    if not stream.isatty():
        stream.writelines("".join(span.text for span in line) + "\n" for line in lines)
        stream.flush()
        return
    _print(_console(stream), lines)


def _print(console: "Console", lines: Iterable[Line]) -> None:
    for line in lines:
        console.print(_text(*line), soft_wrap=True)


def terminal_width() -> int:
    """Return the width for tables: of the terminal, or `WIDTH_WITHOUT_TERMINAL`.

    `COLUMNS` counts first. In a pipe, as to a pager, the terminal is that of standard error.
    """
    fallback = WIDTH_WITHOUT_TERMINAL
    with suppress(OSError, ValueError):
        if stat.S_ISFIFO(os.fstat(sys.stdout.fileno()).st_mode) or sys.stdout.isatty():
            fallback = os.get_terminal_size(sys.stderr.fileno()).columns or _USUAL_WIDTH
    columns = shutil.get_terminal_size((fallback, 0)).columns
    return min(max(columns, LEAST_WIDTH), MOST_WIDTH)


def terminal_height() -> int:
    """Return how many lines the terminal of standard output has."""
    return shutil.get_terminal_size().lines


def clear(stream: TextIO) -> None:
    """Clear the terminal's window; what has scrolled out of it stays."""
    stream.write("\x1b[H\x1b[2J")


def print_tables(tables: Iterable[Table], stream: TextIO) -> None:
    """Print tables: at a terminal long texts are folded to its width, else each row is one line."""
    if not stream.isatty():
        print_lines((line for table in tables for line in _as_lines(table)), stream)
        return
    from rich.padding import Padding  # noqa: PLC0415 - needed at a terminal only
    from rich.table import Table as Grid  # noqa: PLC0415

    console = _console(stream)
    for table in tables:
        console.print(_text(*table.title), soft_wrap=True)
        grid = Grid.grid(padding=(0, 2, 0, 0))
        grid.add_column(width=NAME_WIDTH, no_wrap=True)
        grid.add_column(overflow="fold")
        for name, span in table.rows:
            grid.add_row(_text(Span(name, "dim")), _text(span))
        console.print(Padding(grid, (0, 0, 0, 2)))


def _as_lines(table: Table) -> Iterator[Line]:
    yield table.title
    for name, span in table.rows:
        yield Span(f"  {name:<{NAME_WIDTH}}  "), span


def _console(stream: TextIO) -> "Console":
    from rich.console import Console  # noqa: PLC0415 - needed at a terminal only

    return Console(file=stream, force_terminal=True, highlight=False)


def _text(*spans: Span) -> "Text":
    from rich.text import Text  # noqa: PLC0415 - needed at a terminal only

    return Text.assemble(*((span.text, span.style) for span in spans))


class Progress(NamedTuple):
    """A progress bar: `advance` by one, and `show` lines above it."""

    advance: Advance
    show: Callable[[Iterable[Line]], None]


@contextmanager
def progress(what: str, total: int, stream: TextIO) -> Iterator[Advance]:
    """Show a progress bar that the yielded function advances by one; only at a terminal."""
    with progress_with_lines(what, total, stream) as bar:
        yield bar.advance


@contextmanager
def progress_with_lines(what: str, total: int, stream: TextIO) -> Iterator[Progress]:
    """Show a progress bar with lines above it; neither without a terminal."""
    if not stream.isatty():
        yield Progress(lambda: None, lambda _: None)
        return
    from rich import progress as rich_progress  # noqa: PLC0415

    columns = (
        rich_progress.TextColumn("{task.description}"),
        rich_progress.BarColumn(),
        rich_progress.MofNCompleteColumn(),
    )
    console = _console(stream)
    bar = rich_progress.Progress(*columns, console=console, transient=True)
    task = bar.add_task(what, total=total)
    # If the terminal of standard error goes away, only the bar ends.
    with suppress(OSError):
        bar.start()
    try:
        yield Progress(lambda: bar.advance(task), partial(_print, console))
    finally:
        with suppress(OSError):
            bar.stop()


def warn(text: str) -> None:
    """Print a line to standard error; ignored if it cannot be written."""
    with suppress(OSError):
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()


async def confirm(question: str, stop: asyncio.Event) -> bool:
    """Ask at the terminal; true for yes, false if `stop` is set first or the terminal is gone."""
    answer = None
    with suppress(OSError, termios.error):
        # Ignore what was typed before the question.
        termios.tcflush(sys.stdin, termios.TCIFLUSH)
        sys.stderr.write(f"{question} [y/N] ")
        sys.stderr.flush()
        answer = await run_unless(stop, _read_line(sys.stdin))
    if not answer:
        warn("")
    return (answer or "").strip().lower() in ("y", "yes")


async def _read_line(stream: TextIO) -> str:
    readable = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(stream, readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(stream)
    return stream.readline()
