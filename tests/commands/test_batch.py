"""Going through jobs: so many at once, stopped, given up."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from exporter.commands.batch import opened, sweep
from exporter.commands.targets import UsageError
from exporter.config import parse_config
from exporter.system.signals import Interruption, unless

TURNS = 50


async def settle() -> None:
    """Let everything run that can."""
    for _ in range(TURNS):
        await asyncio.sleep(0)


@dataclass
class Jobs:
    """Jobs that end when they are let."""

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


def swept(
    work: Callable[[int], Awaitable[None]],
    count: int,
    concurrency: int,
    interruption: Interruption,
    advance: Callable[[], None] = lambda: None,
) -> asyncio.Task[None]:
    jobs = list(range(count))
    return asyncio.create_task(sweep(jobs, work, concurrency, interruption, advance))


@pytest.mark.parametrize(("count", "concurrency", "most"), [(7, 3, 3), (2, 5, 2), (0, 3, 0)])
async def test_every_job_is_done_once_and_never_too_many_at_a_time(
    count: int, concurrency: int, most: int
) -> None:
    jobs, steps = Jobs(), []
    running = swept(jobs.work, count, concurrency, Interruption(), lambda: steps.append(1))
    await settle()
    jobs.gate.set()
    await running
    assert (sorted(jobs.ended), jobs.most, len(steps)) == (list(range(count)), most, count)


async def test_stop_lets_what_is_open_end_and_begins_nothing_more() -> None:
    jobs, interruption = Jobs(), Interruption()
    running = swept(jobs.work, 7, 3, interruption)
    await settle()
    interruption.stop.set()
    await settle()
    assert not running.done()
    jobs.gate.set()
    await running
    assert (jobs.ended, jobs.cancelled) == ([0, 1, 2], [])


async def test_abandon_ends_what_is_open_at_once() -> None:
    jobs, interruption = Jobs(), Interruption()
    running = swept(jobs.work, 7, 3, interruption)
    await settle()
    interruption.stop.set()
    interruption.abandon.set()
    await running
    assert (jobs.ended, jobs.cancelled) == ([], [0, 1, 2])


async def test_one_that_fails_stops_no_other() -> None:
    done = []

    async def work(job: int) -> None:
        if job == 1:
            raise ZeroDivisionError
        done.append(job)

    await swept(work, 4, 1, Interruption())
    assert done == [0, 2, 3]


async def test_cancelled_from_outside_it_leaves_nothing_running() -> None:
    jobs = Jobs()
    running = swept(jobs.work, 3, 3, Interruption())
    await settle()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert jobs.cancelled == [0, 1, 2]


async def test_work_goes_on_unless_it_is_stopped() -> None:
    stop = asyncio.Event()
    assert await unless(stop, asyncio.sleep(0, "done")) == "done"
    waiting = asyncio.create_task(unless(stop, asyncio.sleep(3600, "never")))
    await settle()
    stop.set()
    assert await waiting is None


async def test_what_the_work_raises_is_raised() -> None:
    async def failing() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await unless(asyncio.Event(), failing())


async def test_only_the_chosen_devices_are_opened_with_their_secrets(tmp_path: Path) -> None:
    config = parse_config(
        {"devices": [{"address": "192.0.2.1"}, {"address": "192.0.2.2", "module": "default"}]},
        {},
        tmp_path,
    )
    async with opened(config, config.devices[1:], 16) as devices:
        assert [device.target.address for device in devices] == ["192.0.2.2"]


async def test_a_secret_file_that_is_gone_is_told(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("x")
    auth = {"username": "root", "password_file": str(file)}
    tree = {"modules": {"default": {"auth": auth}}, "devices": [{"address": "192.0.2.1"}]}
    config = parse_config(tree, {}, tmp_path)
    file.unlink()
    with pytest.raises(UsageError, match=r"cannot read .*password"):
        async with opened(config, config.devices, 16):
            pass
