"""Devices in the states that tests need, behind the daemon's own web application."""

from __future__ import annotations

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any, Final

from aiohttp import web
from prometheus_client import CollectorRegistry

from exporter.clock.host import HostClock, HostTime
from exporter.clock.http_time import ResponseTimes
from exporter.clock.offset import SECOND_NS, Offset
from exporter.config import Config
from exporter.devices.device import Device, DeviceTarget
from exporter.devices.history import KEPT, PollRecord
from exporter.fleet.registry import Fleet
from exporter.metrics.exposition import Exposition
from exporter.vapix.errors import DeviceError, PollTimeout, Unauthorized
from exporter.vapix.ntp_info import NtpClientReading, Reading
from exporter.web.paths import NO_PREFIX, WebPaths
from exporter.web.routes import WebState, make_app
from exporter.web.settings import WebSettings
from tests.support.devices import outcome
from tests.support.readings import ntp_client

NOW_UNIX = 1_000_000_000.0
NOW = HostTime(1_000_000 * SECOND_NS, round(NOW_UNIX * 1e9))
SYNCED = ntp_client(
    enabled=True,
    synced=True,
    offset_seconds=-0.0123,
    servers_source="static",
    static_servers=("192.0.2.1", "192.0.2.2"),
)
HOST = HostClock(steady=lambda: NOW.steady_ns, unix=lambda: NOW.unix_ns)


def device(name: str, address: str = "", **labels: str) -> Device:
    """Return a device that was never polled."""
    nobody: Any = None
    return Device(DeviceTarget(name, address or f"{name}.example", labels, 60, 10), nobody)


def polled(
    subject: Device,
    result: NtpClientReading | DeviceError | None = SYNCED,
    *,
    ago: float = 10.0,
    date: str = "",
) -> Device:
    """Record one more poll of a device and return it; `date` is the Date header of its response."""
    reading = (
        result if isinstance(result, DeviceError) else Reading("1.5", result, server_present=False)
    )
    ended_ns = NOW.steady_ns
    seen = (ResponseTimes(ended_ns - 1_000_000, ended_ns, date),) if date else ()
    ended_ago = ago + 0.5
    began = (NOW_UNIX - ended_ago, NOW.steady_seconds - ended_ago)
    subject.state.record(outcome(began[0], 0.5, reading, began[1], responses=seen))
    return subject


RELOADER: Final = SimpleNamespace(has_all_devices=True, config=Config(), discovered=())


def with_history(name: str) -> Device:
    """Return a device with failures, a step, thresholds passed, and reported offsets."""
    subject = polled(device(name))
    for n in range(KEPT):
        failed = 30 <= n < 38
        seconds = 0.01 if n < 60 else -2.4 + 0.02 * (n - 60)
        error = PollTimeout("late") if failed else None
        measured = None if failed else Offset(seconds, 0.05)
        reported = None if failed else 0.003
        record = PollRecord(0.05, error, measured, reported, stepped=n == 60)
        subject.state.history.add(NOW.steady_seconds - 60 * (KEPT - n), record)
    return subject


def fleet(good: int = 250) -> list[Device]:
    """Return one device whose poll failed, one not polled yet, and some without problems."""
    gate = polled(device("gate", site="hq"), Unauthorized("HTTP 401: no", 401))
    return [gate, device("new"), *(polled(device(f"camera-{n}", site="port")) for n in range(good))]


def app_of(
    devices: Iterable[Device],
    poller: Any = None,
    *,
    loopback_only: bool = False,
    grafana_url: str = "",
    paths: WebPaths = NO_PREFIX,
    reloader: Any = RELOADER,
) -> web.Application:
    """Return the daemon's web application over these devices."""
    fleet = Fleet(devices)
    exposition = Exposition()
    for each in fleet:
        exposition.refresh(each)
    listen = (("127.0.0.1" if loopback_only else "", 0),)
    state = WebState(
        fleet,
        exposition,
        CollectorRegistry(),
        HOST,
        reloader,
        poller,
        WebSettings(listen, grafana_url=grafana_url, paths=paths),
    )
    return make_app(state)
