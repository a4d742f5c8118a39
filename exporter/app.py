"""The composition root: wires config, fleet, poller and web together, starts and stops them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from ssl import SSLContext
from typing import Final

import structlog
from aiohttp import web

from exporter import __version__
from exporter.config import Config, ConfigError
from exporter.exposition import Exposition
from exporter.files import Digests
from exporter.fleet import Fleet
from exporter.garbage import keep_what_is_there
from exporter.host_clock import HostClock
from exporter.keeper import PROBLEMS, Keeper
from exporter.poller import Poller
from exporter.roster import Roster
from exporter.self_metrics import SelfMetrics
from exporter.shard import WHOLE, Shard
from exporter.signals import on_hangup, stop_signals
from exporter.vapix.session import open_session
from exporter.web.live_web_config import LiveWebConfig
from exporter.web.server import WebState, make_app

SHORTEST_POLITE_INTERVAL_SECONDS: Final = 5.0
_SHUTDOWN_SECONDS: Final = 0.5

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class WebSettings:
    """Where the web side listens, as (host, port); an empty host is every interface.

    `config_file` is a web-config: TLS, accounts, headers.
    """

    listen: tuple[tuple[str, int], ...]
    telemetry_path: str = "/metrics"
    config_file: Path | None = None


@dataclass(frozen=True, slots=True)
class AutoReload:
    """Which config file is looked at for changes, and how often; `loaded` is its checksum."""

    file: Path
    interval_seconds: float
    loaded: Digests


@dataclass(frozen=True, slots=True)
class Settings:
    """What the command line says of the daemon: what it serves where, which devices it polls.

    `load` reads the config anew, and raises `ConfigError`.
    """

    web: WebSettings
    load: Callable[[], Config]
    shard: Shard = WHOLE
    auto_reload: AutoReload | None = None


class StartFailed(Exception):
    """The daemon could not start; `str()` says why."""


async def run_daemon(config: Config, settings: Settings) -> None:
    """Poll and serve until SIGTERM or SIGINT; SIGHUP reloads.

    Raises `StartFailed` when an address cannot be listened on, a secret file or the web-config not
    be used, or the devices are too many for the limit on open files.
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

    Yields the URLs that it listens on, as `http://host:port`. Raises as `run_daemon`.
    """
    metrics, host, exposition, fleet = SelfMetrics(), HostClock(), Exposition(), Fleet()
    async with open_session() as session, AsyncExitStack() as stack:
        poller = Poller(config.global_.concurrency, metrics, exposition.refresh, host)
        stack.push_async_callback(poller.stop)
        metrics.polls_in_flight.set_function(lambda: poller.in_flight)
        roster = Roster(fleet, session, poller, exposition)
        keeper = Keeper(settings.load, settings.shard, roster, poller, metrics)
        _start(keeper, config)
        stack.push_async_callback(keeper.stop)
        state = WebState(
            fleet, exposition, metrics.registry, host, keeper, poller, settings.web.telemetry_path
        )
        urls = await stack.enter_async_context(_serving(make_app(state), settings.web))
        _announce(fleet, settings.shard)
        await stack.enter_async_context(_in_background(keeper.keep_files()))
        if (auto := settings.auto_reload) is not None:
            watch = keeper.keep_config(auto.file, auto.interval_seconds, auto.loaded)
            await stack.enter_async_context(_in_background(watch))
        stack.enter_context(on_hangup(keeper.reload))
        yield urls


def _start(keeper: Keeper, config: Config) -> None:
    try:
        keeper.start(config)
    except PROBLEMS as problem:
        raise StartFailed(str(problem)) from problem


@asynccontextmanager
async def _in_background(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


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
    async with _protected(app, settings.config_file) as tls:
        runner = web.AppRunner(
            app, access_log=None, handle_signals=False, shutdown_timeout=_SHUTDOWN_SECONDS
        )
        await runner.setup()
        try:
            for host, port in settings.listen:
                await _listen(runner, host, port, tls)
            yield _announced(runner.addresses, "http" if tls is None else "https")
        finally:
            await runner.cleanup()


@asynccontextmanager
async def _protected(
    app: web.Application, config_file: Path | None
) -> AsyncIterator[SSLContext | None]:
    """An application behind its web-config, if there is one; the TLS to listen with."""
    if config_file is None:
        yield None
        return
    try:
        live = LiveWebConfig(config_file)
    except ConfigError as error:
        raise StartFailed(str(error)) from error
    live.protect(app)
    async with _in_background(live.follow()):
        yield live.tls


async def _listen(runner: web.AppRunner, host: str, port: int, tls: SSLContext | None) -> None:
    try:
        await web.TCPSite(runner, host or None, port, ssl_context=tls).start()
    except (OSError, UnicodeError) as problem:
        reason = getattr(problem, "strerror", None) or str(problem)
        raise StartFailed(f"cannot listen on {_spelled((host, port))}: {reason}") from problem


def _announced(addresses: list[tuple[str, int]], scheme: str) -> list[str]:
    """The URLs that are listened on, told in the log."""
    spelled = [_spelled(address) for address in addresses]
    for address in spelled:
        _log.info("web.listening", address=address, scheme=scheme)
    return [f"{scheme}://{address}" for address in spelled]


def _spelled(address: tuple[str, int]) -> str:
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
