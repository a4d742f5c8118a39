"""The whole fleet counted, and the devices that a query selects, in its order. Pure but for turns.

Long work is done in steps, between which polls get their turn.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from heapq import merge
from itertools import islice
from operator import itemgetter
from typing import Any, Final, NamedTuple

from exporter.clock.host import HostTime
from exporter.config import Thresholds
from exporter.devices.device import Device, DeviceTarget
from exporter.devices.health import LEVELS, Issue, Level, diagnose, level_of
from exporter.devices.state import DeviceState
from exporter.system.slices import in_slices
from exporter.system.text import natural_key
from exporter.web.pages.fleet_query import FleetQuery
from exporter.web.pages.format import describe_state, since_steady

DEVICES_PER_STEP: Final = 250
"""How many devices are examined before polls get their turn: a few milliseconds of work."""

SITE: Final = "site"
"""The label by which devices are counted."""


class SelectedDevice(NamedTuple):
    """A device that the query selects, with its sort key."""

    key: tuple[Any, ...]
    device: Device


@dataclass(slots=True)
class Count:
    """How many devices have something in common, and how bad the worst of them is.

    `devices` of a site are all of its devices, `affected` those with problems.
    """

    devices: int = 0
    affected: int = 0
    level: Level = "good"

    def add(self, level: Level, *, affected: bool) -> None:
        """Count a device."""
        self.devices += 1
        if affected:
            self.affected += 1
            self.level = min(self.level, level, key=LEVELS.index)


@dataclass(slots=True)
class Selection:
    """The devices that a query selects, and counts of the whole fleet.

    `problems` and `sites` count devices by problem and by site, `label_names` those with a label.
    `measured` has the measured offset of each device that has one, seconds.
    """

    thresholds: Thresholds
    counts: Counter[Level] = field(default_factory=Counter)
    problems: dict[str, Count] = field(default_factory=dict)
    sites: dict[str, Count] = field(default_factory=dict)
    label_names: Counter[str] = field(default_factory=Counter)
    measured: list[float] = field(default_factory=list)
    devices: list[SelectedDevice] = field(default_factory=list)

    def add(self, devices: Iterable[Device], query: FleetQuery, now: HostTime) -> None:
        """Count more devices, and select those that the query asks for."""
        words = query.words
        for device in devices:
            offset = device.state.clock_offset(now)
            if offset is not None:
                self.measured.append(offset.seconds)
            issues = diagnose(device.state, offset, now, self.thresholds)
            level = level_of(device.state, issues)
            self._count(device.target, level, issues)
            if not _has(device.target, level, issues, query):
                continue
            if words and not _contains(device, issues, words):
                continue
            self.devices.append(
                SelectedDevice(_sort_key(device, level, issues, query, now), device)
            )

    def _count(self, target: DeviceTarget, level: Level, issues: Sequence[Issue]) -> None:
        self.counts[level] += 1
        for issue in issues:
            own = "bad" if issue.is_critical else issue.level
            self.problems.setdefault(issue.what, Count()).add(own, affected=True)
        for name, value in target.labels.items():
            self.label_names[name] += 1
            if name == SITE:
                self.sites.setdefault(value, Count()).add(level, affected=bool(issues))

    async def in_order(self, query: FleetQuery, most: int) -> list[Device]:
        """Return the first devices of the order: by value, then by name, unknown values last."""
        reverse = query.sort == "device" and query.reverse
        runs = []
        for start in range(0, len(self.devices), DEVICES_PER_STEP * 4):
            some = self.devices[start : start + DEVICES_PER_STEP * 4]
            runs.append(sorted(some, key=itemgetter(0), reverse=reverse))
            await asyncio.sleep(0)
        merged = merge(*runs, key=itemgetter(0), reverse=reverse)
        return [each.device async for each in in_slices(islice(merged, most))]


def _has(target: DeviceTarget, level: Level, issues: Sequence[Issue], query: FleetQuery) -> bool:
    """Whether a device has the state, the problem and the labels of a query."""
    if query.state not in (None, level):
        return False
    if query.problem and all(issue.what != query.problem for issue in issues):
        return False
    return all(target.labels.get(name) == value for name, value in query.labels)


def _contains(device: Device, issues: Sequence[Issue], words: Iterable[str]) -> bool:
    target = device.target
    texts = (target.name, target.address, *(f"{k}={v}" for k, v in target.labels.items()))
    text = "\n".join((*texts, describe_state(device.state, issues))).casefold()
    return all(word in text for word in words)


def _sort_key(
    device: Device, level: Level, issues: Sequence[Issue], query: FleetQuery, now: HostTime
) -> tuple[Any, ...]:
    name = natural_key(device.target.name)
    if query.sort == "device":
        return (name,)
    value = _sort_value(device.state, level, issues, query.sort, now)
    if value is None:
        return (True, 0.0, name)
    return (False, -value if query.direction == "descending" else value, name)


def _sort_value(
    state: DeviceState, level: Level, issues: Sequence[Issue], sort: str, now: HostTime
) -> float | None:
    value: float | None = None
    match sort:
        case "state":
            return -LEVELS.index(level)
        case "offset":
            value = state.last.client.status.reported_offset_seconds
        case "clock" if (measured := state.clock_offset(now)) is not None:
            value = measured.seconds
        case "drift" if (drift := state.clock_drift) is not None:
            value = drift.ratio
        case "since" if (since := since_steady(issues)) is not None:
            value = now.steady_seconds - since
        case "polled" if state.last_poll_steady is not None:
            value = now.steady_seconds - state.last_poll_steady
    return None if value is None else abs(value)
