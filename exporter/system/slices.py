"""Long work on the event loop in slices, between which everything else goes on."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from typing import Any, Final, TypeVar

SLICE_SECONDS: Final = 0.005

T = TypeVar("T")


async def in_slices(items: Iterable[T]) -> AsyncIterator[T]:
    """Yield the items, and give the event loop a turn every few milliseconds."""
    began = time.perf_counter()
    for item in items:
        yield item
        if time.perf_counter() - began >= SLICE_SECONDS:
            await asyncio.sleep(0)
            began = time.perf_counter()


async def free_in_slices(objects: list[Any]) -> None:
    """Empty a list: freeing 100,000 objects in one step would hold up the event loop."""
    async for _ in in_slices(range(len(objects))):
        objects.pop()
