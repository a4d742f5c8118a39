"""An event loop in its own thread, for simulated devices and receivers in blocking tests."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from threading import Thread
from typing import Any, TypeVar

from tests.support.programs import START_SECONDS

Entered = TypeVar("Entered")


@contextmanager
def event_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Run an event loop in the background until the block ends."""
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@contextmanager
def in_background(
    loop: asyncio.AbstractEventLoop, manager: AbstractAsyncContextManager[Entered]
) -> Iterator[Entered]:
    """Enter an asynchronous context on the loop until the block ends."""
    entered = _run(loop, manager.__aenter__())
    try:
        yield entered
    finally:
        _run(loop, manager.__aexit__(None, None, None))


def _run(loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Entered]) -> Entered:
    return asyncio.run_coroutine_threadsafe(coroutine, loop).result(START_SECONDS)
