"""What rendering ten thousand devices costs, and how long it holds up the event loop."""

from __future__ import annotations

import asyncio
import gzip
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import uvloop
from aiohttp import web
from multidict import MultiDict
from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.registry import Collector

from bench.table import Row, at_most
from exporter.clock.host import HostClock, HostTime
from exporter.clock.http_time import CallTimes, ResponseTimes
from exporter.config import Config, Thresholds, parse_config
from exporter.devices.device import Device, DeviceTarget
from exporter.devices.state import PollOutcome
from exporter.fleet.registry import Fleet
from exporter.metrics.exporter import ExporterMetrics
from exporter.metrics.exposition import Exposition
from exporter.system.process import collect_rarely, freeze_existing_objects
from exporter.time_servers.host_clock import Vote, describe_host_clock
from exporter.vapix.ntp_info import Reading
from exporter.web.pages.fleet_page import render_fleet
from exporter.web.pages.fleet_query import FleetQuery
from exporter.web.pages.links import PageSettings
from exporter.web.routes import WebState, make_app
from exporter.web.settings import WebSettings
from tests.support.oracle import DeviceCollector
from tests.support.readings import ntp_client

DEVICES: Final = 10_000
LEAST_SPEEDUP: Final = 15.0
LONGEST_HOLD_UP_MS: Final = 50.0
SLOWEST_PAGE_MS: Final = 200.0
_TRIES: Final = 3
_SCRAPES: Final = 5
_TICK_SECONDS: Final = 0.001
_PAGES: Final = {
    "/metrics": "\naxis_ntp_up{",
    "/discover": '"device": ',
    "/config": "\n- address: ",
    "/": "<title>",
}
"""The pages whose cost grows with the fleet, and a text that each has once, or once a device."""


def rows() -> Iterator[Row]:
    """Yield the rows, measured in this process."""
    collect_rarely()
    devices = [_device(number) for number in range(DEVICES)]
    exposition = Exposition()
    for device in devices:
        exposition.refresh(device)
    registry, now = _equal_registry(devices), HostClock().now()
    for openmetrics in (False, True):
        yield _speedup(devices, exposition, registry, now, openmetrics=openmetrics)
    del registry
    freeze_existing_objects()
    for path, mark in _PAGES.items():
        yield uvloop.run(_hold_up(devices, exposition, path, mark))
    yield uvloop.run(_slowest_page(devices))


def _device(number: int) -> Device:
    """Return a healthy device that was polled once."""
    target = DeviceTarget(
        f"camera-{number:05}", f"10.0.{number >> 8}.{number & 255}", _LABELS, 60, 10
    )
    nothing: Any = None
    device = Device(target, nothing)
    _poll(device)
    return device


def _poll(device: Device) -> None:
    now = HostClock().now()
    date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(now.unix_seconds))
    seen = ResponseTimes(now.steady_ns - 1_000_000, now.steady_ns, date)
    device.state.record(PollOutcome(now, 12_000_000, _READING, CallTimes((seen,))))
    device.state.next_poll_steady = now.steady_seconds + 60


_LABELS: Final = {"site": "hq", "floor": "3"}
_READING: Final = Reading(
    "1.3",
    ntp_client(
        enabled=True,
        nts_enabled=False,
        servers_source="static",
        static_servers_max=5,
        static_servers=("ntp1.example.com", "ntp2.example.com"),
        advertised_servers=("10.0.0.1",),
        nts_ke_servers=(),
        synced=True,
        time_to_next_sync_seconds=31.0,
        offset_seconds=0.0004,
        minpoll=6,
        maxpoll=10,
    ),
    server_present=False,
)


