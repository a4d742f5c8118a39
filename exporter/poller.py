"""The scrape loop: every device once per interval, never twice at once, at most so many at all."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from exporter.clock import SECOND_NS
from exporter.device import Device
from exporter.edges import log_edges
from exporter.host_clock import HostClock
from exporter.reading import Reading
from exporter.schedule import first_wait, next_due
from exporter.state import Outcome
from exporter.vapix.errors import DeviceError, Internal, PollTimeout
from exporter.vapix.sighting import Sighting

MAX_SHIFT_SECONDS: Final = 1.0
"""A poll is never further from its turn than this, for the sake of reading the clock."""

_log = structlog.get_logger()


class PollObserver(Protocol):
    """Who is told of the loop's own health, in seconds."""

    def poll_started(self, lateness_seconds: float) -> None:
        """A poll began that long after it was due."""

    def poll_ended(self, latency_seconds: float) -> None:
        """A poll took that long."""


StateListener = Callable[[Device], None]
"""Who is told that a device's state has changed."""


@dataclass(frozen=True, slots=True)
class _Turn:
    """A device's turn in its own rhythm, and when in that turn it is polled. Steady seconds."""

    device: Device
    turn: float
    due: float


class Poller:
    """Polls devices from `start` to `stop`, on the running event loop.

    A poll that is due when `concurrency` others are open waits for its turn, first come first
    served. Times are seconds on the host's steady clock.
    """

    def __init__(
        self,
        concurrency: int,
        observer: PollObserver,
        changed: StateListener,
        host: HostClock,
    ) -> None:
        self._concurrency = concurrency
        self._observer = observer
        self._changed = changed
        self._host = host
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._waiting: deque[_Turn] = deque()
        self._open: dict[str, asyncio.Task[None]] = {}
        self._stopped = False

    @property
    def in_flight(self) -> int:
        """How many polls are open now."""
        return len(self._open)

    def start(self, device: Device) -> None:
        """Poll a device from now on, first within one interval."""
        target = device.target
        now = self._host.now()
        wait = first_wait(target.name, target.interval_seconds, now.unix_seconds)
        self._schedule(device, now.steady_seconds + wait)

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

    def _schedule(self, device: Device, turn: float) -> None:
        now = self._host.now()
        due = turn + _shift(device, turn, now.steady_seconds)
        device.state.next_poll_unix = now.unix_seconds + due - now.steady_seconds
        self._changed(device)
        self._timers[device.target.name] = asyncio.get_running_loop().call_later(
            max(0.0, due - now.steady_seconds), self._fall_due, _Turn(device, turn, due)
        )

    def _fall_due(self, turn: _Turn) -> None:
        del self._timers[turn.device.target.name]
        self._waiting.append(turn)
        self._fill_slots()

    def _fill_slots(self) -> None:
        while self._waiting and len(self._open) < self._concurrency:
            turn = self._waiting.popleft()
            poll = asyncio.get_running_loop().create_task(self._take_turn(turn))
            self._open[turn.device.target.name] = poll

    async def _take_turn(self, turn: _Turn) -> None:
        device = turn.device
        try:
            await self._poll(turn)
        finally:
            del self._open[device.target.name]
            if not self._stopped:
                self._schedule(device, _following(turn, self._host.steady_seconds()))
                self._fill_slots()

    async def _poll(self, turn: _Turn) -> None:
        started = self._host.now()
        self._observer.poll_started(started.steady_seconds - turn.due)
        result, sightings = await poll_once(turn.device)
        duration = self._host.steady_seconds() - started.steady_seconds
        self._observer.poll_ended(duration)
        due_ns = round(turn.due * SECOND_NS)
        outcome = Outcome(
            started.unix_seconds,
            duration,
            result,
            started.steady_seconds,
            tuple(sightings),
            due_ns,
        )
        with log_edges(turn.device, outcome):
            turn.device.state.record(outcome)


def _shift(device: Device, turn: float, now: float) -> float:
    """How long after its turn a device is best polled, for the sake of its clock; under 1 s."""
    if device.target.interval_seconds < MAX_SHIFT_SECONDS:
        return 0.0
    passed = max(0.0, now - turn)
    shift = passed + device.state.clock.shift_seconds(round((turn + passed) * SECOND_NS))
    return shift if shift < MAX_SHIFT_SECONDS else passed


def _following(turn: _Turn, now: float) -> float:
    """The device's next turn; one that began within the last shift's room is still taken."""
    interval = turn.device.target.interval_seconds
    room = MAX_SHIFT_SECONDS if interval >= MAX_SHIFT_SECONDS else 0.0
    return next_due(turn.turn, interval, now - room)


async def poll_once(device: Device) -> tuple[Reading | DeviceError, list[Sighting]]:
    """Ask a device once, within its timeout over everything; what its answers showed too.

    Raises nothing but cancellation.
    """
    result = await _result_of(device)
    return result, device.client.take_sightings()


async def _result_of(device: Device) -> Reading | DeviceError:
    timeout_seconds = device.target.timeout_seconds
    try:
        async with asyncio.timeout(timeout_seconds):
            return await device.client.get_info()
    except DeviceError as error:
        return error
    except TimeoutError:
        stage = device.client.stage
        return PollTimeout(f"no complete answer within {timeout_seconds:g} s: {stage}")
    except Exception:  # noqa: BLE001 - one guard, so that no device can end the loop
        # The last resort: whatever it is, this device's poll failed and the loop goes on.
        _log.exception("poll.internal_error", device=device.target.name)
        return Internal("internal error, see the exporter's log")
