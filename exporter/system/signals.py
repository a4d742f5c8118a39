"""How the operator says stop (SIGTERM, SIGINT) and reload (SIGHUP)."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

T = TypeVar("T")

_STOP: Final = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def stop_signals() -> Iterator[asyncio.Event]:
    """An event that SIGTERM and SIGINT set; a second one does nothing more."""
    stop = asyncio.Event()
    with _on_signal(stop.set):
        yield stop


@dataclass(frozen=True, slots=True)
class Interruption:
    """What signals say to a job with an end: `stop` to begin nothing more, `abandon` to give up."""

    stop: asyncio.Event = field(default_factory=asyncio.Event)
    abandon: asyncio.Event = field(default_factory=asyncio.Event)


@contextmanager
def interruptions(first: Callable[[], None]) -> Iterator[Interruption]:
    """The first SIGTERM or SIGINT sets `stop` and calls `first`, the next one sets `abandon`.

    So does SIGHUP, a terminal that is gone, unless the job was started with it ignored (nohup).
    Afterwards all of them are ignored: the job has told its end, and exits with the code for it.
    """
    said, heard = Interruption(), asyncio.Event()

    def interrupt() -> None:
        # Not by `stop`: the job may have stopped itself before the first signal.
        if heard.is_set():
            said.abandon.set()
        else:
            heard.set()
            said.stop.set()
            first()

    ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    numbers = _STOP if ignored else (*_STOP, signal.SIGHUP)
    with _on_signal(interrupt, numbers):
        yield said
    for number in numbers:
        signal.signal(number, signal.SIG_IGN)


async def unless(stop: asyncio.Event, work: Coroutine[Any, Any, T]) -> T | None:
    """The result of `work`; `None` if `stop` is set before it is there: then it is cancelled."""
    working, stopped = asyncio.create_task(work), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((working, stopped), return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        working.cancel()
        stopped.cancel()
        await asyncio.gather(working, stopped, return_exceptions=True)


@contextmanager
def _on_signal(
    call: Callable[[], None], numbers: tuple[signal.Signals, ...] = _STOP
) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    for number in numbers:
        loop.add_signal_handler(number, call)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


@contextmanager
def on_hangup(act: Callable[[], Awaitable[None]]) -> Iterator[None]:
    """Do `act` in the background at each SIGHUP; what it raises is its own to tell."""
    tasks: set[asyncio.Task[None]] = set()

    async def act_once() -> None:
        await asyncio.gather(act(), return_exceptions=True)

    def hangup() -> None:
        task = loop.create_task(act_once())
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, hangup)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGHUP)
        for task in tasks:
            task.cancel()
