"""A day of a fleet in simulated time, as the exporter itself measures and exposes it.

The poller, the estimator and the exposition are the real ones; only devices, network and clocks
are simulated. Every moment is in seconds on the exporter host's steady clock.
"""

from __future__ import annotations

import asyncio
import math
import random
import subprocess
import time
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from email.utils import formatdate
from itertools import pairwise
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.exposition import generate_latest
from structlog.testing import capture_logs

from exporter.clock.host import HostClock, HostTime
from exporter.clock.http_time import CallTimes, ResponseTimes
from exporter.clock.offset import SECOND_NS, Estimate, Offset
from exporter.clock.phase import hold_ns
from exporter.devices.device import Device
from exporter.evidence.series import DEVICE_SERIES, HOST_SERIES
from exporter.metrics.exporter import ExporterMetrics
from exporter.metrics.exposition import Exposition
from exporter.polling.poller import Poller
from exporter.simulator.digest import make_nonce
from exporter.time_servers.selection import Agreement, host_offset
from exporter.vapix.client import Timed
from exporter.vapix.errors import PollTimeout
from exporter.vapix.ntp_info import Reading
from tests.support.devices import make_device
from tests.support.fake_time import FakeTimeLoop, run_in_fake_time
from tests.support.polled_devices import READING, StubClient
from tests.support.programs import find_program
from tests.support.prometheus import PACKAGE

DAY: Final = 86_400.0
HOUR: Final = 3_600.0
SCRAPE_SECONDS: Final = 60.0
NONCE_SECONDS: Final = (0.0, None, 295.0, None)
"""Digest with a nonce in every response, or in every fifth; and a `Date` only."""

_KEPT: Final = (*DEVICE_SERIES, "axis_ntp_poll_duration_seconds", "axis_ntp_device_info")
_TARGET: Final = 'job="axis",instance="exporter:10123"'


@dataclass
class Change:
    """From a moment on, a clock has another rate, or has been stepped."""

    at: float
    step: float = 0.0
    rate_ppm: float = 0.0


class Clock:
    """A clock's offset from the steady clock, which its changes determine."""

    def __init__(self, offset: float, rate_ppm: float, changes: Sequence[Change] = ()) -> None:
        rows = [Change(-HOUR, 0.0, rate_ppm), *sorted(changes, key=lambda each: each.at)]
        self._starts = [each.at for each in rows]
        self._rates = [each.rate_ppm / 1e6 for each in rows]
        self._offsets = [offset]
        for (before, after), rate in zip(pairwise(rows), self._rates, strict=False):
            reached = self._offsets[-1] + (after.at - before.at) * rate
            self._offsets.append(reached + after.step)

    def offset(self, m: float) -> float:
        place = bisect_right(self._starts, m) - 1
        return self._offsets[place] + (m - self._starts[place]) * self._rates[place]


@dataclass
class SimulatedCamera:
    """A camera with its clock and its faults: `troubled` are the times of all of them.

    It sends a nonce every `nonce_seconds`, `None` for never: then it has only a `Date`.
    """

    name: str
    clock: Clock
    nonce_seconds: float | None
    outages: Sequence[tuple[float, float]] = ()
    troubled: Sequence[tuple[float, float]] = ()

    def is_away(self, m: float) -> bool:
        return any(start <= m < end for start, end in self.outages)

    def is_troubled(self, m: float, within: float) -> bool:
        return any(start - within <= m <= end + within for start, end in self.troubled)


