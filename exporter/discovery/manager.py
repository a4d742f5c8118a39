"""Asks every source again and again, and keeps what each told last."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping

import structlog

from exporter.config import Config, DeviceConfig, FileSdConfig, HttpSdConfig
from exporter.discovery.admission import Source
from exporter.discovery.http_sd import Mechanism, RefreshFailed, RefreshResult, mechanisms
from exporter.metrics.exporter import ExporterMetrics

_log = structlog.get_logger()

Refusals = Mapping[Source, tuple[str, ...]]
"""For each source, what is wrong with the devices that were not let in."""


class Discovery:
    """The devices that the sources of a config tell of.

    `changed` is called when they are other ones; it returns who was refused and why.
    """

    def __init__(self, metrics: ExporterMetrics, changed: Callable[[], Refusals]) -> None:
        self._metrics = metrics
        self._changed = changed
        self._watches: dict[FileSdConfig | HttpSdConfig, _Watch] = {}

    def found(self, config: Config) -> dict[Source, tuple[DeviceConfig, ...]]:
        """What every source of a config told last, in its order."""
        found: dict[Source, tuple[DeviceConfig, ...]] = {}
        for section, mechanism in mechanisms(config).items():
            found.update(self._last_told(section, mechanism))
        return found

    @property
    def has_told(self) -> bool:
        """Whether every source was asked once, well or not."""
        return all(watch.has_told for watch in self._watches.values())

    def follow(self, config: Config) -> None:
        """Ask the sources of a config from now on; those that stay keep what they told."""
        before = self._watches
        self._watches = {
            section: before.get(section) or self._begun(section, mechanism)
            for section, mechanism in mechanisms(config).items()
        }
        ended = [watch for section, watch in before.items() if section not in self._watches]
        for watch in ended:
            watch.stop()
        self._forget(source for watch in ended for source in watch.found)

    def _begun(self, section: FileSdConfig | HttpSdConfig, mechanism: Mechanism) -> _Watch:
        """A new watch that knows what others were told by the sources that it asks from now on."""
        found = self._last_told(section, mechanism)
        told = {s: p for each in self._watches.values() for s, p in each.told.items() if s in found}
        return _Watch(mechanism, found, told, self._take, self._break)

    def _last_told(
        self, section: FileSdConfig | HttpSdConfig, mechanism: Mechanism
    ) -> dict[Source, tuple[DeviceConfig, ...]]:
        if (watch := self._watches.get(section)) is not None:
            return watch.found
        # A section that says anew how its sources are asked has told nothing yet itself.
        told = (pair for watch in self._watches.values() for pair in watch.found.items())
        return {source: entries for source, entries in told if _asks(mechanism, source)}

    def _forget(self, sources: Iterable[Source]) -> None:
        """Count no more what nobody asks any more."""
        asked = {source for watch in self._watches.values() for source in watch.found}
        for source in sources:
            if source not in asked:
                self._metrics.sd_ended(source.mechanism, [source.name])

    async def stop(self) -> None:
        """Ask no more."""
        watches, self._watches = self._watches, {}
        for watch in watches.values():
            watch.stop()
        await asyncio.gather(*(w.task for w in watches.values()), return_exceptions=True)

    def _take(self, watch: _Watch, refreshed: list[RefreshResult]) -> None:
        """Take in what a mechanism's sources told, and tell what was wrong."""
        before = watch.found
        watch.take(refreshed)
        self._forget(before)
        refusals = self._changed()
        for each in refreshed:
            refused = refusals.get(Source(watch.mechanism.name, each.source), ())
            self._account(watch, each, refused)

    def _break(self, watch: _Watch, fault: Exception) -> None:
        """Tell of a fault of ours; the next round may go well."""
        problem = f"internal error: {type(fault).__name__}"
        failed = watch.failed(problem)
        if any(watch.told.get(watch.source(each)) != (problem,) for each in failed):
            _log.error("discovery.internal_error", exc_info=fault)
        watch.take(failed)
        for each in failed:
            self._account(watch, each, ())

    def _account(self, watch: _Watch, told: RefreshResult, refused: tuple[str, ...]) -> None:
        source = watch.source(told)
        left_out = told.targets.problems if told.targets else (told.problem,)
        problems = (*left_out, *refused)
        self._metrics.sd_refreshed(*source, failed=bool(problems))
        if problems != watch.told.get(source, ()):
            watch.told[source] = problems
            _tell(source, problems)


def _asks(mechanism: Mechanism, source: Source) -> bool:
    return source.mechanism == mechanism.name and mechanism.covers(source.name)


def _tell(source: Source, problems: tuple[str, ...]) -> None:
    fields = {"mechanism": source.mechanism, "source": source.name}
    if problems:
        first = problems[0]
        _log.warning("discovery.failed", **fields, problem=first, more=len(problems) - 1)
    else:
        _log.info("discovery.recovered", **fields)


class _Watch:
    """One mechanism that is asked once per interval, by a task of its own."""

    def __init__(
        self,
        mechanism: Mechanism,
        found: Mapping[Source, tuple[DeviceConfig, ...]],
        told: Mapping[Source, tuple[str, ...]],
        take: Callable[[_Watch, list[RefreshResult]], None],
        broken: Callable[[_Watch, Exception], None],
    ) -> None:
        self.mechanism = mechanism
        self.found = dict(found)
        self.told = dict(told)
        self.has_told = False
        self._take, self._broken = take, broken
        self.task = asyncio.get_running_loop().create_task(self._ask())

    def source(self, told: RefreshResult) -> Source:
        """Who has told this."""
        return Source(self.mechanism.name, told.source)

    def take(self, refreshed: list[RefreshResult]) -> None:
        """Keep what each source told; of a broken one, what it told last."""
        before, self.found = self.found, {}
        for each in refreshed:
            last = before.get(self.source(each), ())
            self.found[self.source(each)] = last if each.targets is None else each.targets.entries
        self.has_told = True

    def failed(self, problem: str) -> list[RefreshResult]:
        """A round in which no source told anything."""
        names = [source.name for source in self.found] or self.mechanism.origins
        return [RefreshResult(name, None, problem) for name in names]

    def stop(self) -> None:
        """Ask no more."""
        self.task.cancel()

    async def _ask(self) -> None:
        while True:
            try:
                self._take(self, await self._round())
            except Exception as fault:  # noqa: BLE001 - the last resort: without it nobody asks again
                self._broken(self, fault)
            await asyncio.sleep(self.mechanism.interval_seconds)

    async def _round(self) -> list[RefreshResult]:
        try:
            return await self.mechanism.refresh()
        except RefreshFailed as problem:
            return self.failed(str(problem))
