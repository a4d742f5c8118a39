"""Work that may hang for ever, as on the disk of a server that is gone, waited for so long only."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import Generic, TypeVar

T = TypeVar("T")


class HungCallGuard(Generic[T]):
    """Has `work` done in a thread of its own, one at a time, that keeps no process from ending."""

    def __init__(self, work: Callable[[], T], seconds: float) -> None:
        self._work = work
        self._seconds = seconds
        self._running: Future[T] | None = None

    async def result(self) -> T:
        """What the work gives, or that which still hung the last time. Raises `TimeoutError`."""
        if self._running is None:
            self._running = _begun(self._work)
        running = self._running
        try:
            async with asyncio.timeout(self._seconds):
                return await asyncio.wrap_future(running)
        finally:
            if running.done():
                self._running = None


def _begun(work: Callable[[], T]) -> Future[T]:
    future: Future[T] = Future()
    # From here on who waits cannot cancel it: the thread will have its say.
    future.set_running_or_notify_cancel()
    # Not the event loop's own threads: the process waits for those when it ends.
    Thread(target=_work_for, args=(future, work), daemon=True, name="discovery").start()
    return future


def _work_for(future: Future[T], work: Callable[[], T]) -> None:
    try:
        result = work()
    except BaseException as problem:  # noqa: BLE001 - told to who waits
        future.set_exception(problem)
    else:
        future.set_result(result)
