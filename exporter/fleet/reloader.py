"""Apply the desired state: at the start, on a config reload, a changed file, or discovery."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Final, NamedTuple

import structlog

from exporter.config import Config, ConfigError, DeviceConfig
from exporter.config.errors import Problem, as_lines
from exporter.discovery.listing import Listing, list_by_source
from exporter.discovery.manager import Discovery
from exporter.discovery.no_devices import explain_no_devices
from exporter.fleet.client_factory import (
    ClientFactories,
    build_client_factories,
    rebuild_changed_factories,
)
from exporter.fleet.loads import SharedLoads
from exporter.fleet.reconciler import Changes, DeviceSpec, Reconciler, build_spec
from exporter.fleet.sharding import Shard
from exporter.metrics.exporter import ExporterMetrics
from exporter.system.files import Digests, FileWatcher, digests
from exporter.system.process import TooManyConnections, raise_file_limit, warn_of_low_file_limit
from exporter.system.slices import in_slices
from exporter.system.systemd import ServiceManager
from exporter.system.threads import FILES_TIMEOUT_SECONDS, HungCallGuard, read_files
from exporter.time_servers.monitor import TimeServerMonitor

MODULE_FILES_INTERVAL_SECONDS: Final = 5.0

CONFIG_ERRORS: Final = (ConfigError, OSError, ValueError, TooManyConnections)
"""Errors that the operator can fix; `str()` says how."""

_log = structlog.get_logger()


class ReloadFailed(Exception):
    """The new config was refused and the old one stays; `str()` says why."""


class DesiredState(NamedTuple):
    """What determines the running devices."""

    config: Config
    factories: ClientFactories
    discovered: Sequence[DeviceConfig]


class InstanceSettings(NamedTuple):
    """What does not change while the daemon runs.

    `load` reads the config file. It raises one of `CONFIG_ERRORS`. `shard` selects the devices
    that this instance polls. `visitors` is how many connections of visitors it accepts.
    """

    load: Callable[[], Config]
    shard: Shard
    visitors: int


class _Loaded(NamedTuple):
    """What a load has changed; a new config may leave every device the same."""

    changes: Changes
    is_new_config: bool


class ConfigReloader:
    """Holds the running config, and applies each new desired state completely or not at all."""

    def __init__(
        self,
        instance: InstanceSettings,
        reconciler: Reconciler,
        time_servers: TimeServerMonitor,
        metrics: ExporterMetrics,
        manager: ServiceManager,
    ) -> None:
        self._instance = instance
        self._time_servers = time_servers
        self._reconciler = reconciler
        self._metrics = metrics
        self._manager = manager
        self._state = DesiredState(Config(), {}, ())
        self._loads = SharedLoads(self._load_and_apply)
        self._newest_load = 0
        self._refusal: str | None = None
        self._applying = asyncio.Lock()
        self._discovery = Discovery(metrics, self._apply_discovered, self._applying)
        self._module_digests: Digests = {}
        self._module_files = HungCallGuard(self._read_module_files, FILES_TIMEOUT_SECONDS)

    @property
    def config(self) -> Config:
        """The running config."""
        return self._state.config

    @property
    def discovered(self) -> Listing:
        """The discovered devices in force, and the sources that list them."""
        return list_by_source(self._state.discovered, self._discovery.applied)

    @property
    def has_all_devices(self) -> bool:
        """Whether every discovery source was read at least once, successfully or not."""
        return self._discovery.has_refreshed

    def explain_no_devices(self) -> str:
        """Return why no device is polled, and what to do; of use if none is."""
        if self.config.devices or self._state.discovered:
            return f"none of the devices belongs to shard {self._instance.shard}"
        return explain_no_devices(self.config, self._discovery.applied.keys())

    async def start(self, config: Config) -> None:
        """Apply the first config. Raises one of `CONFIG_ERRORS`."""
        factories = build_client_factories(config.modules, {}, config.source)
        async with self._applying:
            await self._apply(DesiredState(config, factories, ()))
        self._metrics.config_loaded()

    async def stop(self) -> None:
        """Stop discovery and every reload."""
        await self._loads.stop()
        await self._discovery.stop()

    async def reload(self) -> None:
        """Load and apply the config. Devices that stay the same are not affected.

        All requests during one load share the next. Raises `ReloadFailed`.
        """
        refusal = await self._loads.result()
        if refusal is not None:
            raise ReloadFailed(refusal)

    async def watch_config(self, file: Path, interval_seconds: float, loaded: Digests) -> None:
        """Reload when the config file, or a file that it names, has changed; until cancelled.

        Waits until they were the same at two checks: half a config would remove half the devices.
        `loaded` is the digest of the config file from before it was loaded.
        """
        watcher = FileWatcher(lambda: (file, *self.config.files), loaded)
        while True:
            has_changed = await watcher.has_changed()
            if has_changed or (watcher.is_still and await self._refused_config_is_valid_now()):
                with suppress(ReloadFailed):  # already logged
                    await self.reload()
            await asyncio.sleep(interval_seconds)

    async def watch_module_files(self) -> None:
        """Apply changes of password and certificate files; until cancelled.

        Waits until the files were the same at two looks: half a password would lock accounts.
        Compares the settings of the clients instead of watching the files, so that a change
        between loading and watching is not missed.
        """
        logged: Mapping[str, tuple[Problem, ...]] = {}
        while True:
            await asyncio.sleep(MODULE_FILES_INTERVAL_SECONDS)
            problems = await self._rebuild_factories()
            if problems is None:
                continue
            for module, found in problems.items() - logged.items():
                _log.warning(
                    "config.file_unusable",
                    module=module,
                    error="; ".join(as_lines(found)),
                    advice="the previous content stays in use until the file is fixed",
                )
            logged = problems

    async def _rebuild_factories(self) -> Mapping[str, tuple[Problem, ...]] | None:
        """Apply client factories whose files have changed, and return problems by module.

        Returns `None` if the files are being written.
        """
        try:
            read = await self._module_files.result()
        except TimeoutError:
            problem = f"cannot be read within {FILES_TIMEOUT_SECONDS:g} s: check the disk or share"
            return dict.fromkeys(self.config.modules, (("", problem),))
        if read is None:
            return None
        before, factories, problems = read
        async with self._applying:
            # After a reload meanwhile, which has read the files, these are of the old config.
            if before is self._state.factories and factories != before:
                changes = await self._apply(self._state._replace(factories=factories))
                _log.info("config.files_read", **changes._asdict())
        return problems

    def _read_module_files(
        self,
    ) -> tuple[ClientFactories, ClientFactories, Mapping[str, tuple[Problem, ...]]] | None:
        config, factories, _discovered = self._state
        before, self._module_digests = self._module_digests, digests(config.module_files)
        if before != self._module_digests:
            return None
        rebuilt = rebuild_changed_factories(config.modules, factories)
        # A file may have been written while it was read.
        return (factories, *rebuilt) if digests(config.module_files) == before else None

    async def _apply_discovered(self, devices: Sequence[DeviceConfig]) -> None:
        changes = await self._apply(self._state._replace(discovered=devices))
        if any(changes):
            _log.info("discovery.devices_changed", **changes._asdict())

    async def _load_and_apply(self, number: int) -> str | None:
        """Return why the config was refused, or `None` if it was applied.

        If a newer load has ended meanwhile, this one changes nothing, and returns the same.
        """
        loaded, refusal = None, None
        try:
            with self._manager.reloading():
                loaded = await self._load_unless_outdated(number)
        except CONFIG_ERRORS as error:
            refusal = str(error)
        except Exception:  # noqa: BLE001 - whatever it is, the exporter goes on with the old config
            _log.exception("config.internal_error")
            refusal = "internal error, see the exporter's log"
        if number > self._newest_load:
            self._report_load(loaded, refusal)
            self._newest_load, self._refusal = number, refusal
        return self._refusal

    def _report_load(self, loaded: _Loaded | None, refusal: str | None) -> None:
        if loaded is not None:
            self._metrics.config_loaded()
            is_news = any(loaded.changes) or loaded.is_new_config or self._refusal is not None
            # Requests that change nothing must not fill the log.
            log = _log.info if is_news else _log.debug
            log("config.reloaded", **loaded.changes._asdict())
        else:
            self._metrics.config_failed()
            _log.error("config.reload_failed", error=refusal)

    async def _load_unless_outdated(self, number: int) -> _Loaded | None:
        """Load and apply the config; return `None` if a newer load has ended meanwhile."""
        # Without the lock: reading may hang.
        config, factories = await self._read_config()
        before = self._state.config
        # In a thread: 100,000 devices take 0.2 s.
        is_equal = await asyncio.to_thread(lambda: config == before)
        async with self._applying:
            if number < self._newest_load:
                return None
            is_new_config = not is_equal or self._state.config is not before
            changes = await self._apply(await self._desired(config, factories))
            return _Loaded(changes, is_new_config)

    async def _read_config(self) -> tuple[Config, ClientFactories]:
        existing = self._state.factories

        def read() -> tuple[Config, ClientFactories]:
            config = self._instance.load()
            return config, build_client_factories(config.modules, existing, config.source)

        return await read_files(read)

    async def _desired(self, config: Config, factories: ClientFactories) -> DesiredState:
        return DesiredState(config, factories, (await self._discovery.accept(config)).devices)

    async def _refused_config_is_valid_now(self) -> bool:
        """Whether a refused config would be accepted now, as a file that it names exists now."""
        if self._refusal is None:
            return False
        try:
            await self._build_specs(await self._desired(*await self._read_config()))
        except Exception:  # noqa: BLE001 - logged when the config was refused
            return False
        return True

    async def _build_specs(self, desired: DesiredState) -> Mapping[str, DeviceSpec]:
        """Return the specs of this shard's devices by name, configured devices first.

        Raises `TooManyConnections` if they are too many.
        """
        config, factories, discovered = desired
        specs = {}
        async for device in in_slices(chain(config.devices, discovered)):
            if self._instance.shard.owns(device.label):
                specs[device.label] = build_spec(config, device, factories)
        raise_file_limit(len(specs))
        return specs

    async def _apply(self, desired: DesiredState) -> Changes:
        """Make the desired state the running one: every change of the devices comes through here.

        The caller holds the lock. Raises `TooManyConnections` before it changes anything.
        """
        specs, config = await self._build_specs(desired), desired.config
        concurrency = config.global_.concurrency
        changes = await self._reconciler.update(specs, concurrency)
        if changes.added:
            warn_of_low_file_limit(len(specs), concurrency, self._instance.visitors)
        self._time_servers.apply(config.time_servers)
        self._state = desired
        self._discovery.follow(config)
        return changes
