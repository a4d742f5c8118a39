"""Work that hangs."""

import subprocess
import sys
from threading import Event

import pytest

from exporter.discovery.patience import HungCallGuard

HANGS = """
import asyncio, threading
from exporter.discovery.patience import Patience

async def main():
    try:
        await Patience(threading.Event().wait, 0.05).result()
    except TimeoutError:
        print("in time")

asyncio.run(main())
"""


async def test_work_that_hangs_is_given_up_and_not_begun_again_until_it_has_ended() -> None:
    begun, go_on = [], Event()

    def work() -> int:
        begun.append(1)
        go_on.wait()
        return len(begun)

    patience = HungCallGuard(work, 0.05)
    for _ in range(3):
        with pytest.raises(TimeoutError):
            await patience.result()
    assert len(begun) == 1
    go_on.set()
    assert await patience.result() == 1
    assert await patience.result() == 2


async def test_what_the_work_raises_is_raised_and_the_next_round_begins_anew() -> None:
    problems = [OSError("a"), ValueError("b")]

    def work() -> None:
        raise problems.pop(0)

    patience = HungCallGuard(work, 5)
    with pytest.raises(OSError, match="a"):
        await patience.result()
    with pytest.raises(ValueError, match="b"):
        await patience.result()


def test_work_that_hangs_keeps_no_process_from_ending() -> None:
    told = subprocess.run(
        [sys.executable, "-c", HANGS], capture_output=True, text=True, timeout=20, check=True
    )
    assert told.stdout == "in time\n"
