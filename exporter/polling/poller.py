"""The scrape loop: poll each device once per interval, and a limited number of them at once."""

import asyncio
import contextvars
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

import structlog

from exporter.clock.host import HostClock
from exporter.config import Thresholds
from exporter.devices.device import Device
from exporter.devices.health import note_problem
from exporter.metrics.exporter import ExporterMetrics
from exporter.polling.schedule import PlannedPoll, first_wait, following_turn, plan_poll
from exporter.polling.transitions import log_transitions

POLLS_PER_DIAGNOSIS: Final = 5
"""Since when a device has a problem is noted at every fifth poll: a diagnosis takes 7 % of one."""

_log = structlog.get_logger()


@dataclass(slots=True, eq=False)
class _PolledDevice:
    """A polled device. It waits for its `timer`, then for a slot, then for its `task` to end."""

    device: Device
    plan: PlannedPoll
    timer: asyncio.TimerHandle | None = None
    task: asyncio.Task[None] | None = None
    again: bool = False
    removed: bool = False
    waiters: tuple[asyncio.Event, ...] = ()


class Poller:
    """Polls devices from `start` to `stop`, on the running event loop.

    A poll that is due while `concurrency` others are in flight waits for a slot, first come, first
    served. `notify` is called after a device's state has changed. `thresholds` returns those in
    force. Times are seconds on the host's
    steady clock.
    """

    def __init__(
        self,
        concurrency: int,
        metrics: ExporterMetrics,
        notify: Callable[[Device], None],
        host: HostClock,
        thresholds: Callable[[], Thresholds] = Thresholds,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._concurrency = concurrency
        self._metrics = metrics
        self._notify = notify
        self._host = host
        self._thresholds = thresholds
        self._polled: dict[Device, _PolledDevice] = {}
        self._due: deque[_PolledDevice] = deque()
        self._in_flight: set[_PolledDevice] = set()
        # Timers get a clean context: that of a poll would keep its exchange alive.
        self._context = contextvars.copy_context()

    @property
    def in_flight(self) -> int:
        """The number of polls in flight."""
        return len(self._in_flight)

    def set_concurrency(self, polls: int) -> None:
        """Limit the polls in flight; those beyond a lower limit still end by themselves."""
        self._concurrency = polls
        self._fill_slots()

    def start(self, device: Device) -> None:
        """Poll a device from now on, first within one interval."""
        now, target = self._host.now(), device.target
        wait = first_wait(target.name, target.interval_seconds, now.unix_seconds)
        turn = now.steady_seconds + wait
        polled = self._polled.setdefault(device, _PolledDevice(device, PlannedPoll(turn, turn)))
        self._set_timer(polled, self._plan(polled, turn, now.steady_seconds))
        self._notify(device)

    def restart(self, device: Device) -> None:
        """Apply a new interval; a device with a poll in flight or due applies it afterwards."""
        polled = self._polled[device]
        if self._cancel_timer(polled):
            self.start(device)
            if polled.waiters:
                self._poll_early(polled)

    def poll_soon(self, device: Device, delay_seconds: float) -> None:
        """Poll a device once more before its next turn, which stays where it is.

        A device with a poll in flight is polled again when that has ended.
        """
        polled = self._polled[device]
        if polled.task is not None:
            polled.again = True
        elif self._cancel_timer(polled):
            previous_turn = polled.plan.turn - device.target.interval_seconds
            due = self._host.steady_seconds() + delay_seconds
            self._set_timer(polled, PlannedPoll(previous_turn, due))
            self._notify(device)

    async def poll_now(self, device: Device) -> None:
        """Return when a poll has ended: the one in flight, or one that begins now.

        That one takes the device's next turn, so that no caller can have a device polled more
        often than once per interval.
        """
        polled, ended = self._polled[device], asyncio.Event()
        polled.waiters += (ended,)
        self._poll_early(polled)
        await ended.wait()

    def remove(self, device: Device) -> None:
        """Stop polling a device; cancel its poll in flight without recording anything."""
        polled = self._polled.pop(device)
        polled.removed = True
        self._cancel_timer(polled)
        if polled.task is not None:
            polled.task.cancel()
        self._wake_waiters(polled)

    async def stop(self) -> None:
        """Remove every device; return when the last poll in flight has ended."""
        tasks = [polled.task for polled in self._in_flight if polled.task is not None]
        self._due.clear()
        for device in list(self._polled):
            self.remove(device)
        await asyncio.gather(*tasks, return_exceptions=True)

    def _plan(self, polled: _PolledDevice, turn: float, now: float) -> PlannedPoll:
        device = polled.device
        return plan_poll(device.state.clock, turn, device.target.interval_seconds, now)

    def _set_timer(self, polled: _PolledDevice, plan: PlannedPoll) -> None:
        polled.plan = plan
        polled.device.state.next_poll_steady = plan.due
        wait = max(0.0, plan.due - self._host.steady_seconds())
        polled.timer = self._loop.call_later(wait, self._fall_due, polled, context=self._context)

    def _poll_early(self, polled: _PolledDevice) -> None:
        """Make the planned poll now, unless it is already due or in flight."""
        if self._cancel_timer(polled):
            self._set_timer(polled, PlannedPoll(polled.plan.turn, self._host.steady_seconds()))
            self._notify(polled.device)

    def _cancel_timer(self, polled: _PolledDevice) -> bool:
        """Cancel a device's timer; return whether there was one."""
        timer, polled.timer = polled.timer, None
        if timer is not None:
            timer.cancel()
        return timer is not None

    def _fall_due(self, polled: _PolledDevice) -> None:
        polled.timer = None
        self._due.append(polled)
        self._fill_slots()

    def _fill_slots(self) -> None:
        while self._due and len(self._in_flight) < self._concurrency:
            polled = self._due.popleft()
            if not polled.removed:
                self._begin_poll(polled)

    def _begin_poll(self, polled: _PolledDevice) -> None:
        task = self._loop.create_task(self._poll(polled), context=self._context.copy())
        task.add_done_callback(partial(self._clean_up, polled), context=self._context)
        polled.task = task
        self._in_flight.add(polled)

    async def _poll(self, polled: _PolledDevice) -> None:
        device, plan = polled.device, polled.plan
        try:
            self._metrics.poll_started(self._host.steady_seconds() - plan.due)
            outcome = await device.poll(self._host, plan.send_at_ns)
            self._metrics.poll_ended(outcome.duration_seconds)
            log_transitions(device, outcome, device.state.record(outcome))
            if device.state.polls % POLLS_PER_DIAGNOSIS == 1:
                note_problem(device.state, outcome.ended, self._thresholds())
        finally:
            # Without an await since `record`: no scrape sees a state that was not notified.
            self._end_poll(polled)

    def _end_poll(self, polled: _PolledDevice) -> None:
        self._in_flight.discard(polled)
        polled.task = None
        if not polled.removed:
            self._schedule_next(polled)
        self._wake_waiters(polled)
        self._fill_slots()
        if not polled.removed:
            self._notify(polled.device)  # last: a listener that fails must not stop the others

    def _clean_up(self, polled: _PolledDevice, task: asyncio.Task[None]) -> None:
        if polled.task is task:  # cancelled before it has begun
            self._end_poll(polled)
        if not task.cancelled() and (fault := task.exception()) is not None:
            _log.error("poll.internal_error", device=polled.device.target.name, exc_info=fault)

    def _schedule_next(self, polled: _PolledDevice) -> None:
        device, now = polled.device, self._host.steady_seconds()
        if polled.again:
            polled.again = False
            self._set_timer(polled, PlannedPoll(polled.plan.turn, now))
            return
        turn = following_turn(polled.plan.turn, device.target.interval_seconds, now)
        self._set_timer(polled, self._plan(polled, turn, now))

    def _wake_waiters(self, polled: _PolledDevice) -> None:
        waiters, polled.waiters = polled.waiters, ()
        for waiter in waiters:
            waiter.set()
