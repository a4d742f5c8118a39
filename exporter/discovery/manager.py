"""Refresh the sources of targets periodically, and hand over the devices that are accepted."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import NamedTuple

import structlog

from exporter.config.relabel import RelabelConfig
from exporter.config.schema import Config, DeviceConfig, FileSdConfig, HttpSdConfig
from exporter.discovery.file_sd import FileSD
from exporter.discovery.http_sd import HTTPSD
from exporter.discovery.no_devices import describe_patterns_without_files, explain_no_devices
from exporter.discovery.target_groups import (
    AcceptedTargets,
    RefreshFailed,
    RefreshResult,
    Source,
    accept_targets,
    failed,
)
from exporter.metrics.exporter import ExporterMetrics
from exporter.system.process import TooManyConnections
from exporter.system.slices import free_in_slices

_log = structlog.get_logger()

Mechanism = FileSD | HTTPSD


class _Section(NamedTuple):
    """A section of the config, and the rules for its targets: if either changes, it starts anew."""

    config: FileSdConfig | HttpSdConfig
    rules: tuple[RelabelConfig, ...]


_Found = dict[Source, tuple[DeviceConfig, ...]]
"""The devices that each source listed last."""


@dataclass(eq=False)
class _Watch:
    """A section's mechanism, the task that refreshes it, and its sources' last good devices."""

    mechanism: Mechanism
    found: _Found
    has_refreshed: bool = False
    task: asyncio.Task[None] = field(init=False)

    async def refresh(self) -> list[RefreshResult]:
        """Return what every source lists now, or why it could not be read."""
        try:
            return await self.mechanism.refresh()
        except RefreshFailed as failure:
            return self.failures(str(failure))

    def failures(self, problem: str) -> list[RefreshResult]:
        """Return the result of a refresh in which every source failed."""
        sources = self.found or self.mechanism.configured_sources
        return [failed(source, problem) for source in sources]


class Discovery:
    """Follows the sources of a config and decides which of their devices are accepted.

    `apply_devices` is called with the accepted devices after each refresh that found others. It
    raises `TooManyConnections` if there are too many; the previous devices then stay. `applying`
    is held meanwhile, and by the caller of `accept` and `follow`.
    """

    def __init__(
        self,
        metrics: ExporterMetrics,
        apply_devices: Callable[[Sequence[DeviceConfig]], Awaitable[None]],
        applying: asyncio.Lock,
    ) -> None:
        self._metrics = metrics
        self._apply_devices = apply_devices
        self._applying = applying
        self._config = Config()
        self._watches: dict[_Section, _Watch] = {}
        self._applied: tuple[Config, _Found, Mapping[Source, tuple[str, ...]]] | None = None
        self._logged: dict[Source, tuple[str, ...]] = {}
        self._has_refreshed = False

    @property
    def has_refreshed(self) -> bool:
        """Whether every source was refreshed once, successfully or not; stays true from then on."""
        watches = self._watches.values()
        self._has_refreshed = self._has_refreshed or all(each.has_refreshed for each in watches)
        return self._has_refreshed

    @property
    def applied(self) -> Mapping[Source, Sequence[DeviceConfig]]:
        """What the sources listed when their devices were applied last, accepted or not."""
        return self._applied[1] if self._applied else self._found(self._config)

    async def accept(self, config: Config) -> AcceptedTargets:
        """Return what `config` accepts and refuses of the devices that its sources listed last."""
        return await asyncio.to_thread(accept_targets, config, self._found(config))

    def _found(self, config: Config) -> _Found:
        found: _Found = {}
        for section in _sections(config):
            found.update(self._last_found(section))
        return found

    def follow(self, config: Config) -> None:
        """Refresh the sources of `config` from now on. Unchanged sources keep their devices."""
        self._config, before = config, self._watches
        self._watches = {
            section: before.get(section) or self._start(section) for section in _sections(config)
        }
        ended = [watch for section, watch in before.items() if section not in self._watches]
        for watch in ended:
            watch.task.cancel()
            watch.mechanism.end_reading()
        self._forget(source for watch in ended for source in watch.found)

    async def stop(self) -> None:
        """Stop all refreshes."""
        watches, self._watches = self._watches.values(), {}
        for watch in watches:
            watch.task.cancel()
        await asyncio.gather(*(watch.task for watch in watches), return_exceptions=True)
        await asyncio.gather(*(watch.mechanism.stop() for watch in watches))

    def _start(self, section: _Section) -> _Watch:
        watch = _Watch(_make_mechanism(section), self._last_found(section))
        watch.task = asyncio.get_running_loop().create_task(self._refresh_forever(watch))
        return watch

    def _last_found(self, section: _Section) -> _Found:
        if (watch := self._watches.get(section)) is not None:
            return watch.found
        # A changed section has no results yet: use those of other sections for the same sources.
        mechanism = _make_mechanism(section)
        found = (pair for watch in self._watches.values() for pair in watch.found.items())
        return {source: devices for source, devices in found if mechanism.covers(source)}

    async def _refresh_forever(self, watch: _Watch) -> None:
        while True:
            try:
                await self._refresh(watch)
            except Exception as error:  # noqa: BLE001 - last resort: without it refreshes end
                self._report_internal_error(watch, error)
            watch.has_refreshed = True
            await asyncio.sleep(watch.mechanism.interval_seconds)

    async def _refresh(self, watch: _Watch) -> None:
        results = await watch.refresh()
        self._store(watch, results)
        async with self._applying:
            refused = await self._apply()
        for source, _devices, problems in results:
            self._report(source, (*problems, *refused.get(source, ())))

    def _store(self, watch: _Watch, results: Iterable[RefreshResult]) -> None:
        """Keep the devices of each source; the previous ones if it could not be read."""
        before = watch.found
        watch.found = {
            source: before.get(source, ()) if devices is None else devices
            for source, devices, _problems in results
        }
        self._forget(before)

    async def _apply(self) -> Mapping[Source, tuple[str, ...]]:
        """Hand over the accepted devices, and return why targets were refused, by source."""
        found, before = self._found(self._config), self._applied
        if before is not None and _is_same(before, self._config, found):
            return before[2]
        self._applied = None
        accepted = await self.accept(self._config)
        try:
            await self._apply_devices(accepted.devices)
        except TooManyConnections as error:
            return {at: (str(error), *each) for at, each in accepted.refused.items()}
        self._applied = (self._config, found, accepted.refused)
        replaced = [*chain.from_iterable(before[1].values())] if before else []
        del before
        await free_in_slices(replaced)
        return accepted.refused

    def _report_internal_error(self, watch: _Watch, error: Exception) -> None:
        failures = watch.failures(f"internal error: {type(error).__name__}")
        if any(self._logged.get(source) != problems for source, _devices, problems in failures):
            _log.error("discovery.internal_error", exc_info=error)
        self._store(watch, failures)
        for source, _devices, problems in failures:
            self._report(source, problems)

    def _report(self, source: Source, problems: tuple[str, ...]) -> None:
        """Count a refresh, and log its problems if they have changed."""
        self._metrics.sd_refreshed(*source, failed=bool(problems))
        before = self._logged.get(source, ())
        self._logged[source] = problems
        if problems == before:
            return
        log = _log.bind(mechanism=source.mechanism, source=source.name)
        if problems:
            log.warning("discovery.failed", problem=problems[0], more_problems=len(problems) - 1)
        else:
            log.info("discovery.recovered")

    def _forget(self, sources: Iterable[Source]) -> None:
        """Drop the counters of sources that no mechanism reads any more."""
        known = {source for watch in self._watches.values() for source in watch.found}
        for source in set(sources) - known:
            self._metrics.sd_ended(source.mechanism, [source.name])
            self._logged.pop(source, None)


class Discovered(NamedTuple):
    """A config with the devices of its sources added, and all problems of discovery.

    `counts`: how many of the devices each source has listed. `advice`: which patterns match no
    file, or else why there are no devices, if no problem says so.
    """

    config: Config
    problems: Sequence[str]
    counts: Mapping[str, int]
    advice: Sequence[str] = ()


async def discover_once(config: Config) -> Discovered:
    """Ask all sources of a config once."""
    watches = [_Watch(_make_mechanism(each), {}) for each in dict.fromkeys(_sections(config))]
    try:
        refreshes = await asyncio.gather(*(watch.refresh() for watch in watches))
    finally:
        await asyncio.gather(*(watch.mechanism.stop() for watch in watches))
    results = [result for each in refreshes for result in each]
    accepted = accept_targets(config, {source: devices or () for source, devices, _ in results})
    problems = [(source, problem) for source, _, problems in results for problem in problems]
    problems += [(source, each) for source, refused in accepted.refused.items() for each in refused]
    devices = (*config.devices, *accepted.devices)
    counts = {source.name: count for source, count in accepted.counts.items()}
    # Two sections may have the same file.
    lines = list(dict.fromkeys(f"{source.name}: {problem}" for source, problem in problems))
    sources = [result.source for result in results]
    advice = describe_patterns_without_files(config, sources)
    if not (devices or lines or advice):
        advice = [explain_no_devices(config, sources)]
    return Discovered(config.model_copy(update={"devices": devices}), lines, counts, advice)


def _is_same(applied: tuple[Config, _Found, object], config: Config, found: _Found) -> bool:
    """Return whether nothing has changed since `applied`: applying 50,000 devices takes 0.4 s."""
    before = applied[1]
    return (
        applied[0] is config
        and [*before] == [*found]
        and all(devices is before[source] for source, devices in found.items())
    )


def _sections(config: Config) -> tuple[_Section, ...]:
    sections: tuple[FileSdConfig | HttpSdConfig, ...]
    sections = (*config.file_sd_configs, *config.http_sd_configs)
    return tuple(_Section(each, config.relabel_configs) for each in sections)


def _make_mechanism(section: _Section) -> Mechanism:
    config, rules = section
    return FileSD(config, rules) if isinstance(config, FileSdConfig) else HTTPSD(config, rules)
