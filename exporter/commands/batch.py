"""Going through devices once, outside the daemon: so many at a time, until told to stop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final, TypeVar

import structlog

from exporter.commands.targets import UsageError
from exporter.config import Config, ConfigError
from exporter.config.schema import DeviceConfig
from exporter.devices.device import Device
from exporter.fleet.client_factory import build_client_factories
from exporter.fleet.reconciler import build_device_specs, make_device
from exporter.fleet.sharding import ALL_DEVICES
from exporter.system.file_limit import TooManyConnections, raise_file_limit
from exporter.system.signals import Interruption
from exporter.vapix.connection import open_session
from exporter.vapix.tls import Notice

DEFAULT_CONCURRENCY: Final = 16
"""How many devices are asked at once: what other fleet tools do."""

T = TypeVar("T")

_log = structlog.get_logger()


@asynccontextmanager
async def opened(
    config: Config,
    chosen: Sequence[DeviceConfig],
    concurrency: int,
    notice: Notice | None = None,
) -> AsyncIterator[list[Device]]:
    """The chosen devices, ready to be asked, so many at once, in their order.

    `notice` is told of each certificate that a device shows, in the contextvars of who asks it.
    Raises `UsageError` for a secret file that cannot be read, and for too many at once.
    """
    modules = {device.module: config.module(device.module) for device in chosen}
    try:
        doors = build_client_factories(modules, {})
        raise_file_limit(min(concurrency, len(chosen)))
    except (ConfigError, TooManyConnections) as problem:
        raise UsageError(str(problem)) from None
    if notice is not None:
        for door in doors.values():
            door.notice_certificates(notice)
    alone = config.model_copy(update={"devices": tuple(chosen)})
    wanted = build_device_specs(alone, (), doors, ALL_DEVICES)
    async with open_session() as session:
        yield [make_device(each, session) for each in wanted.values()]


async def sweep(
    jobs: Sequence[T],
    work: Callable[[T], Awaitable[None]],
    concurrency: int,
    interruption: Interruption,
    advance: Callable[[], None],
) -> None:
    """Do `work` on each job, at most so many at once, and `advance` after each.

    After `stop` no further one begins, after `abandon` those that are under way are cancelled. One
    that raises is logged and stops no other.
    """
    waiting = iter(jobs)

    async def take_jobs() -> None:
        for job in waiting:
            if interruption.stop.is_set():
                return
            await _guarded(job, work)
            advance()

    workers = [asyncio.create_task(take_jobs()) for _ in jobs[:concurrency]]
    abandoned = asyncio.create_task(interruption.abandon.wait())
    working = asyncio.gather(*workers)
    try:
        await asyncio.wait((working, abandoned), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (*workers, abandoned):
            task.cancel()
        await asyncio.gather(*workers, abandoned, working, return_exceptions=True)


async def _guarded(job: T, work: Callable[[T], Awaitable[None]]) -> None:
    try:
        await work(job)
    except Exception:  # noqa: BLE001 - one guard, so that no device can stop the others
        _log.exception("sweep.internal_error")
