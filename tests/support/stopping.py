"""How long a process takes to end after a signal, less what it waited for a CPU."""

import asyncio
import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from tests.support.thread_cost import queued_seconds

PROMISED_SECONDS: Final = 2.0
_LOOK_SECONDS: Final = 0.01


async def seconds_to_end(process_id: int, number: signal.Signals) -> float:
    """Send a signal, and return how long the process then ran or slept until it ended.

    The time for which any of its threads was ready to run and had no CPU does not count.
    """
    before, queued = time.monotonic(), _all_queued(process_id)
    at_most = queued
    os.kill(process_id, number)
    while _is_alive(process_id):
        with suppress(OSError):  # it has just ended
            at_most = max(at_most, _all_queued(process_id))
        await asyncio.sleep(_LOOK_SECONDS)
    return time.monotonic() - before - (at_most - queued)


def _all_queued(process_id: int) -> float:
    threads = Path(f"/proc/{process_id}/task").iterdir()
    return sum(queued_seconds(f"{process_id}/task/{thread.name}") for thread in threads)


def _is_alive(process_id: int) -> bool:
    try:
        stat = Path(f"/proc/{process_id}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"
