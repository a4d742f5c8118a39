"""Reading that hangs: it ends with an error, and its threads cannot become too many."""

import asyncio
import threading

import pytest

from exporter.system.threads import MAX_HUNG_CALLS, read_files


async def test_reading_that_hangs_ends_with_what_to_do() -> None:
    released = threading.Event()
    try:
        with pytest.raises(TimeoutError, match="check their disk or network share"):
            await read_files(released.wait, 0.01)
        assert await read_files(lambda: "another file") == "another file"
    finally:
        released.set()


async def test_reads_that_hang_cannot_take_every_thread() -> None:
    released, calls = threading.Event(), []

    def hang() -> None:
        calls.append(1)
        released.wait()

    try:
        for _ in range(MAX_HUNG_CALLS + 3):
            with pytest.raises(TimeoutError):
                await read_files(hang, 0.001)
        assert len(calls) <= MAX_HUNG_CALLS
    finally:
        released.set()
    async with asyncio.timeout(30):
        while True:
            try:
                return await read_files(lambda: None)
            except TimeoutError:
                await asyncio.sleep(0.01)
