"""Stub devices, and a poller that polls them in fake time."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterable
from email.utils import formatdate

from exporter.clock.host import HostClock
from exporter.clock.http_time import CallTimes, ResponseTimes
from exporter.clock.offset import SECOND_NS
from exporter.clock.phase import hold_ns
from exporter.devices.device import Device
from exporter.metrics.exporter import ExporterMetrics
from exporter.polling.poller import Poller
from exporter.vapix.client import Timed
from exporter.vapix.errors import PollTimeout
from exporter.vapix.identity import UNKNOWN_IDENTITY
from exporter.vapix.ntp_info import Reading
from tests.support.devices import make_device
from tests.support.fake_time import FakeTimeLoop, run_in_fake_time
from tests.support.readings import ntp_client

READING = Reading("1.0", ntp_client(enabled=True), server_present=False)


EPOCH = 1_700_000_000.0


class StubClient:
    """Returns or raises `result` after `seconds`."""

    def __init__(self, seconds: float = 0.1, result: Reading | BaseException = READING) -> None:
        self.seconds = seconds
        self.result = result
        self.started: list[float] = []
        self.open = 0
        self.most_open = 0
        self.scheme = None
        self.identity = UNKNOWN_IDENTITY

    async def get_info(self, timeout_seconds: float, send_at_ns: int) -> Timed[Reading]:
        loop = asyncio.get_running_loop()
        wait_seconds = max(0.0, send_at_ns / SECOND_NS - loop.time()) if send_at_ns else 0.0
        try:
            async with asyncio.timeout(timeout_seconds + wait_seconds):
                return await self.respond(send_at_ns)
        except TimeoutError:
            raise PollTimeout(f"timed out after {timeout_seconds:g} s connecting") from None

    async def respond(self, _send_at_ns: int) -> Timed[Reading]:
        self.started.append(asyncio.get_running_loop().time())
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            await asyncio.sleep(self.seconds)
        finally:
            self.open -= 1
        if isinstance(self.result, BaseException):
            raise self.result
        return Timed(self.result, CallTimes())


class Observer(ExporterMetrics):
    def __init__(self) -> None:
        super().__init__()
        self.lateness: list[float] = []
        self.latency: list[float] = []
        self.changes: list[Device] = []

    def poll_started(self, lateness_seconds: float) -> None:
        self.lateness.append(lateness_seconds)

    def poll_ended(self, latency_seconds: float) -> None:
        self.latency.append(latency_seconds)


def device(
    client: StubClient, name: str = "lobby", interval: float = 60.0, timeout: float = 10.0
) -> Device:
    return make_device(name, client=client, interval=interval, timeout=timeout)


def host_clock(loop: FakeTimeLoop) -> HostClock:
    return HostClock(
        steady=lambda: round(loop.time() * SECOND_NS),
        unix=lambda: round((EPOCH + loop.time()) * SECOND_NS),
    )


def poll_for(
    seconds: float,
    devices: Iterable[Device],
    concurrency: int = 1000,
    then: Callable[[Poller], Awaitable[None]] | None = None,
) -> Observer:
    """Poll `devices` for that long in fake time."""
    observer = Observer()

    async def main(loop: FakeTimeLoop) -> None:
        poller = Poller(concurrency, observer, observer.changes.append, host_clock(loop))
        for each in devices:
            poller.start(each)
        await asyncio.sleep(seconds)
        if then is not None:
            await then(poller)
        await poller.stop()

    run_in_fake_time(main)
    return observer


class ClockedClient(StubClient):
    """A device whose only clock is a `Date`, `offset_seconds` ahead of the host."""

    def __init__(
        self, offset_seconds: float, seconds: float = 0.002, connect_seconds: float = 0.0
    ) -> None:
        super().__init__(seconds)
        self.connecting: list[float] = []
        self.offset_seconds = offset_seconds
        self.connect_seconds = connect_seconds

    async def respond(self, send_at_ns: int) -> Timed[Reading]:
        loop = asyncio.get_running_loop()
        self.connecting.append(loop.time())
        await asyncio.sleep(self.connect_seconds)
        held_ns = hold_ns(send_at_ns, round(loop.time() * SECOND_NS))
        await asyncio.sleep(held_ns / SECOND_NS)
        sent = loop.time()
        reading, _ = await super().respond(send_at_ns)
        date = formatdate(math.floor(EPOCH + sent + self.offset_seconds), usegmt=True)
        times = (round(sent * SECOND_NS), round(loop.time() * SECOND_NS))
        return Timed(reading, CallTimes((ResponseTimes(*times, date),), held_ns))
