"""Signals from the operator: stop (SIGTERM, SIGINT) and reload (SIGHUP)."""

import asyncio
import logging
import os
import signal
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from threading import Timer
from types import FrameType
from typing import Any, Final, Self, TypeVar

T = TypeVar("T")

_STOP: Final = (signal.SIGTERM, signal.SIGINT)

_FORCED_STOP_SECONDS: Final = 1.5


@contextmanager
def stop_signals() -> Iterator[asyncio.Event]:
    """Yield an event that SIGTERM and SIGINT set; further signals have no effect.

    The process ends within two seconds of the first, even if something still hangs then, such as
    a file on a network share. It has nothing to save.
    """
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    forced = Timer(_FORCED_STOP_SECONDS, _exit_now)
    forced.daemon = True

    def end(_number: int, _frame: FrameType | None) -> None:
        # Not a handler of the loop, which may be what hangs.
        for number in _STOP:
            signal.signal(number, signal.SIG_IGN)
        forced.start()
        loop.call_soon_threadsafe(stop.set)

    for number in _STOP:
        signal.signal(number, end)
    try:
        yield stop
    finally:
        for number in _STOP:
            signal.signal(number, signal.SIG_IGN)


def _exit_now() -> None:
    logging.getLogger(__name__).warning("exporter.stop_forced")
    exit_at_once()


def exit_at_once() -> None:
    """End the process with code 0 after writing the log, whatever its threads do."""
    for handler in logging.getLogger().handlers:
        handler.flush()
    os._exit(0)


@dataclass(frozen=True, slots=True)
class StopEvents:
    """Requests to end a batch: `stop` starting new work, `abandon` the work in progress too."""

    stop: asyncio.Event = field(default_factory=asyncio.Event)
    abandon: asyncio.Event = field(default_factory=asyncio.Event)

    def without_delay(self) -> Self:
        """Return events whose `stop` also abandons work in progress, for work that only reads."""
        return replace(self, abandon=self.stop)


@contextmanager
def handle_interrupts(on_first: Callable[[], None]) -> Iterator[StopEvents]:
    """Set `stop` and call `on_first` at the first SIGTERM or SIGINT, set `abandon` at the next.

    SIGHUP (the terminal is gone) counts too, unless it was ignored at the start (nohup).
    Afterwards all of them are ignored: the command has reported its result and only has to exit.
    """
    events, interrupted = StopEvents(), asyncio.Event()

    def interrupt() -> None:
        # Don't look at `stop`: the command may have set it before the first signal.
        if interrupted.is_set():
            events.abandon.set()
        else:
            interrupted.set()
            events.stop.set()
            on_first()

    is_nohup = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    numbers = _STOP if is_nohup else (*_STOP, signal.SIGHUP)
    with _on_signals(numbers, interrupt):
        yield events
    for number in numbers:
        signal.signal(number, signal.SIG_IGN)


async def run_unless(stop: asyncio.Event, work: Coroutine[Any, Any, T]) -> T | None:
    """Return the result of `work`; cancel it and return `None` if `stop` is set first."""
    working, stopped = asyncio.create_task(work), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((working, stopped), return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        working.cancel()
        stopped.cancel()
        await asyncio.gather(working, stopped, return_exceptions=True)


@contextmanager
def _on_signals(numbers: tuple[signal.Signals, ...], call: Callable[[], None]) -> Iterator[None]:
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
    """Run `act` in the background at each SIGHUP. Drops its exceptions: `act` logs them itself."""
    running: set[asyncio.Future[Any]] = set()

    def hangup() -> None:
        acting = asyncio.gather(act(), return_exceptions=True)
        running.add(acting)
        acting.add_done_callback(running.discard)

    with _on_signals((signal.SIGHUP,), hangup):
        try:
            yield
        finally:
            for acting in running:
                acting.cancel()
