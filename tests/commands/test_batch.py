"""Running jobs in a batch: concurrency, stop, abandon."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from exporter.commands.batch import open_devices, run_batch
from exporter.commands.targets import SelectedDevices, UsageError
from exporter.config import parse_config
from exporter.system.signals import StopEvents, run_unless

TURNS = 50


async def settle() -> None:
    """Let all tasks run until they wait."""
    for _ in range(TURNS):
        await asyncio.sleep(0)


@dataclass
class Jobs:
    """Jobs that wait for a gate."""

    open: set[int] = field(default_factory=set)
    ended: list[int] = field(default_factory=list)
    cancelled: list[int] = field(default_factory=list)
    most: int = 0
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def work(self, job: int) -> None:
        self.open.add(job)
        self.most = max(self.most, len(self.open))
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled.append(job)
            raise
        finally:
            self.open.remove(job)
        self.ended.append(job)


def start_batch(
    work: Callable[[int], Awaitable[None]],
    count: int,
    concurrency: int,
    events: StopEvents,
    advance: Callable[[], None] = lambda: None,
) -> asyncio.Task[None]:
    jobs = list(range(count))
    return asyncio.create_task(run_batch(jobs, work, concurrency, events, advance))


@pytest.mark.parametrize(("count", "concurrency", "most"), [(7, 3, 3), (2, 5, 2), (0, 3, 0)])
async def test_each_job_runs_once_within_the_concurrency(
    count: int, concurrency: int, most: int
) -> None:
    jobs, steps = Jobs(), []
    running = start_batch(jobs.work, count, concurrency, StopEvents(), lambda: steps.append(1))
    await settle()
    jobs.gate.set()
    await running
    assert (sorted(jobs.ended), jobs.most, len(steps)) == (list(range(count)), most, count)


async def test_stop_finishes_jobs_in_progress_and_starts_no_other() -> None:
    jobs, events = Jobs(), StopEvents()
    running = start_batch(jobs.work, 7, 3, events)
    await settle()
    events.stop.set()
    await settle()
    assert not running.done()
    jobs.gate.set()
    await running
    assert (jobs.ended, jobs.cancelled) == ([0, 1, 2], [])


async def test_abandon_cancels_jobs_in_progress() -> None:
    jobs, events = Jobs(), StopEvents()
    running = start_batch(jobs.work, 7, 3, events)
    await settle()
    events.stop.set()
    events.abandon.set()
    await running
    assert (jobs.ended, jobs.cancelled) == ([], [0, 1, 2])


async def test_a_failing_job_does_not_stop_the_others() -> None:
    done = []

    async def work(job: int) -> None:
        if job == 1:
            raise ZeroDivisionError
        done.append(job)

    await start_batch(work, 4, 1, StopEvents())
    assert done == [0, 2, 3]


async def test_cancelling_the_batch_cancels_its_jobs() -> None:
    jobs = Jobs()
    running = start_batch(jobs.work, 3, 3, StopEvents())
    await settle()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert jobs.cancelled == [0, 1, 2]


async def test_work_returns_its_result_unless_it_is_stopped() -> None:
    stop = asyncio.Event()
    assert await run_unless(stop, asyncio.sleep(0, "done")) == "done"
    waiting = asyncio.create_task(run_unless(stop, asyncio.sleep(3600, "never")))
    await settle()
    stop.set()
    assert await waiting is None


async def test_an_exception_of_the_work_is_raised() -> None:
    async def failing() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await run_unless(asyncio.Event(), failing())


async def test_only_the_target_devices_are_opened(tmp_path: Path) -> None:
    config = parse_config(
        {"devices": [{"address": "192.0.2.1"}, {"address": "192.0.2.2", "module": "default"}]},
        {},
        tmp_path,
    )
    async with open_devices(SelectedDevices(config, config.devices[1:]), 16) as devices:
        assert [device.target.address for device in devices] == ["192.0.2.2"]


async def test_a_missing_secret_file_is_a_usage_error(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("x")
    auth = {"username": "root", "password_file": str(file)}
    tree = {"modules": {"default": {"auth": auth}}, "devices": [{"address": "192.0.2.1"}]}
    config = parse_config(tree, {}, tmp_path)
    file.unlink()
    with pytest.raises(UsageError, match=r"cannot read .*password"):
        async with open_devices(SelectedDevices(config, config.devices), 16):
            pass
