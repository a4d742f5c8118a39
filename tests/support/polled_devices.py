"""Stub devices, and a poller that polls them in fake time."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterable
from email.utils import formatdate

from exporter.clock.host import HostClock
from exporter.clock.http_time import ResponseTimes
from exporter.clock.offset import SECOND_NS
from exporter.devices.device import Device
from exporter.polling.poller import Poller
from exporter.vapix.hold import Hold
from exporter.vapix.reading import NtpClientReading, Reading
from tests.support.devices import make_device
from tests.support.fake_time import FakeTimeLoop, run_in_fake_time

READING = Reading("1.0", NtpClientReading(enabled=True), server_present=False)


EPOCH = 1_700_000_000.0


class StubClient:
    """Returns or raises `result` after `seconds`."""

    def __init__(self, seconds: float = 0.1, result: Reading | BaseException = READING) -> None:
        self.seconds = seconds
        self.result = result
        self.started: list[float] = []
        self.open = 0
        self.most_open = 0
        self.sightings: list[ResponseTimes] = []
        self.scheme = None
        self.stage = "connecting"

    def take_sightings(self) -> list[ResponseTimes]:
        taken, self.sightings = self.sightings, []
        return taken

    async def get_info(self, _hold: Hold) -> Reading:
        self.started.append(asyncio.get_running_loop().time())
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            await asyncio.sleep(self.seconds)
        finally:
            self.open -= 1
        if isinstance(self.result, BaseException):
            raise self.result
        return self.result


class Observer:
    def __init__(self) -> None:
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

    async def get_info(self, hold: Hold) -> Reading:
        loop = asyncio.get_running_loop()
        self.connecting.append(loop.time())
        await asyncio.sleep(self.connect_seconds)
        await hold.wait()
        sent = loop.time()
        reading = await super().get_info(hold)
        date = formatdate(math.floor(EPOCH + sent + self.offset_seconds), usegmt=True)
        times = (round(sent * SECOND_NS), round(loop.time() * SECOND_NS))
        self.sightings.append(ResponseTimes(*times, date))
        return reading
