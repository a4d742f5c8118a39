"""The composition root: wires config, fleet, poller and web together, starts and stops them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import structlog
from aiohttp import web

from exporter import __version__
from exporter.config import Config
from exporter.exposition import Exposition
from exporter.file_limit import TooManyConnections, make_room_for
from exporter.fleet import Fleet, build_fleet
from exporter.garbage import keep_what_is_there
from exporter.host_clock import HostClock
from exporter.poller import Poller
from exporter.self_metrics import SelfMetrics
from exporter.shard import WHOLE, Shard
from exporter.signals import stop_signals
from exporter.vapix.session import Session, open_session
from exporter.web.server import WebState, make_app

SHORTEST_POLITE_INTERVAL_SECONDS: Final = 5.0
_SHUTDOWN_SECONDS: Final = 0.5

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class WebSettings:
    """Where the web side listens, as (host, port); an empty host is every interface."""

    listen: tuple[tuple[str, int], ...]
    telemetry_path: str = "/metrics"


@dataclass(frozen=True, slots=True)
class Settings:
    """What the command line says of the daemon: what it serves where, which devices it polls."""

    web: WebSettings
    shard: Shard = WHOLE


class StartFailed(Exception):
    """The daemon could not start; `str()` says why."""


async def run_daemon(config: Config, settings: Settings) -> None:
    """Poll and serve until SIGTERM or SIGINT.

    Raises `StartFailed` when an address cannot be listened on, a secret file not be read, or the
    devices are too many for the limit on open files.
    """
    with stop_signals() as stop:
        async with running(config, settings):
            keep_what_is_there()
            await stop.wait()
            _log.info("exporter.stopping")
    _log.info("exporter.stopped")


@asynccontextmanager
async def running(config: Config, settings: Settings) -> AsyncIterator[list[str]]:
    """The daemon's parts, started in their order and stopped in the reverse.

    Yields the addresses that it listens on, as `host:port`. Raises as `run_daemon`.
    """
    metrics = SelfMetrics()
    async with open_session() as session:
        fleet = _fleet(config, session, settings.shard)
        metrics.config_loaded()
        metrics.devices.set(len(fleet))
        host = HostClock()
        exposition = Exposition()
        poller = Poller(config.global_.concurrency, metrics, exposition.refresh, host)
        metrics.polls_in_flight.set_function(lambda: poller.in_flight)
        state = WebState(fleet, exposition, metrics.registry, host, settings.web.telemetry_path)
        async with _serving(make_app(state), settings.web) as addresses:
            _announce(fleet, settings.shard)
            for device in fleet:
                poller.start(device)
            try:
                yield addresses
            finally:
                await poller.stop()


def _fleet(config: Config, session: Session, shard: Shard) -> Fleet:
    try:
        fleet = build_fleet(config, session, shard)
        make_room_for(len(fleet))
    except (OSError, ValueError, TooManyConnections) as problem:
        raise StartFailed(str(problem)) from problem
    return fleet


def _announce(fleet: Fleet, shard: Shard) -> None:
    _log.info("exporter.started", version=__version__, devices=len(fleet), shard=str(shard))
    shortest = min((device.target.interval_seconds for device in fleet), default=None)
    if shortest is not None and shortest < SHORTEST_POLITE_INTERVAL_SECONDS:
        _log.warning(
            "config.interval_short",
            interval_seconds=shortest,
            advice=f"devices bear a poll every {SHORTEST_POLITE_INTERVAL_SECONDS:g} s at most",
        )
    if not len(fleet):
        _log.warning("config.no_devices")


@asynccontextmanager
async def _serving(app: web.Application, settings: WebSettings) -> AsyncIterator[list[str]]:
    runner = web.AppRunner(
        app, access_log=None, handle_signals=False, shutdown_timeout=_SHUTDOWN_SECONDS
    )
    await runner.setup()
    try:
        for host, port in settings.listen:
            await _listen(runner, host, port)
        addresses = [_spelled(address) for address in runner.addresses]
        for address in addresses:
            _log.info("web.listening", address=address)
        yield addresses
    finally:
        await runner.cleanup()


async def _listen(runner: web.AppRunner, host: str, port: int) -> None:
    try:
        await web.TCPSite(runner, host or None, port).start()
    except (OSError, UnicodeError) as problem:
        reason = getattr(problem, "strerror", None) or str(problem)
        raise StartFailed(f"cannot listen on {_spelled((host, port))}: {reason}") from problem


def _spelled(address: tuple[str, int]) -> str:
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
