"""What `check` and `configure` share: running once, on many devices, with an exit code."""

import asyncio
import io
import sys
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Iterable,
    Iterator,
    Sequence,
)
from contextlib import asynccontextmanager
from typing import Any, Protocol, TypeVar

import structlog
import uvloop

from exporter.commands.targets import SelectedDevices, UsageError
from exporter.config import ConfigError
from exporter.devices.device import Device
from exporter.fleet.client_factory import build_client_factories
from exporter.fleet.reconciler import DeviceSpec, build_spec, make_device
from exporter.system.logs import configure_logging
from exporter.system.process import TooManyConnections, raise_file_limit
from exporter.system.signals import StopEvents
from exporter.system.terminal import Line, progress_with_lines, warn
from exporter.vapix.connection import open_session
from exporter.vapix.tls import Notice, Pin


class DeviceJob(Protocol):
    """One device of a batch, and what the command knows about it."""

    device: Device


T = TypeVar("T")
Job = TypeVar("Job", bound=DeviceJob)

_log = structlog.get_logger()


def run_command(name: str, command: Coroutine[Any, Any, int]) -> int:
    """Run a command to its end and return its exit code.

    Returns 2 and prints the reason for `ConfigError` and `UsageError`, 1 if the reader of standard
    error is gone. Raises `OutputFailed`.
    """
    configure_logging("warn", "logfmt")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # for characters such as an arrow
    try:
        return uvloop.run(command)
    except (ConfigError, UsageError) as problem:
        warn(f"{name}: {problem}")
        return 2
    except BrokenPipeError:
        return 1


def exit_code(name: str, targets: SelectedDevices, *, success: bool) -> int:
    """Return 0 for success; 1 otherwise, and with a warning if devices may be missing."""
    if not targets.complete:
        warn(f"{name}: some devices could not be discovered, see `discovery` above")
    return 0 if success and targets.complete else 1


@asynccontextmanager
async def open_devices(
    targets: SelectedDevices,
    concurrency: int,
    notice: Notice | None = None,
    pin: Pin | None = None,
) -> AsyncIterator[list[Device]]:
    """Yield the target devices in their order, ready to be asked.

    `notice` is called with each certificate that a device shows, in the contextvars of the task
    that asks. `pin` replaces the pins of all devices. Raises `UsageError` for an unreadable secret
    file, and if the limit on open files is too low for `concurrency`.
    """
    specs = _specs(targets, concurrency, notice)
    if pin is not None:
        specs = [spec._replace(pin=pin) for spec in specs]
    async with open_session() as session:
        yield [make_device(spec, session) for spec in specs]


def _specs(targets: SelectedDevices, concurrency: int, notice: Notice | None) -> list[DeviceSpec]:
    """Return what the devices are made of. Raises `UsageError`."""
    config, chosen = targets.config, targets.devices
    modules = {device.module: config.module(device.module) for device in chosen}
    try:
        factories = build_client_factories(modules, {}, config.source)
        raise_file_limit(min(concurrency, len(chosen)))
    except (ConfigError, TooManyConnections) as problem:
        raise UsageError(str(problem)) from None
    if notice is not None:
        for clients in factories.values():
            clients.factory.notice_certificates(notice)
    return [build_spec(config, device, factories) for device in chosen]


async def run_jobs(  # noqa: PLR0913, PLR0917 - `lines` is for one caller
    action: str,
    jobs: Sequence[Job],
    work: Callable[[Job], Awaitable[None]],
    concurrency: int,
    events: StopEvents,
    lines: Callable[[Job], Iterable[Line]] | None = None,
) -> None:
    """Do `work` for each device as `run_batch` does, with a progress bar named `action`.

    The `lines` of a device that is done are printed above the bar.
    """

    async def work_once(job: Job) -> None:
        try:
            await work(job)
        finally:
            # With thousands of devices only those in progress stay connected.
            job.device.client.release()
        if lines is not None:
            bar.show(lines(job))

    stream = sys.stderr if lines is None else sys.stdout
    with progress_with_lines(action, len(jobs), stream) as bar:
        await run_batch(jobs, work_once, concurrency, events, bar.advance)


async def run_batch(
    jobs: Sequence[T],
    work: Callable[[T], Awaitable[None]],
    concurrency: int,
    events: StopEvents,
    advance: Callable[[], None],
) -> None:
    """Do `work` for each job, at most `concurrency` at once, and call `advance` after each.

    After `stop` no further job starts; `abandon` cancels those in progress. An exception of one
    job is logged and does not stop the others.
    """
    waiting = iter(jobs)
    taking = [_take_jobs(waiting, work, events, advance) for _ in jobs[:concurrency]]
    workers = [asyncio.create_task(each) for each in taking]
    abandoned = asyncio.create_task(events.abandon.wait())
    working = asyncio.gather(*workers)
    try:
        await asyncio.wait((working, abandoned), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (*workers, abandoned):
            task.cancel()
        await asyncio.gather(*workers, abandoned, working, return_exceptions=True)


async def _take_jobs(
    waiting: Iterator[T],
    work: Callable[[T], Awaitable[None]],
    events: StopEvents,
    advance: Callable[[], None],
) -> None:
    for job in waiting:
        if events.stop.is_set():
            return
        try:
            await work(job)
        except Exception:  # noqa: BLE001 - one device must not stop the others
            _log.exception("batch.internal_error")
        advance()
