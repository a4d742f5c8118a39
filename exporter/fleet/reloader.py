"""Apply the desired state: at the start, on a config reload, a changed file, or discovery."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

import structlog

from exporter.config import Config, ConfigError, DeviceConfig
from exporter.discovery.manager import Discovery
from exporter.fleet.client_factory import (
    ClientFactories,
    build_client_factories,
    rebuild_changed_factories,
)
from exporter.fleet.reconciler import Changes, DeviceSpec, Reconciler, build_device_specs
from exporter.fleet.sharding import Shard
from exporter.metrics.exporter import ExporterMetrics
from exporter.system.files import Digests, FileWatcher
from exporter.system.process import TooManyConnections, raise_file_limit
from exporter.system.systemd import ServiceManager
from exporter.system.threads import FILES_TIMEOUT_SECONDS, HungCallGuard, read_files

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


class ConfigReloader:
    """Holds the running config, and applies each new desired state completely or not at all.

    `load` reads the config file. It raises one of `CONFIG_ERRORS`.
    """

    def __init__(
        self,
        load: Callable[[], Config],
        shard: Shard,
        reconciler: Reconciler,
        metrics: ExporterMetrics,
        manager: ServiceManager,
    ) -> None:
        self._load = load
        self._shard = shard
        self._reconciler = reconciler
        self._metrics = metrics
        self._manager = manager
        self._state = DesiredState(Config(), {}, ())
        self._loads_started = 0
        self._refusal: str | None = None
        self._lock = asyncio.Lock()
        self._discovery = Discovery(metrics, self._apply_discovered)
        self._module_files = HungCallGuard(self._read_module_files, FILES_TIMEOUT_SECONDS)

    @property
    def config(self) -> Config:
        """The running config."""
        return self._state.config

    @property
    def has_all_devices(self) -> bool:
        """Whether every discovery source was read at least once, successfully or not."""
        return self._discovery.has_refreshed

    def start(self, config: Config) -> None:
        """Apply the first config. Raises one of `CONFIG_ERRORS`."""
        self._apply(DesiredState(config, build_client_factories(config.modules, {}), ()))
        self._metrics.config_loaded()

    async def stop(self) -> None:
        """Stop discovery."""
        await self._discovery.stop()

    async def reload(self) -> None:
        """Load and apply the config. Devices that stay the same are not affected.

        All requests during one load share the next. Raises `ReloadFailed`.
        """
        loads_before = self._loads_started
        async with self._lock:
            if self._loads_started == loads_before:
                self._loads_started += 1
                with self._manager.reloading():
                    self._refusal = await self._load_and_apply()
        if self._refusal is not None:
            raise ReloadFailed(self._refusal)

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

        Compares the settings of the clients instead of watching the files, so that a change
        between loading and watching is not missed.
        """
        logged: Mapping[str, tuple[str, ...]] = {}
        while True:
            await asyncio.sleep(MODULE_FILES_INTERVAL_SECONDS)
            problems = await self._rebuild_factories()
            for module, lines in problems.items() - logged.items():
                _log.warning(
                    "config.file_unusable",
                    module=module,
                    error="; ".join(lines),
                    advice="the previous content stays in use until the file is fixed",
                )
            logged = problems

    async def _rebuild_factories(self) -> Mapping[str, tuple[str, ...]]:
        """Apply client factories whose files have changed. Returns problems by module."""
        try:
            state, factories, problems = await self._module_files.result()
        except TimeoutError:
            problem = f"cannot be read within {FILES_TIMEOUT_SECONDS:g} s: check the disk or share"
            return dict.fromkeys(self.config.modules, (problem,))
        # After a reload meanwhile, which has read the files itself, these are of the old config.
        if state.config is self.config and factories != state.factories:
            changes = self._apply(self._state._replace(factories=factories))
            _log.info("config.files_read", **changes._asdict())
        return problems

    def _read_module_files(
        self,
    ) -> tuple[DesiredState, ClientFactories, Mapping[str, tuple[str, ...]]]:
        state = self._state
        return state, *rebuild_changed_factories(state.config.modules, state.factories)

    def _apply_discovered(self, devices: Sequence[DeviceConfig]) -> None:
        changes = self._apply(self._state._replace(discovered=devices))
        if any(changes):
            _log.info("discovery.devices_changed", **changes._asdict())

    async def _load_and_apply(self) -> str | None:
        """Return why the config was refused, or `None` if it was applied."""
        try:
            changes = self._apply(await self._load_desired())
        except CONFIG_ERRORS as error:
            refusal = str(error)
        except Exception:  # noqa: BLE001 - whatever it is, the exporter goes on with the old config
            _log.exception("config.internal_error")
            refusal = "internal error, see the exporter's log"
        else:
            self._metrics.config_loaded()
            _log.info("config.reloaded", **changes._asdict())
            return None
        self._metrics.config_failed()
        _log.error("config.reload_failed", error=refusal)
        return refusal

    async def _load_desired(self) -> DesiredState:
        existing = self._state.factories

        def read() -> tuple[Config, ClientFactories]:
            config = self._load()
            return config, build_client_factories(config.modules, existing)

        config, factories = await read_files(read)
        return DesiredState(config, factories, self._discovery.accept(config).devices)

    async def _refused_config_is_valid_now(self) -> bool:
        """Whether a refused config would be accepted now, as a file that it names exists now."""
        if self._refusal is None:
            return False
        try:
            self._build_specs(await self._load_desired())
        except Exception:  # noqa: BLE001 - logged when the config was refused
            return False
        return True

    def _build_specs(self, desired: DesiredState) -> Mapping[str, DeviceSpec]:
        """Return the devices' specs by name. Raises `TooManyConnections` if they are too many."""
        config, factories, discovered = desired
        specs = build_device_specs(config, discovered, factories, self._shard)
        raise_file_limit(len(specs))
        return specs

    def _apply(self, desired: DesiredState) -> Changes:
        """Make the desired state the running one: every change of the devices comes through here.

        Raises `TooManyConnections` before it changes anything.
        """
        specs, config = self._build_specs(desired), desired.config
        changes = self._reconciler.update(specs, config.global_.concurrency, config.time_servers)
        self._metrics.devices.set(len(specs))
        self._state = desired
        self._discovery.follow(config)
        return changes
