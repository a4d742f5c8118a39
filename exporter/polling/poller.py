"""The scrape loop: every device once per interval, never twice at once, at most so many at all."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple, Protocol, cast

from exporter.clock.host import HostClock
from exporter.clock.http_time import ResponseTimes
from exporter.clock.offset import SECOND_NS
from exporter.devices.device import Device
from exporter.devices.state import PollOutcome
from exporter.polling.schedule import first_wait, following_turn, may_shift
from exporter.polling.transitions import record_and_tell
from exporter.vapix.errors import DeviceError
from exporter.vapix.hold import Hold
from exporter.vapix.reading import Reading


class PollObserver(Protocol):
    """Who is told of the loop's own health, in seconds."""

    def poll_started(self, lateness_seconds: float) -> None:
        """A poll began that long after it was due."""

    def poll_ended(self, latency_seconds: float) -> None:
        """A poll took that long."""


StateListener = Callable[[Device], None]
"""Who is told that a device's state has changed."""


class _Turn(NamedTuple):
    """A device's turn in its own rhythm, and when in that turn it is polled. Steady seconds.

    `send_at_ns`: when the request is to leave, steady nanoseconds; 0 for as soon as it can.
    """

    device: Device
    turn: float
    due: float
    send_at_ns: int = 0


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
        self._loop = asyncio.get_running_loop()
        self._concurrency = concurrency
        self._observer = observer
        self._changed = changed
        self._host = host
        self._devices: set[Device] = set()
        self._timers: dict[Device, tuple[asyncio.TimerHandle, _Turn]] = {}
        self._waiting: deque[_Turn] = deque()
        self._open: dict[Device, asyncio.Task[None]] = {}
        self._again: set[Device] = set()
        self._awaited: dict[Device, asyncio.Event] = {}
        # A timer keeps its context, and a poll's holds what the poll has left.
        self._context = contextvars.copy_context()

    @property
    def in_flight(self) -> int:
        """How many polls are open now."""
        return len(self._open)

    @property
    def concurrency(self) -> int:
        """How many polls may be open at once."""
        return self._concurrency

    @concurrency.setter
    def concurrency(self, polls: int) -> None:
        self._concurrency = polls
        self._fill_slots()

    def start(self, device: Device) -> None:
        """Poll a device from now on, first within one interval."""
        self._devices.add(device)
        target = device.target
        now = self._host.now()
        wait = first_wait(target.name, target.interval_seconds, now.unix_seconds)
        self._schedule(device, now.steady_seconds + wait, now.steady_seconds)

    def restart(self, device: Device) -> None:
        """Take up a new interval; a device that is just being polled does so at its next turn."""
        if device in self._timers:
            self._cancel_timer(device)
            self.start(device)

    def poll_soon(self, device: Device, delay_seconds: float) -> None:
        """Poll a device once more before its next turn; then its rhythm goes on.

        One that is just being polled is polled again when that has ended.
        """
        if device in self._open:
            self._again.add(device)
        elif device in self._timers:
            turn = self._cancel_timer(device).turn - device.target.interval_seconds
            now = self._host.steady_seconds()
            self._set_timer(_Turn(device, turn, now + delay_seconds), now)

    async def poll_now(self, device: Device) -> None:
        """Return when a poll has ended: the one that is open, or one that begins at once."""
        ended = self._awaited.setdefault(device, asyncio.Event())
        if device not in self._open:
            self.poll_soon(device, delay_seconds=0)
        await ended.wait()

    def remove(self, device: Device) -> None:
        """Poll a device no more; a poll of it that is open is cancelled and leaves nothing."""
        self._devices.discard(device)
        self._again.discard(device)
        if device in self._timers:
            self._cancel_timer(device)
        if (poll := self._open.get(device)) is not None:
            self._cancel(poll, device)
        self._tell_ended(device)

    async def stop(self) -> None:
        """Remove every device; return when the last open poll has ended."""
        polls = list(self._open.values())
        self._waiting.clear()
        for device in list(self._devices):
            self.remove(device)
        await asyncio.gather(*polls, return_exceptions=True)

    def _cancel(self, poll: asyncio.Task[None], device: Device) -> None:
        poll.cancel()
        steps = cast("Coroutine[Any, Any, None]", poll.get_coro())
        if inspect.getcoroutinestate(steps) == inspect.CORO_CREATED:
            self._free_slot(device)  # it will never run, and so not do that at its end

    def _schedule(self, device: Device, turn: float, now: float) -> None:
        self._set_timer(_planned(device, turn, now), now)

    def _set_timer(self, turn: _Turn, now: float) -> None:
        device, due = turn.device, turn.due
        device.state.next_poll_unix = self._host.unix_seconds_at(due)
        timer = self._loop.call_later(
            max(0.0, due - now), self._fall_due, turn, context=self._context
        )
        self._timers[device] = (timer, turn)
        self._changed(device)

    def _cancel_timer(self, device: Device) -> _Turn:
        timer, turn = self._timers.pop(device)
        timer.cancel()
        return turn

    def _fall_due(self, turn: _Turn) -> None:
        del self._timers[turn.device]
        self._waiting.append(turn)
        self._fill_slots()

    def _fill_slots(self) -> None:
        while self._waiting and len(self._open) < self._concurrency:
            turn = self._waiting.popleft()
            if turn.device in self._devices:
                self._open[turn.device] = self._loop.create_task(
                    self._poll(turn), context=self._context.copy()
                )

    def _free_slot(self, device: Device) -> None:
        del self._open[device]
        self._tell_ended(device)
        if self._waiting:
            self._fill_slots()

    def _tell_ended(self, device: Device) -> None:
        if (ended := self._awaited.pop(device, None)) is not None:
            ended.set()

    def _go_on(self, turn: _Turn) -> None:
        device = turn.device
        now = self._host.steady_seconds()
        interval = device.target.interval_seconds
        self._schedule(device, following_turn(turn.turn, interval, now), now)
        if device in self._again:
            self._again.discard(device)
            self.poll_soon(device, delay_seconds=0)

    async def _poll(self, turn: _Turn) -> None:
        device, host = turn.device, self._host
        try:
            began_ns = host.steady_ns()
            self._observer.poll_started(began_ns / SECOND_NS - turn.due)
            hold = Hold(turn.send_at_ns, host.steady_ns)
            result, sightings = await poll_once(device, hold)
            ended = host.now()
            duration_ns = ended.steady_ns - began_ns - hold.held_ns
            self._observer.poll_ended(duration_ns / SECOND_NS)
            record_and_tell(
                device, PollOutcome(ended, duration_ns, result, tuple(sightings), hold.held_ns)
            )
        finally:
            self._free_slot(device)
            if device in self._devices:
                self._go_on(turn)


def _planned(device: Device, turn: float, now: float) -> _Turn:
    """When in its turn a device is polled: where that tells the most of its clock."""
    clock = device.state.clock
    lead = clock.lead_ns / SECOND_NS
    send = max(turn, now + lead)
    send += clock.shift_seconds(round(send * SECOND_NS))
    if may_shift(max(send - turn, lead), device.target.interval_seconds):
        return _Turn(device, turn, send - lead, round(send * SECOND_NS))
    return _Turn(device, turn, max(turn, now))


async def poll_once(
    device: Device, hold: Hold
) -> tuple[Reading | DeviceError, list[ResponseTimes]]:
    """Ask a device once, within its timeout over everything; what its answers showed too.

    For as long as its request waits for `hold`, the timeout waits too. Raises nothing but
    cancellation.
    """
    # A reload may give the device another client while this one is still asking.
    client = device.client
    result = await device.ask(lambda: client.get_info(hold), hold)
    return result, client.take_sightings()
