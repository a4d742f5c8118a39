"""Whether other tasks on the event loop can run."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass


@dataclass
class Turns:
    """The number of times that another task has run."""

    count: int = 0


@asynccontextmanager
async def counting_turns() -> AsyncIterator[Turns]:
    """Count until the block ends."""
    turns = Turns()

    async def take() -> None:
        while True:
            turns.count += 1
            await asyncio.sleep(0)

    another = asyncio.create_task(take())
    try:
        yield turns
    finally:
        another.cancel()
