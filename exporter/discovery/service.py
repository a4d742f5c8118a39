"""Asks every source again and again, and keeps what each told last."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import structlog

from exporter.config import Config, FileSd, HttpSd
from exporter.config import Device as Entry
from exporter.discovery.admission import Source
from exporter.discovery.mechanisms import Mechanism, Refreshed, mechanisms
from exporter.self_metrics import SelfMetrics

_log = structlog.get_logger()

Refusals = Mapping[Source, tuple[str, ...]]
"""For each source, what is wrong with the devices that were not let in."""


class Discovery:
    """The devices that the sources of a config tell of.

    `changed` is called when they are other ones; it returns who was refused and why.
    """

    def __init__(self, metrics: SelfMetrics, changed: Callable[[], Refusals]) -> None:
        self._metrics = metrics
        self._changed = changed
        self._watches: dict[FileSd | HttpSd, _Watch] = {}

    def found(self, config: Config) -> dict[Source, tuple[Entry, ...]]:
        """What every source of a config told last, in its order."""
        sections = (*config.file_sd_configs, *config.http_sd_configs)
        watches = (self._watches[section] for section in sections if section in self._watches)
        return {source: entries for each in watches for source, entries in each.found.items()}

    @property
    def has_told(self) -> bool:
        """Whether every source was asked once, well or not."""
        return all(watch.has_told for watch in self._watches.values())

    def follow(self, config: Config) -> None:
        """Ask the sources of a config from now on; those that stay keep what they told."""
        before, self._watches = self._watches, {}
        for section, mechanism in mechanisms(config).items():
            kept = before.pop(section, None)
            self._watches[section] = kept or _Watch(mechanism, self._take)
        for watch in before.values():
            watch.stop()
            self._metrics.sd_ended(watch.mechanism.name, watch.sources)

    async def stop(self) -> None:
        """Ask no more."""
        watches, self._watches = self._watches, {}
        for watch in watches.values():
            watch.stop()
        await asyncio.gather(*(w.task for w in watches.values()), return_exceptions=True)

    def _take(self, watch: _Watch, refreshed: list[Refreshed]) -> None:
        """Take in what a mechanism's sources told, and tell what was wrong."""
        gone = watch.sources - {each.source for each in refreshed}
        self._metrics.sd_ended(watch.mechanism.name, gone)
        watch.take(refreshed)
        refusals = self._changed()
        for each in refreshed:
            refused = refusals.get(Source(watch.mechanism.name, each.source), ())
            self._account(watch, each, refused)

    def _account(self, watch: _Watch, told: Refreshed, refused: tuple[str, ...]) -> None:
        mechanism, source = watch.mechanism.name, told.source
        left_out = told.targets.problems if told.targets else (told.problem,)
        problems = (*left_out, *refused)
        self._metrics.sd_refreshed(mechanism, source, failed=bool(problems))
        if problems != watch.told.get(source, ()):
            watch.told[source] = problems
            _tell(mechanism, source, problems)


def _tell(mechanism: str, source: str, problems: tuple[str, ...]) -> None:
    fields = {"mechanism": mechanism, "source": source}
    if problems:
        first = problems[0]
        _log.warning("discovery.failed", **fields, problem=first, more=len(problems) - 1)
    else:
        _log.info("discovery.recovered", **fields)


class _Watch:
    """One mechanism that is asked once per interval, by a task of its own."""

    def __init__(
        self, mechanism: Mechanism, take: Callable[[_Watch, list[Refreshed]], None]
    ) -> None:
        self.mechanism = mechanism
        self.found: dict[Source, tuple[Entry, ...]] = {}
        self.told: dict[str, tuple[str, ...]] = {}
        self.has_told = False
        self.task = asyncio.get_running_loop().create_task(self._ask(take))

    @property
    def sources(self) -> set[str]:
        """The sources that there were at the last refresh."""
        return {source.name for source in self.found}

    def take(self, refreshed: list[Refreshed]) -> None:
        """Keep what each source told; of a broken one, what it told last."""
        before, self.found = self.found, {}
        for each in refreshed:
            source = Source(self.mechanism.name, each.source)
            last = before.get(source, ())
            self.found[source] = last if each.targets is None else each.targets.entries
        self.has_told = True

    def stop(self) -> None:
        """Ask no more."""
        self.task.cancel()

    async def _ask(self, take: Callable[[_Watch, list[Refreshed]], None]) -> None:
        while True:
            take(self, await self.mechanism.refresh())
            await asyncio.sleep(self.mechanism.interval_seconds)
