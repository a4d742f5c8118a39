"""The scrape loop: every device once per interval, never twice at once, at most so many at all."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

import structlog

from exporter.device import Device
from exporter.reading import Reading
from exporter.schedule import first_due, next_due
from exporter.state import ErrorKind, Outcome
from exporter.vapix.errors import DeviceError, Internal, PollTimeout

_log = structlog.get_logger()


class PollObserver(Protocol):
    """Who is told of the loop's own health, in seconds."""

    def poll_started(self, lateness_seconds: float) -> None:
        """A poll began that long after it was due."""

    def poll_ended(self, latency_seconds: float) -> None:
        """A poll took that long."""


class Poller:
    """Polls devices from `start` to `stop`, on the running event loop.

    A poll that is due when `concurrency` others are open waits for its turn, first come first
    served. `monotonic` and `unix` give the time in seconds.
    """

    def __init__(
        self,
        concurrency: int,
        observer: PollObserver,
        monotonic: Callable[[], float] = time.monotonic,
        unix: Callable[[], float] = time.time,
    ) -> None:
        self._concurrency = concurrency
        self._observer = observer
        self._monotonic = monotonic
        self._unix = unix
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._waiting: deque[tuple[Device, float]] = deque()
        self._open: dict[str, asyncio.Task[None]] = {}
        self._stopped = False

    @property
    def in_flight(self) -> int:
        """How many polls are open now."""
        return len(self._open)

    def start(self, device: Device) -> None:
        """Poll a device from now on, first within one interval."""
        target = device.target
        self._schedule(device, first_due(target.name, target.interval_seconds, self._monotonic()))

    async def stop(self) -> None:
        """Cancel every timer and every open poll; return when the last has ended."""
        self._stopped = True
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._waiting.clear()
        polls = list(self._open.values())
        for poll in polls:
            poll.cancel()
        await asyncio.gather(*polls, return_exceptions=True)

    def _schedule(self, device: Device, due: float) -> None:
        now = self._monotonic()
        device.state.next_poll_unix = self._unix() + due - now
        loop = asyncio.get_running_loop()
        self._timers[device.target.name] = loop.call_later(
            max(0.0, due - now), self._fall_due, device, due
        )

    def _fall_due(self, device: Device, due: float) -> None:
        del self._timers[device.target.name]
        self._waiting.append((device, due))
        self._fill_slots()

    def _fill_slots(self) -> None:
        while self._waiting and len(self._open) < self._concurrency:
            device, due = self._waiting.popleft()
            poll = asyncio.get_running_loop().create_task(self._turn(device, due))
            self._open[device.target.name] = poll

    async def _turn(self, device: Device, due: float) -> None:
        target = device.target
        try:
            self._observer.poll_started(self._monotonic() - due)
            outcome = await self._poll(device)
            self._observer.poll_ended(outcome.duration_seconds)
            _log_edges(device, outcome)
            device.state.record(outcome)
        finally:
            del self._open[target.name]
            if not self._stopped:
                self._schedule(device, next_due(due, target.interval_seconds, self._monotonic()))
                self._fill_slots()

    async def _poll(self, device: Device) -> Outcome:
        started_unix, started = self._unix(), self._monotonic()
        result = await poll_once(device)
        return Outcome(started_unix, self._monotonic() - started, result)


async def poll_once(device: Device) -> Reading | DeviceError:
    """Ask a device once, within its timeout over everything. Raises nothing but cancellation."""
    timeout_seconds = device.target.timeout_seconds
    try:
        async with asyncio.timeout(timeout_seconds):
            return await device.client.get_info()
    except DeviceError as error:
        return error
    except TimeoutError:
        return PollTimeout(f"no complete answer within {timeout_seconds:g} s")
    except Exception:  # noqa: BLE001 - one guard, so that no device can end the loop
        # The last resort: whatever it is, this device's poll failed and the loop goes on.
        _log.exception("poll.internal_error", device=device.target.name)
        return Internal("internal error, see the exporter's log")


def _log_edges(device: Device, outcome: Outcome) -> None:
    """Tell what changed: went down, down for another reason too, came back, odd fields."""
    log = _log.bind(device=device.target.name, address=device.target.address)
    if isinstance(outcome.result, DeviceError):
        _log_failure(log, device, outcome.result)
        return
    if device.state.down_since_unix is not None:
        down_seconds = round(outcome.started_unix - device.state.down_since_unix, 3)
        log.info("device.recovered", down_seconds=down_seconds)
        device.told_reasons.clear()
    for name, problem in outcome.result.invalid_fields:
        if name not in device.told_fields:
            device.told_fields.add(name)
            log.warning("device.field_left_out", field=name, problem=problem)


def _log_failure(
    log: structlog.typing.FilteringBoundLogger, device: Device, error: DeviceError
) -> None:
    kind = ErrorKind.of(error)
    if kind.reason not in device.told_reasons:
        device.told_reasons.add(kind.reason)
        fields = {"reason": kind.reason, "error": str(error)}
        log.warning("device.failed", **fields | ({"code": kind.code} if kind.code else {}))
