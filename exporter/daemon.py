"""The composition root: creates the parts of the daemon, connects, starts and stops them."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
    nullcontext,
)
from pathlib import Path
from typing import Final, NamedTuple

import structlog

from exporter import __version__
from exporter.clock.host import HostClock
from exporter.config import Config, ConfigError
from exporter.fleet.first_round import report_first_round
from exporter.fleet.reconciler import Reconciler
from exporter.fleet.registry import Fleet
from exporter.fleet.reloader import CONFIG_ERRORS, ConfigReloader, InstanceSettings
from exporter.fleet.server_usage import count_server_usage
from exporter.fleet.sharding import ALL_DEVICES, Shard
from exporter.metrics.exporter import ExporterMetrics
from exporter.metrics.exposition import Exposition
from exporter.metrics.time_servers import TimeServerCollector
from exporter.polling.poller import Poller
from exporter.system.background import in_background
from exporter.system.files import Digests
from exporter.system.process import freeze_existing_objects
from exporter.system.signals import on_hangup, stop_signals
from exporter.system.systemd import NO_SERVICE_MANAGER, ServiceManager
from exporter.time_servers.client import TimeServerClient
from exporter.time_servers.monitor import TimeServerMonitor
from exporter.vapix.connection import Session, open_session
from exporter.vapix.dns import AresDns, CachingResolver
from exporter.web.listener import CannotServe, serve
from exporter.web.routes import WebState, make_app
from exporter.web.settings import WebSettings

SHORTEST_POLITE_INTERVAL_SECONDS: Final = 5.0

_log = structlog.get_logger()


class AutoReload(NamedTuple):
    """The config file to watch, how often, and its digest from before it was loaded."""

    file: Path
    interval_seconds: float
    loaded: Digests


class Settings(NamedTuple):
    """The settings of the command line. `load` reads the config and raises `ConfigError`."""

    web: WebSettings
    load: Callable[[], Config]
    shard: Shard = ALL_DEVICES
    auto_reload: AutoReload | None = None
    manager: ServiceManager = NO_SERVICE_MANAGER


class StartFailed(Exception):
    """The daemon could not start; `str()` says why."""


async def run_daemon(config: Config, settings: Settings) -> None:
    """Poll and serve until SIGTERM or SIGINT; reload on SIGHUP.

    Raises `ConfigError` if a file that the config names cannot be used, and `StartFailed` if an
    address or the web-config cannot be used, or the limit on open files is too low.
    """
    with stop_signals() as stop:
        async with running(config, settings), settings.manager.supervising():
            freeze_existing_objects()
            await stop.wait()
            _log.info("exporter.stopping")
    _log.info("exporter.stopped")


@asynccontextmanager
async def running(config: Config, settings: Settings) -> AsyncIterator[list[str]]:
    """Start the daemon's parts in order, and stop them in reverse order.

    Yields the URLs that it listens on, as `http://host:port`. Raises what `run_daemon` raises.
    """
    host, resolver = HostClock(), CachingResolver(AresDns())
    time_servers = TimeServerMonitor(TimeServerClient(resolver, host).query, host)
    async with (
        open_session(resolver) as session,
        _polling(config, settings, session, time_servers, host) as state,
        _serving(state, settings.web) as urls,
    ):
        _log_start(state, settings.shard)
        async with (
            in_background(state.reloader.watch_module_files()),
            in_background(count_server_usage(state.fleet, time_servers)),
            in_background(
                report_first_round(
                    state.fleet, lambda: state.is_ready, state.reloader.explain_no_devices
                )
            ),
            _watching_config(state.reloader, settings.auto_reload),
        ):
            with on_hangup(state.reloader.reload):
                yield urls


@asynccontextmanager
async def _polling(
    config: Config,
    settings: Settings,
    session: Session,
    time_servers: TimeServerMonitor,
    host: HostClock,
) -> AsyncIterator[WebState]:
    """Poll the devices of the config and of its sources, and ask the time servers.

    Yields what is known about the devices.
    """
    exposition, fleet = Exposition(), Fleet()
    metrics = ExporterMetrics(host)
    poller = Poller(
        config.global_.concurrency,
        metrics,
        exposition.refresh,
        host,
        lambda: reloader.config.thresholds,
    )
    instance = InstanceSettings(settings.load, settings.shard, settings.web.max_connections)
    reconciler = Reconciler(fleet, session, poller, exposition)
    reloader = ConfigReloader(instance, reconciler, time_servers, metrics, settings.manager)
    metrics.polls_in_flight.set_function(lambda: poller.in_flight)
    metrics.devices.set_function(lambda: len(fleet))
    metrics.add_time_servers(TimeServerCollector(time_servers, host), time_servers.host_offset)
    async with AsyncExitStack() as stack:
        for part in (poller, time_servers, reloader):
            stack.push_async_callback(part.stop)
        with _as_start_failed(CONFIG_ERRORS):
            await reloader.start(config)
        series, vote = metrics.registry, time_servers.vote
        yield WebState(fleet, exposition, series, host, reloader, poller, settings.web, vote)


@asynccontextmanager
async def _serving(state: WebState, settings: WebSettings) -> AsyncIterator[list[str]]:
    async with AsyncExitStack() as stack:
        with _as_start_failed((CannotServe,)):
            urls = await stack.enter_async_context(serve(make_app(state), settings))
        yield urls


@contextmanager
def _as_start_failed(kinds: tuple[type[Exception], ...]) -> Iterator[None]:
    try:
        yield
    except ConfigError:
        raise
    except kinds as error:
        raise StartFailed(str(error)) from error


def _watching_config(
    reloader: ConfigReloader, auto: AutoReload | None
) -> AbstractAsyncContextManager[object]:
    if auto is None:
        return nullcontext()
    return in_background(reloader.watch_config(auto.file, auto.interval_seconds, auto.loaded))


def _log_start(state: WebState, shard: Shard) -> None:
    fleet = state.fleet
    # Before the sources were asked, 0 devices would look like a fault.
    known = {"devices": len(fleet)} if state.reloader.has_all_devices else {}
    _log.info("exporter.started", version=__version__, **known, shard=str(shard))
    shortest = min((device.target.interval_seconds for device in fleet), default=None)
    if shortest is not None and shortest < SHORTEST_POLITE_INTERVAL_SECONDS:
        _log.warning(
            "config.interval_short",
            interval_seconds=shortest,
            advice=f"{SHORTEST_POLITE_INTERVAL_SECONDS:g} s or more spares the devices",
        )
