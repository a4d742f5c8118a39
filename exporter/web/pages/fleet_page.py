"""The fleet page: all devices counted, filtered and sorted, and one page of them rendered."""

import asyncio
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from operator import itemgetter
from typing import Final, NamedTuple

from exporter.clock.host import HostTime
from exporter.config import Thresholds
from exporter.devices.device import Device
from exporter.devices.health import Issue, diagnose
from exporter.devices.state import DeviceState
from exporter.system.text import format_clock, format_offset
from exporter.time_servers.host_clock import HostClockNote
from exporter.web.pages.assets import render
from exporter.web.pages.fleet_query import FleetQuery
from exporter.web.pages.format import LEVELS, Level, describe_state, format_ago, level_of
from exporter.web.pages.links import PageSettings, dashboard_url

ROWS_PER_PAGE: Final = 100
DEVICES_PER_STEP: Final = 250
"""How many devices are examined before polls get their turn: a few milliseconds of work."""

_DIGITS: Final = re.compile(r"\d+")
_DIGITS_COMPARED: Final = 12


class SelectedDevice(NamedTuple):
    """A device that the query selects, with its sort keys; `value` is `None` while unknown."""

    name_key: str
    value: float | None
    device: Device


@dataclass(slots=True)
class Selection:
    """The devices that a query selects, and of the whole fleet: how many devices have each level.

    `measured` has the measured offset of each device that has one, seconds.
    """

    thresholds: Thresholds
    counts: Counter[Level] = field(default_factory=Counter)
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
            self.counts[level] += 1
            if query.state not in (None, level) or (words and not _contains(device, issues, words)):
                continue
            value = _sort_value(device.state, level, query.sort, now)
            self.devices.append(SelectedDevice(natural_key(device.target.name), value, device))

    def in_order(self, query: FleetQuery) -> list[SelectedDevice]:
        """Return the devices by value, then by name; devices with unknown values come last."""
        descending = query.direction == "descending"
        if query.sort == "device":
            return sorted(self.devices, key=itemgetter(0), reverse=descending)
        by_name = sorted(self.devices, key=itemgetter(0))
        known = [each for each in by_name if each.value is not None]
        known.sort(key=itemgetter(1), reverse=descending)
        return known + [each for each in by_name if each.value is None]


def natural_key(name: str) -> str:
    """Return a key that sorts `dock-2` before `dock-10`, and `Gate` next to `gate`."""
    return _DIGITS.sub(lambda digits: digits[0].zfill(_DIGITS_COMPARED), name.casefold())


def _contains(device: Device, issues: Sequence[Issue], words: Iterable[str]) -> bool:
    target = device.target
    texts = (target.name, target.address, *(f"{k}={v}" for k, v in target.labels.items()))
    text = "\n".join((*texts, describe_state(device.state, issues))).casefold()
    return all(word in text for word in words)


def _sort_value(state: DeviceState, level: Level, sort: str, now: HostTime) -> float | None:
    match sort:
        case "state":
            return -LEVELS.index(level)
        case "offset" if (reported := state.last.client.status.reported_offset_seconds) is not None:
            return abs(reported)
        case "clock" if (measured := state.clock_offset(now)) is not None:
            return abs(measured.seconds)
        case "polled" if state.last_poll_steady is not None:
            return now.steady_seconds - state.last_poll_steady
    return None


@dataclass(frozen=True, slots=True)
class DeviceRow:
    """A row of the table of devices."""

    name: str
    address: str
    labels: tuple[str, ...]
    level: Level
    state: str
    error: str
    reported_offset: str
    measured_offset: str
    servers: str
    last_poll: str


def device_row(device: Device, now: HostTime, thresholds: Thresholds) -> DeviceRow:
    """Return the row of a device."""
    state, target = device.state, device.target
    offset = state.clock_offset(now)
    issues = diagnose(state, offset, now, thresholds)
    polled = state.last_poll_steady
    return DeviceRow(
        name=target.name,
        address=target.address,
        labels=tuple(f"{name}={value}" for name, value in target.labels.items()),
        level=level_of(state, issues),
        state=describe_state(state, issues),
        error="" if state.last.error is None else str(state.last.error),
        reported_offset=format_offset(state.last.client.status.reported_offset_seconds),
        measured_offset=format_clock(offset),
        servers=", ".join(state.last.client.settings.active_servers or ()),
        last_poll="" if polled is None else format_ago(now.steady_seconds - polled),
    )


@dataclass(frozen=True, slots=True)
class FleetPage:
    """One page of the selected devices; `first` is the number of its first device, from 1."""

    rows: tuple[DeviceRow, ...]
    first: int
    matching: int
    page: int
    pages: int


def paginate(
    ordered: Sequence[SelectedDevice], page: int, now: HostTime, thresholds: Thresholds
) -> FleetPage:
    """Return a page, or the last one if the fleet has shrunk and the page no longer exists."""
    pages = max(1, -(-len(ordered) // ROWS_PER_PAGE))
    page = min(page, pages)
    start = (page - 1) * ROWS_PER_PAGE
    shown = ordered[start : start + ROWS_PER_PAGE]
    rows = tuple(device_row(each.device, now, thresholds) for each in shown)
    return FleetPage(rows, start + 1, len(ordered), page, pages)


async def render_fleet(
    devices: Iterable[Device],
    query: FleetQuery,
    now: HostTime,
    settings: PageSettings,
    describe_host: Callable[[Sequence[float]], HostClockNote],
) -> str:
    """Return the page for a query; the work is done in steps so that polls can run in between.

    `describe_host` returns what is known about this host's clock, given all measured offsets.
    """
    selection, remaining = Selection(settings.thresholds), iter(devices)
    while some := list(islice(remaining, DEVICES_PER_STEP)):
        selection.add(some, query, now)
        await asyncio.sleep(0)
    ordered = selection.in_order(query)
    await asyncio.sleep(0)
    shown = paginate(ordered, query.page, now, settings.thresholds)
    await asyncio.sleep(0)
    host_clock = describe_host(selection.measured)
    await asyncio.sleep(0)
    return render(
        "fleet.html",
        counts=selection.counts,
        total=selection.counts.total(),
        query=query.at_page(shown.page),
        shown=shown,
        levels=LEVELS,
        now_unix=now.unix_seconds,
        telemetry_path=settings.telemetry_path,
        dashboard_url=dashboard_url(settings.grafana_url, "axis-ntp-fleet"),
        host_clock=host_clock,
    )
