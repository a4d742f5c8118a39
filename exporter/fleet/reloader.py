"""Keeps the daemon at its config: loaded anew on demand, all of it or nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import structlog

from exporter.config import Config, ConfigError, DeviceConfig
from exporter.discovery import Discovery
from exporter.discovery.admission import accept_targets
from exporter.discovery.manager import Refusals
from exporter.fleet.client_factory import (
    ClientFactories,
    build_client_factories,
    rebuild_changed_factories,
)
from exporter.fleet.reconciler import Changes, Reconciler, build_device_specs
from exporter.fleet.sharding import Shard
from exporter.metrics.exporter import ExporterMetrics
from exporter.system.files import Digests, digests
from exporter.system.process import TooManyConnections, raise_file_limit
from exporter.system.systemd import ServiceManager

FILES_INTERVAL_SECONDS: Final = 5.0
"""How often password and certificate files are looked at."""

PROBLEMS: Final = (ConfigError, OSError, ValueError, TooManyConnections)
"""What may be wrong with a config; `str()` tells the operator."""

_log = structlog.get_logger()


class ReloadFailed(Exception):
    """The config was not taken; the one before it stays in force. `str()` says why."""


class ConfigReloader:
    """Puts configs into force. `load` reads the config file, and raises one of `PROBLEMS`."""

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
        self._roster = reconciler
        self._metrics = metrics
        self._manager = manager
        self._config = Config()
        self._doors: ClientFactories = {}
        self._admitted: Sequence[DeviceConfig] = ()
        self._loads_begun = 0
        self._refusal: str | None = None
        self._lock = asyncio.Lock()
        self._discovery = Discovery(metrics, self._devices_were_found)

    @property
    def config(self) -> Config:
        """The config in force."""
        return self._config

    def start(self, config: Config) -> None:
        """Put the first config into force. Raises one of `PROBLEMS`."""
        self._put_into_force(config, build_client_factories(config.modules, {}))
        self._metrics.config_loaded()

    @property
    def has_all_devices(self) -> bool:
        """Whether every source of devices was asked once, well or not."""
        return self._discovery.has_told

    async def stop(self) -> None:
        """Look for devices no more."""
        await self._discovery.stop()

    async def reload(self) -> None:
        """Load the config anew; devices that stay as they are notice nothing.

        All who ask while one load is under way share the next. Raises `ReloadFailed`.
        """
        begun_before = self._loads_begun
        async with self._lock:
            if self._loads_begun == begun_before:
                self._loads_begun += 1
                with self._manager.reloading():
                    self._refusal = await self._load_anew()
        if self._refusal is not None:
            raise ReloadFailed(self._refusal)

    async def keep_files(self) -> None:
        """Read password and certificate files again when they change; until cancelled."""
        told: Mapping[str, str] = {}
        while True:
            await asyncio.sleep(FILES_INTERVAL_SECONDS)
            problems = await self._read_files()
            for module, problem in problems.items():
                if told.get(module) != problem:
                    advice = "what it had is kept"
                    _log.warning(
                        "config.file_unusable", module=module, error=problem, advice=advice
                    )
            told = problems

    async def keep_config(self, file: Path, interval_seconds: float, loaded: Digests) -> None:
        """Reload when the config file or one that it refers to has changed; until cancelled.

        `loaded` is the checksum of the file as it was when it was first loaded.
        """
        before = {**await asyncio.to_thread(digests, self._config.files), **loaded}
        while True:
            await asyncio.sleep(interval_seconds)
            now = await asyncio.to_thread(digests, (file, *self._config.files))
            if now != before or (self._refusal is not None and await self._loads_by_now()):
                with suppress(ReloadFailed):  # has been told
                    await self.reload()
                # Files that the new config is the first to name have been read just now.
                before = {**await asyncio.to_thread(digests, self._config.files), **now}

    async def _loads_by_now(self) -> bool:
        """Whether a config that was refused is fine now: a file that it names may have come."""
        try:
            await asyncio.to_thread(self._load)
        except Exception:  # noqa: BLE001 - has been told when it was refused
            return False
        return True

    async def _load_anew(self) -> str | None:
        """Why the config could not be taken; `None` if it was."""
        try:
            changes = await self._take(await asyncio.to_thread(self._load))
        except PROBLEMS as problem:
            told = str(problem)
        except Exception:  # noqa: BLE001 - whatever it is, the old config goes on
            _log.exception("config.internal_error")
            told = "internal error, see the exporter's log"
        else:
            self._metrics.config_loaded()
            _log.info("config.reloaded", **changes._asdict())
            return None
        self._metrics.config_failed()
        _log.error("config.reload_failed", error=told)
        return told

    async def _read_files(self) -> Mapping[str, str]:
        """Open doors anew whose files have changed; what is wrong with files, by module."""
        async with self._lock:
            modules, there = self._config.modules, self._doors
            doors, problems = await asyncio.to_thread(rebuild_changed_factories, modules, there)
            if doors != there:
                # Not with what discovery has by now: that may be more than can be taken.
                changes = self._update(self._config, doors, self._admitted)
                self._doors = doors
                _log.info("config.files_read", **changes._asdict())
        return problems

    async def _take(self, config: Config) -> Changes:
        doors = await asyncio.to_thread(build_client_factories, config.modules, self._doors)
        return self._put_into_force(config, doors)

    def _put_into_force(self, config: Config, doors: ClientFactories) -> Changes:
        admission = accept_targets(config, self._discovery.found(config))
        changes = self._update(config, doors, admission.entries)
        self._config, self._doors = config, doors
        self._roster.limit_polls(config.global_.concurrency)
        self._discovery.follow(config)
        return changes

    def _devices_were_found(self) -> Refusals:
        """Take in what discovery has now; a fleet too large for us stays as it was."""
        admission = accept_targets(self._config, self._discovery.found(self._config))
        try:
            changes = self._update(self._config, self._doors, admission.entries)
        except TooManyConnections as problem:
            return dict.fromkeys(admission.problems, (str(problem),))
        if any(changes):
            _log.info("discovery.devices_changed", **changes._asdict())
        return admission.problems

    def _update(
        self, config: Config, doors: ClientFactories, discovered: Sequence[DeviceConfig]
    ) -> Changes:
        wanted = build_device_specs(config, discovered, doors, self._shard)
        raise_file_limit(len(wanted))
        self._metrics.devices.set(len(wanted))
        self._admitted = discovered
        return self._roster.update(wanted)
