"""Calls that may hang, such as reading from a network share whose server is down, in threads.

Not `asyncio.to_thread`: the process waits for those threads when it ends, and their number is
limited.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from threading import Thread, local
from threading import enumerate as enumerate_threads
from typing import Any, Final, Generic, TypeVar

FILES_TIMEOUT_SECONDS: Final = 10.0
"""How long to wait for the config files and the files that they name."""

MAX_HUNG_CALLS: Final = 20

T = TypeVar("T")

_THREAD_NAME: Final = "files"


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


_this_thread: Final = local()

_unfinished: Final[set["_FileCall[Any]"]] = set()


class _FileCall(Generic[T]):
    """A call that reads files, and the task that started it.

    `reading_since` is a steady time, or `None` while the call computes.
    """

    def __init__(self, call: Callable[[], T]) -> None:
        self._call = call
        self.task = asyncio.current_task()
        self.reading_since: float | None = time.monotonic()
        _unfinished.add(self)
        self.running = _start_thread(self._run)
        self.running.add_done_callback(lambda _: _unfinished.discard(self))

    def _run(self) -> T:
        _this_thread.call = self
        return self._call()

    def seconds_left(self, timeout_seconds: float) -> float:
        """Return in how long it may have read for `timeout_seconds` without a pause."""
        since = self.reading_since
        return timeout_seconds - (0 if since is None else time.monotonic() - since)


@contextmanager
def computing() -> Iterator[None]:
    """Not count this part of a call of `read_files` as reading. Also a decorator; not nested."""
    call: _FileCall[Any] | None = getattr(_this_thread, "call", None)
    if call is not None:
        call.reading_since = None
    try:
        yield
    finally:
        if call is not None:
            call.reading_since = time.monotonic()


def is_reading(task: asyncio.Task[Any]) -> bool:
    """Whether `read_files`, called in this task, waits for a disk and not for a computation."""
    return any(call.task is task and call.reading_since is not None for call in _unfinished)


async def read_files(read: Callable[[], T], timeout_seconds: float = FILES_TIMEOUT_SECONDS) -> T:
    """Return the result of a call that reads files. Raises `TimeoutError`, saying what to do.

    The timeout does not count the parts of the call that are `computing`. Also raises it, without
    a call, while `MAX_HUNG_CALLS` earlier ones hang.
    """
    hung = TimeoutError(
        f"the files could not be read within {timeout_seconds:g} s: "
        "check their disk or network share"
    )
    if len(_unfinished) >= MAX_HUNG_CALLS:
        raise hung
    call = _FileCall(read)
    while True:
        try:
            async with asyncio.timeout(call.seconds_left(timeout_seconds)):
                return await asyncio.wrap_future(call.running)
        except TimeoutError:  # also the errno ETIMEDOUT of a network share
            if call.running.done() and call.running.exception() is None:
                return call.running.result()
            if call.running.done() or call.seconds_left(timeout_seconds) <= 0:
                raise hung from None


def has_running_calls() -> bool:
    """Whether a thread still reads or parses files; Python crashes if it ends meanwhile."""
    return any(thread.name == _THREAD_NAME for thread in enumerate_threads())


def _start_thread(call: Callable[[], T]) -> Future[T]:
    future: Future[T] = Future()
    # Marks the future as running, so that cancelling the waiting task does not cancel it.
    future.set_running_or_notify_cancel()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as error:  # noqa: BLE001 - raised again in the waiting task
            future.set_exception(error)

    Thread(target=run, daemon=True, name=_THREAD_NAME).start()
    return future
