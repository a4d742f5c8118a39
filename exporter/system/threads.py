"""Calls that may hang, such as reading from a network share whose server is down, in threads.

Not `asyncio.to_thread`: the process waits for those threads when it ends, and their number is
limited.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import Any, Final, Generic, TypeVar

FILES_TIMEOUT_SECONDS: Final = 10.0
"""How long to wait for the config files and the files that they name."""

MAX_HUNG_CALLS: Final = 20

T = TypeVar("T")


class HungCallGuard(Generic[T]):
    """Runs a call that may hang and that is repeated: no second call starts while one hangs.

    The call runs in a daemon thread, so that it never keeps the process from ending.
    """

    def __init__(self, call: Callable[[], T], timeout_seconds: float) -> None:
        self._call = call
        self._timeout_seconds = timeout_seconds
        self._running: Future[T] | None = None

    async def result(self) -> T:
        """Return the result of the call that still hangs or a new one. Raises `TimeoutError`."""
        running = self._running = self._running or _start_thread(self._call)
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await asyncio.wrap_future(running)
        finally:
            if running.done():
                self._running = None

    async def wait_until_idle(self, timeout_seconds: float) -> None:
        """Wait for the end of the call that still runs, if any."""
        if self._running is not None:
            await asyncio.wait([asyncio.wrap_future(self._running)], timeout=timeout_seconds)


_unfinished: Final[set[Future[Any]]] = set()


async def read_files(read: Callable[[], T], timeout_seconds: float = FILES_TIMEOUT_SECONDS) -> T:
    """Return the result of a call that reads files. Raises `TimeoutError`, saying what to do.

    Also raises it, without a call, while `MAX_HUNG_CALLS` earlier ones hang.
    """
    hung = TimeoutError(
        f"the files could not be read within {timeout_seconds:g} s: "
        "check their disk or network share"
    )
    if len(_unfinished) >= MAX_HUNG_CALLS:
        raise hung
    running = _start_thread(read)
    _unfinished.add(running)
    running.add_done_callback(_unfinished.discard)
    try:
        async with asyncio.timeout(timeout_seconds):
            return await asyncio.wrap_future(running)
    except TimeoutError:
        raise hung from None


def _start_thread(call: Callable[[], T]) -> Future[T]:
    future: Future[T] = Future()
    # Marks the future as running, so that cancelling the waiting task does not cancel it.
    future.set_running_or_notify_cancel()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as error:  # noqa: BLE001 - raised again in the waiting task
            future.set_exception(error)

    Thread(target=run, daemon=True, name="files").start()
    return future
