"""A device's clock that is polled in simulated time, with a known true offset."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from exporter.clock.estimator import DeviceClock
from exporter.clock.host import HostTime
from exporter.clock.offset import MICROSECOND_NS, SECOND_NS, ClockSample, Offset
from exporter.clock.phase import hold_ns


@dataclass
class Truth:
    """The true offset, device minus host, in nanoseconds at a steady time.

    It has an offset, a drift, steps, and a slew from one time to another, in ppm.
    """

    offset_ns: int = 0
    drift_ppm: float = 0.0
    steps: dict[int, int] = field(default_factory=dict)
    slewed: tuple[int, int, float] = (0, 0, 0.0)

    def slew(self, from_ns: int, to_ns: int, rate_ppm: float) -> None:
        self.slewed = (from_ns, to_ns, rate_ppm)

    def at(self, steady_ns: int) -> int:
        stepped = sum(size for when, size in self.steps.items() if when <= steady_ns)
        began, ended, rate_ppm = self.slewed
        slewed = round(max(0, min(steady_ns, ended) - began) * rate_ppm / 1e6)
        return self.offset_ns + round(steady_ns * self.drift_ppm / 1e6) + stepped + slewed


@dataclass
class Look:
    """The measured offset after a poll, and the true one."""

    offset: Offset
    truth_seconds: float
    stepped: bool

    @property
    def half_width_seconds(self) -> float:
        return self.offset.uncertainty_seconds

    @property
    def holds_the_truth(self) -> bool:
        return abs(self.offset.seconds - self.truth_seconds) <= self.half_width_seconds


See = Callable[[int, int, int], ClockSample]
"""What a response shows of the device's clock, read between two steady times: nanoseconds."""


def see_date(device_ns: int, sent_ns: int, received_ns: int) -> ClockSample:
    return ClockSample.of(device_ns // SECOND_NS * SECOND_NS, SECOND_NS, sent_ns, received_ns)


def see_nonce(device_ns: int, sent_ns: int, received_ns: int) -> ClockSample:
    return ClockSample.of(device_ns // 1_000 * 1_000, MICROSECOND_NS, sent_ns, received_ns)


@dataclass
class Poller:
    """Polls as the real poller does: at the interval, shifted for the device's clock."""

    truth: Truth
    interval_seconds: float
    rng: random.Random
    see: See = see_date
    round_trip_seconds: tuple[float, float] = (0.0005, 0.003)
    connect_seconds: tuple[float, float] = (0.0002, 0.002)
    start_ns: int = 0
    host_wall_set_ns: int = 0
    clock: DeviceClock = field(default_factory=DeviceClock)
    number: int = 0
    step_ns: int = 0

    def polls(self, count: int) -> list[Look]:
        """Make that many polls, one per interval."""
        return [self.poll(self.next_turn_ns()) for _ in range(count)]

    def next_turn_ns(self) -> int:
        self.number += 1
        return self.start_ns + round(self.number * self.interval_seconds * SECOND_NS)

    def step(self, seconds: float) -> None:
        """Step the device's clock just before the next poll."""
        self.step_ns = round(seconds * SECOND_NS)

    def poll(self, turn_ns: int) -> Look:
        aimed_ns = turn_ns + round(self.clock.shift_seconds(turn_ns) * SECOND_NS)
        connect_ns = self._nanoseconds(*self.connect_seconds)
        ready_ns = aimed_ns - self.clock.lead_ns + connect_ns
        sent_ns = ready_ns + hold_ns(aimed_ns, ready_ns)
        if self.step_ns:
            self.truth.steps[sent_ns], self.step_ns = self.step_ns, 0
        received_ns = sent_ns + self._nanoseconds(*self.round_trip_seconds)
        read_ns = self.rng.randint(sent_ns, received_ns)
        seen = self.see(read_ns + self.truth.at(read_ns), sent_ns, received_ns)
        self.clock.take_poll([seen], connect_ns)
        return self._look(received_ns)

    def _look(self, now_ns: int) -> Look:
        # The host's wall clock equals the steady one until it is set.
        offset = self.clock.offset(HostTime(now_ns, now_ns + self.host_wall_set_ns))
        assert offset is not None
        stepped = any(event.kind == "stepped" for event in self.clock.events)
        truth_ns = self.truth.at(now_ns) - self.host_wall_set_ns
        return Look(offset, truth_ns / SECOND_NS, stepped)

    def _nanoseconds(self, low_seconds: float, high_seconds: float) -> int:
        return round(self.rng.uniform(low_seconds, high_seconds) * SECOND_NS)
