"""Loads of the config that requests share, one after the other unless one hangs as it reads."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

from exporter.system.threads import is_reading

SLOW_SECONDS: Final = 1.0
"""The next load does not wait longer for one that reads, as it may hang on a network share.

It waits for one that parses: two at once would take twice as long.
"""

MAX_AT_ONCE: Final = 2
"""A flood of requests must not fill the process with hanging loads."""


class SharedLoads:
    """Runs `load`, with its number, counted from 1. It returns a refusal or `None`."""

    def __init__(self, load: Callable[[int], Coroutine[Any, Any, str | None]]) -> None:
        self._load = load
        self._started = 0
        self._running: set[asyncio.Task[str | None]] = set()
        self._newest: asyncio.Task[str | None] | None = None
        self._starting = asyncio.Lock()

    async def result(self) -> str | None:
        """Return what a load that starts now, or is started for another request, returns."""
        before = self._started
        async with self._starting:
            if self._started == before or self._newest is None:
                self._newest = self._start()
                await self._until_another_may_start()
            newest = self._newest
        # A request that ends early must not end the load of the others.
        return await asyncio.shield(newest)

    async def _until_another_may_start(self) -> None:
        may_start_another = len(self._running) < MAX_AT_ONCE
        while True:
            ended, running = await asyncio.wait(
                self._running,
                timeout=SLOW_SECONDS if may_start_another else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if ended or all(map(is_reading, running)):
                return

    def _start(self) -> asyncio.Task[str | None]:
        self._started += 1
        task = asyncio.create_task(self._load(self._started))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def stop(self) -> None:
        """Cancel every load."""
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
