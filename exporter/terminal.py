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
from typing import TextIO

from exporter.signals import unless

Advance = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a line in one style, as rich names them; `""` is plain."""

    text: str
    style: str = ""


Line = tuple[Piece, ...]


def print_lines(lines: Iterable[Line], stream: TextIO) -> None:
    """Print lines, in colour if `stream` is a terminal."""
    if not stream.isatty():
        stream.writelines("".join(piece.text for piece in line) + "\n" for line in lines)
        stream.flush()
        return
    from rich.console import Console  # noqa: PLC0415 - only a terminal needs it
    from rich.text import Text  # noqa: PLC0415

    console = Console(file=stream, force_terminal=True, soft_wrap=True, highlight=False)
    for line in lines:
        console.print(Text.assemble(*((piece.text, piece.style) for piece in line)))


@contextmanager
def progress(what: str, total: int, stream: TextIO) -> Iterator[Advance]:
    """A bar that the yielded call advances by one; none unless `stream` is a terminal."""
    if not stream.isatty():
        yield lambda: None
        return
    from rich.console import Console  # noqa: PLC0415 - only a terminal needs it
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn  # noqa: PLC0415

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    console = Console(file=stream, force_terminal=True)
    bar = Progress(*columns, console=console, transient=True)
    task = bar.add_task(what, total=total)
    # The terminal may go away at any time: that ends the bar and nothing else.
    with suppress(OSError):
        bar.start()
    try:
        yield lambda: bar.advance(task)
    finally:
        with suppress(OSError):
            bar.stop()


def tell(text: str) -> None:
    """A line on standard error, for whoever is still there."""
    with suppress(OSError):
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()


async def agrees(question: str, stop: asyncio.Event) -> bool:
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
        tell("")
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
