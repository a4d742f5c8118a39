"""Reading that hangs: it ends with an error, and its threads cannot become too many."""

import asyncio
import errno
import threading
import time

import pytest

from exporter.system.threads import MAX_HUNG_CALLS, computing, is_reading, read_files


async def test_reading_that_hangs_ends_with_what_to_do() -> None:
    released = threading.Event()
    try:
        with pytest.raises(TimeoutError, match="check their disk or network share"):
            await read_files(released.wait, 0.01)
        assert await read_files(lambda: "another file") == "another file"
    finally:
        released.set()


async def test_what_is_computed_may_take_longer_than_reading() -> None:
    parsed = threading.Event()
    task = asyncio.create_task(read_files(computing()(parsed.wait), 0.01))
    await asyncio.wait([task], timeout=0.1)
    assert not task.done()
    parsed.set()
    assert await task


async def test_a_result_that_arrives_with_the_timeout_is_returned() -> None:
    parsed = threading.Event()
    task = asyncio.create_task(read_files(computing()(parsed.wait), 0.01))
    await asyncio.sleep(0)
    parsed.set()
    time.sleep(0.05)  # noqa: ASYNC251 - the loop is held up for longer than the timeout
    assert await task


async def test_reading_that_hangs_after_a_computation_ends_too() -> None:
    released = threading.Event()

    def parse_and_read() -> None:
        with computing():
            pass
        released.wait()

    try:
        with pytest.raises(TimeoutError):
            await read_files(parse_and_read, 0.01)
    finally:
        released.set()


async def test_an_error_of_a_network_share_that_times_out_is_told_once() -> None:
    def read() -> None:
        raise TimeoutError(errno.ETIMEDOUT, "Connection timed out")

    with pytest.raises(TimeoutError, match="check their disk or network share"):
        await read_files(read)


async def test_a_task_reads_unless_it_computes() -> None:
    computes, reads, goes_on = threading.Event(), threading.Event(), threading.Event()

    def parse_and_read() -> None:
        with computing():
            computes.set()
            goes_on.wait()
        reads.set()
        released.wait()

    released = threading.Event()
    task = asyncio.create_task(read_files(parse_and_read))
    try:
        await asyncio.to_thread(computes.wait)
        assert not is_reading(task)
        goes_on.set()
        await asyncio.to_thread(reads.wait)
        assert is_reading(task)
    finally:
        goes_on.set()
        released.set()
    await task
    assert not is_reading(task)


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