@dataclass
class SimulatedDay:
    """The cameras, the host, and the samples that Prometheus would have kept."""

    cameras: list[SimulatedCamera]
    epoch: int
    host: Clock
    host_rate_ppm: float
    restart: float
    lines: list[str] = field(default_factory=list)

    def true_time(self, m: float) -> float:
        """Return the true time at a moment, as seconds since the epoch of the day."""
        return m * (1 + self.host_rate_ppm / 1e6)

    def true_ns(self, m: float) -> int:
        return self.epoch * SECOND_NS + round(self.true_time(m) * SECOND_NS)

    def shown_ns(self, camera: SimulatedCamera, m: float) -> int:
        return self.epoch * SECOND_NS + round((m + camera.clock.offset(m)) * SECOND_NS)

    def wall_ns(self, m: float) -> int:
        return self.epoch * SECOND_NS + round((m + self.host.offset(m)) * SECOND_NS)

    def host_offset(self, now: HostTime) -> Offset | None:
        """Return what the time servers say: within 3 ms, asked every 64 s."""
        asked = now.steady_seconds // 64 * 64
        off = self.true_ns(asked) - round(asked * SECOND_NS)
        error = random.Random(asked).randint(-2_900_000, 2_900_000)
        estimate = Estimate(off + error - 3_000_000, off + error + 3_000_000, round(asked * 1e9))
        return host_offset(Agreement(estimate, ()), now)

    def write_blocks(self, folder: Path) -> Path:
        """Let promtool write the samples to a database, and return its folder."""
        file, blocks = folder / "day.om", folder / "tsdb"
        file.write_text("".join([*self.lines, "# EOF\n"]))
        promtool = find_program("promtool", PACKAGE)
        command = [
            promtool,
            "tsdb",
            "create-blocks-from",
            "openmetrics",
            "-q",
            str(file),
            str(blocks),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        return blocks


class _Camera(StubClient):
    """Answers as the camera does, from its clock."""

    def __init__(self, camera: SimulatedCamera, day: SimulatedDay, rng: random.Random) -> None:
        super().__init__()
        self.camera, self.day, self.rng = camera, day, rng
        self.last_nonce = -DAY

    async def respond(self, send_at_ns: int) -> Timed[Reading]:
        loop, rng = asyncio.get_running_loop(), self.rng
        if self.camera.is_away(loop.time()):
            await asyncio.sleep(3)
            raise PollTimeout("timed out after 3 s connecting")
        await asyncio.sleep(rng.uniform(0.001, 0.02))
        held_ns = hold_ns(send_at_ns, round(loop.time() * SECOND_NS))
        await asyncio.sleep(held_ns / SECOND_NS)
        sent = loop.time()
        await asyncio.sleep(rng.uniform(0.001, 0.005))
        read = loop.time()
        await asyncio.sleep(rng.uniform(0.001, 0.005))
        shown_ns = self.day.shown_ns(self.camera, read)
        # Servers read a clock that ticks 100 times a second.
        date = formatdate(math.floor(shown_ns / SECOND_NS - rng.uniform(0, 0.009)), usegmt=True)
        nonces: tuple[str, ...] = ()
        every = self.camera.nonce_seconds
        if every is not None and read - self.last_nonce >= every:
            self.last_nonce, nonces = read, (make_nonce(shown_ns // 1000, b"key", "realm"),)
        times = (round(sent * SECOND_NS), round(loop.time() * SECOND_NS), date, nonces)
        return Timed(READING, CallTimes((ResponseTimes(*times),), held_ns))


def simulate(seed: int, cameras: int) -> SimulatedDay:
    """Simulate the last whole day (UTC) that has ended an hour ago."""
    rng = random.Random(seed)
    host_rate, epoch = rng.uniform(-3, 3), int((time.time() - DAY - HOUR) // DAY * DAY)
    # A kernel slews its wall clock together with the steady one: only a step sets them apart.
    host = Clock(0.08, 0.0, [Change(7.3 * HOUR, -0.06)])
    fleet = [_make_camera(number, rng) for number in range(cameras)]
    day = SimulatedDay(fleet, epoch, host, host_rate, 13.7 * HOUR)
    with capture_logs():
        run_in_fake_time(lambda loop: _live(day, loop, rng))
    return day


def _make_camera(number: int, rng: random.Random) -> SimulatedCamera:
    """Make a camera: every third is healthy, a third steps, is slewed and dies now and then."""
    offset = rng.choice([0.0, rng.uniform(-2, 2), rng.uniform(-100, 100)])
    drift = rng.uniform(-90, 90)
    changes, outages, troubled = list[Change](), list[tuple[float, float]](), []
    for _ in range(number % 3 * 2):
        at, kind = rng.uniform(0, DAY), rng.choice(["step", "slew", "dead", "reset"])
        end = at + rng.uniform(60, 3 * HOUR)
        size = rng.choice([-1, 1]) * 10 ** rng.uniform(-1.5, 1.5)
        if kind == "step":
            changes.append(Change(at, size, drift))
            end = at
        elif kind == "slew":
            changes += [
                Change(at, 0.0, drift + rng.choice([-500, 500])),
                Change(end, 0.0, drift),
            ]
        else:
            outages.append((at, end))
            if kind == "reset":  # without power, its clock had stopped or lost the time
                changes.append(Change(end - 30, size, drift))
        troubled.append((at, end))
    clock = Clock(offset, drift, _apart(changes, drift))
    nonce_seconds = NONCE_SECONDS[number % len(NONCE_SECONDS)]
    return SimulatedCamera(f"cam-{number}", clock, nonce_seconds, outages, troubled)


def _apart(changes: list[Change], drift: float) -> list[Change]:
    """Keep the rate of a slew at a step within it."""
    kept, rate = [], drift
    for each in sorted(changes, key=lambda change: change.at):
        if each.step:
            kept.append(Change(each.at, each.step, rate))
        else:
            rate = each.rate_ppm
            kept.append(each)
    return kept


async def _live(day: SimulatedDay, loop: FakeTimeLoop, rng: random.Random) -> None:
    """Poll and scrape for the whole day; the exporter is restarted once."""
    for start, end in ((0.0, day.restart), (day.restart + 20, DAY)):
        await asyncio.sleep(start - loop.time())
        await _run_exporter(day, loop, end, rng)


async def _run_exporter(
    day: SimulatedDay, loop: FakeTimeLoop, end: float, rng: random.Random
) -> None:
    host = HostClock(lambda: round(loop.time() * SECOND_NS), lambda: day.wall_ns(loop.time()))
    exposition = Exposition()
    observer = ExporterMetrics(host)
    observer.add_time_servers(CollectorRegistry(), day.host_offset)
    devices = [_device(each, day, rng) for each in day.cameras]
    poller = Poller(1000, observer, exposition.refresh, host)
    for device in devices:
        poller.start(device)
    own = CollectorRegistry()
    own.register(observer._host_clock)
    while loop.time() + SCRAPE_SECONDS < end:
        await asyncio.sleep(SCRAPE_SECONDS)
        text = b"".join(exposition.pieces(host.now(), openmetrics=True, form=bytes)).decode()
        text += generate_latest(own).decode()  # type: ignore[no-untyped-call]
        day.lines += _stamped(text, day.epoch + day.true_time(loop.time()))
    await poller.stop()


def _device(camera: SimulatedCamera, day: SimulatedDay, rng: random.Random) -> Device:
    return make_device(camera.name, client=_Camera(camera, day, random.Random(rng.random())))


def _stamped(text: str, scraped: float) -> Iterator[str]:
    """Yield the kept samples of a scrape with its time and its target's labels."""
    stamp = f"{scraped:.3f}"
    for line in text.splitlines():
        series, _, value = line.rpartition(" ")
        name, _, labels = series.partition("{")
        if name in _KEPT:
            yield f"{name}{{{_TARGET},{labels} {value} {stamp}\n"
        elif name in HOST_SERIES:
            yield f"{name}{{{_TARGET}}} {value} {stamp}\n"
