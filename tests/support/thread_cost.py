"""What work in a thread costs: its CPU time, and how long it keeps the event loop from running."""

import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import NamedTuple

_TICK_SECONDS = 0.001


class ThreadCost(NamedTuple):
    """`held_ms` is the longest time for which no other thread could run Python code."""

    cpu_seconds: float
    held_ms: float


def thread_cost(work: Callable[[], object]) -> ThreadCost:
    """Do the work in a thread beside this one, which wakes up every millisecond, as a loop does.

    Counts the worker's CPU time between two wake-ups, less what this thread spent in the kernel's
    run queue: other processes on the machine do not count.
    """
    done: list[float] = []

    def run() -> None:
        began = time.thread_time()
        work()
        done.append(time.thread_time() - began)

    worker = Thread(target=run)
    worker.start()
    clock = time.pthread_getcpuclockid(worker.ident or 0)
    longest = last = queued = 0.0
    while worker.is_alive():
        time.sleep(_TICK_SECONDS)
        try:
            used = time.clock_gettime(clock)
        except OSError:  # the thread has ended
            break
        waited = _queued_seconds()
        longest = max(longest, (used - last) - (waited - queued))
        last, queued = used, waited
    worker.join()
    return ThreadCost(done[0], longest * 1e3)


def _queued_seconds() -> float:
    return queued_seconds("thread-self")


def queued_seconds(thread: str) -> float:
    """Return how long a thread was ready to run and had no CPU (man 5 proc, schedstat).

    `thread` is its path in `/proc`; a process's id means its main thread.
    """
    return int(Path(f"/proc/{thread}/schedstat").read_text().split()[1]) / 1e9