class _Ready(Collector):
    """The same series as prometheus-client's objects, made beforehand: only rendering is timed."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = list(families)

    def collect(self) -> list[Metric]:
        """Return the families."""
        return self._families


def _equal_registry(devices: list[Device]) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(_Ready(DeviceCollector(devices, HostClock().now()).collect()))
    return registry


def _speedup(
    devices: list[Device],
    exposition: Exposition,
    registry: CollectorRegistry,
    now: HostTime,
    *,
    openmetrics: bool,
) -> Row:
    def poll_all() -> None:
        for device in devices:
            _poll(device)
            exposition.refresh(device)

    def ours() -> bytes:
        return b"".join(exposition.pieces(now, openmetrics=openmetrics, form=bytes))

    encode: Any = generate_openmetrics if openmetrics else generate_latest
    theirs_seconds = _best_of(lambda: encode(registry))
    ours_seconds = _best_of(ours, poll_all)
    _require_equal(ours(), encode(registry))
    name = "OpenMetrics" if openmetrics else "text"
    factor = theirs_seconds / ours_seconds
    measured = f"{factor:.0f} x ({ours_seconds * 1e3:.0f} ms, theirs {theirs_seconds * 1e3:.0f} ms)"
    what = f"`/metrics` for {DEVICES:,} devices, {name}, rendering against prometheus-client"
    return Row(what, measured, f"≥ {LEAST_SPEEDUP:g} x", factor >= LEAST_SPEEDUP)


def _require_equal(ours: bytes, theirs: bytes) -> None:
    """Check that both sides have as many samples; the tests compare them."""
    counts = [text.count(b"\naxis_ntp_") for text in (ours, theirs)]
    if counts[0] != counts[1]:
        raise RuntimeError(f"{counts[0]} samples against {counts[1]}")


def _best_of(work: Callable[[], bytes], prepare: Callable[[], None] = lambda: None) -> float:
    """Return the seconds that the fastest of several runs took, without their preparation."""
    taken = []
    for _ in range(_TRIES):
        prepare()
        before = time.perf_counter()
        work()
        taken.append(time.perf_counter() - before)
    return min(taken)


async def _hold_up(devices: list[Device], exposition: Exposition, path: str, mark: str) -> Row:
    """Fetch over HTTP, gzip included, and measure how late a timer fires meanwhile."""
    registry, host = ExporterMetrics().registry, HostClock()
    nothing: Any = None
    reloader: Any = SimpleNamespace(config=_config(devices), discovered=[])
    settings = WebSettings((("", 0),))
    state = WebState(Fleet(devices), exposition, registry, host, reloader, nothing, settings)
    runner = web.AppRunner(make_app(state), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}{path}"
    ticking = asyncio.create_task(_longest_tick())
    await _fetched(url, mark)
    ticking.cancel()
    longest_ms = 1e3 * (await asyncio.gather(ticking))[0]
    await runner.cleanup()
    what = f"longest hold-up of the event loop, {_SCRAPES} x `{path}`"
    what += ", gzip included" if path == "/metrics" else ""
    return at_most(what, longest_ms, LONGEST_HOLD_UP_MS, " ms")


def _config(devices: list[Device]) -> Config:
    targets = [device.target for device in devices]
    listed = [{"address": t.address, "name": t.name, "labels": t.labels} for t in targets]
    return parse_config({"devices": listed}, {}, Path())


async def _slowest_page(devices: list[Device]) -> Row:
    """Render the fleet's status page: as it opens, sorted, filtered, and its last page."""
    taken = []
    for asked in ({}, {"sort": "-clock"}, {"q": "camera 99"}, {"sort": "device", "page": "100"}):
        query, before = FleetQuery.parse(MultiDict(asked)), time.perf_counter()
        now = HostClock().now()
        describe = partial(describe_host_clock, Vote(), now, kernel=False, suspect_seconds=0.5)
        await render_fleet(devices, query, now, PageSettings("/metrics", Thresholds()), describe)
        taken.append(1e3 * (time.perf_counter() - before))
    what = f"the status page of {DEVICES:,} devices, the slowest of {len(taken)} views"
    return at_most(what, max(taken), SLOWEST_PAGE_MS, " ms")


async def _longest_tick() -> float:
    """Return how late the latest timer until cancellation was, in seconds."""
    loop, longest = asyncio.get_running_loop(), 0.0
    try:
        while True:
            before = loop.time()
            await asyncio.sleep(_TICK_SECONDS)
            longest = max(longest, loop.time() - before - _TICK_SECONDS)
    except asyncio.CancelledError:
        return longest


async def _fetched(url: str, mark: str) -> None:
    """Fetch in another process, as Prometheus does, and check that it is complete."""
    command = (sys.executable, "-m", "bench.scrape_cost", url, mark)
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    if int(output) not in (1, DEVICES):
        raise RuntimeError(f"{url} has {int(output)} devices")


def _fetch(url: str, mark: str) -> int:
    """Fetch several times; return how often the last response has the mark."""
    import urllib.request  # noqa: PLC0415 - in the other process only

    request = urllib.request.Request(url, headers={"Accept-Encoding": "gzip"})  # noqa: S310 - ours
    for _ in range(_SCRAPES):
        with urllib.request.urlopen(request) as answer:  # noqa: S310 - ours
            body = answer.read()
            is_zipped = answer.headers["Content-Encoding"] == "gzip"
    return (gzip.decompress(body) if is_zipped else body).count(mark.encode())


if __name__ == "__main__":
    print(_fetch(*sys.argv[1:3]))
