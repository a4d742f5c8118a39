"""The fleet at a glance: counted, filtered and sorted whole, and one page of it in words."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from operator import itemgetter
from typing import Final, NamedTuple

from exporter.clock.host import HostTime
from exporter.devices.device import Device
from exporter.devices.health import Issue, diagnose
from exporter.devices.state import DeviceState
from exporter.system.text import format_clock, format_offset
from exporter.web.pages.assets import render
from exporter.web.pages.fleet_query import FleetQuery
from exporter.web.pages.format import (
    LEVELS,
    Level,
    format_ago,
    in_words,
    level_of,
)

ROWS_ON_A_PAGE: Final = 100
DEVICES_IN_A_PIECE: Final = 250
"""So many are looked at before polls go on: some milliseconds' work."""

_DIGITS: Final = re.compile(r"\d+")
_DIGITS_COMPARED: Final = 12


class Match(NamedTuple):
    """A device that is asked for, and what it is sorted by; `value` is `None` while unknown."""

    name_key: str
    value: float | None
    device: Device


@dataclass(slots=True)
class Survey:
    """The whole fleet so far: how many stand how, and who is asked for."""

    counts: Counter[Level] = field(default_factory=Counter)
    matches: list[Match] = field(default_factory=list)

    def take(self, devices: Iterable[Device], query: FleetQuery, now: HostTime) -> None:
        """Look at some more devices."""
        words = query.words
        for device in devices:
            found = diagnose(device.state, device.state.clock_offset(now))
            level = level_of(device.state, found)
            self.counts[level] += 1
            if query.state not in (None, level) or (words and not _has(device, found, words)):
                continue
            value = _value(device.state, level, query.sort, now)
            self.matches.append(Match(natural_key(device.target.name), value, device))

    def ordered(self, query: FleetQuery) -> list[Match]:
        """Who is asked for, as asked for: by value, then by name; the unknown come last."""
        descending = query.direction == "descending"
        if query.sort == "device":
            return sorted(self.matches, key=itemgetter(0), reverse=descending)
        by_name = sorted(self.matches, key=itemgetter(0))
        known = [match for match in by_name if match.value is not None]
        known.sort(key=itemgetter(1), reverse=descending)
        return known + [match for match in by_name if match.value is None]


def natural_key(name: str) -> str:
    """What sorts names as people do: `dock-2` before `dock-10`, `Gate` beside `gate`."""
    return _DIGITS.sub(lambda digits: digits[0].zfill(_DIGITS_COMPARED), name.casefold())


def _has(device: Device, found: Sequence[Issue], words: Iterable[str]) -> bool:
    target = device.target
    said = (target.name, target.address, *(f"{k}={v}" for k, v in target.labels.items()))
    text = "\n".join((*said, in_words(device.state, found))).casefold()
    return all(word in text for word in words)


def _value(state: DeviceState, level: Level, sort: str, now: HostTime) -> float | None:
    match sort:
        case "state":
            return -LEVELS.index(level)
        case "offset":
            return _size(state.last.client.status.reported_offset_seconds)
        case "clock":
            offset = state.clock_offset(now)
            return None if offset is None else _size(offset.seconds)
        case "polled" if state.last_poll_unix is not None:
            return now.unix_seconds - state.last_poll_unix
    return None


def _size(seconds: float | None) -> float | None:
    return None if seconds is None else abs(seconds)


@dataclass(frozen=True, slots=True)
class Row:
    """One device as a person reads it."""

    name: str
    address: str
    labels: tuple[str, ...]
    level: Level
    state: str
    error: str
    offset: str
    clock: str
    servers: str
    last_poll: str


def row_of(device: Device, now: HostTime) -> Row:
    """One device's row."""
    state, target = device.state, device.target
    found = diagnose(state, state.clock_offset(now))
    polled = state.last_poll_unix
    return Row(
        name=target.name,
        address=target.address,
        labels=tuple(f"{name}={value}" for name, value in target.labels.items()),
        level=level_of(state, found),
        state=in_words(state, found),
        error="" if state.last.error is None else str(state.last.error),
        offset=format_offset(state.last.client.status.reported_offset_seconds),
        clock=format_clock(state.clock_offset(now)),
        servers=", ".join(state.last.client.settings.active_servers or ()),
        last_poll="" if polled is None else format_ago(now.unix_seconds - polled),
    )


@dataclass(frozen=True, slots=True)
class Excerpt:
    """One page of those who are asked for; `first` is the number of its first device, from 1."""

    rows: tuple[Row, ...]
    first: int
    matching: int
    page: int
    pages: int


def excerpt(ordered: Sequence[Match], page: int, now: HostTime) -> Excerpt:
    """A page, the last one instead of one beyond: a fleet shrinks while it is looked at."""
    pages = max(1, -(-len(ordered) // ROWS_ON_A_PAGE))
    page = min(page, pages)
    start = (page - 1) * ROWS_ON_A_PAGE
    shown = ordered[start : start + ROWS_ON_A_PAGE]
    rows = tuple(row_of(match.device, now) for match in shown)
    return Excerpt(rows, start + 1, len(ordered), page, pages)


async def render_fleet(
    devices: Iterable[Device], query: FleetQuery, now: HostTime, telemetry_path: str
) -> str:
    """The page for a query, made in pieces between which polls go on."""
    survey = Survey()
    for piece in _pieces(devices):
        survey.take(piece, query, now)
        await asyncio.sleep(0)
    ordered = survey.ordered(query)
    await asyncio.sleep(0)
    shown = excerpt(ordered, query.page, now)
    return render(
        "fleet.html",
        counts=survey.counts,
        total=survey.counts.total(),
        query=query.at_page(shown.page),
        shown=shown,
        levels=LEVELS,
        now_unix=now.unix_seconds,
        telemetry_path=telemetry_path,
    )


def _pieces(devices: Iterable[Device]) -> Iterator[list[Device]]:
    left = iter(devices)
    while piece := list(islice(left, DEVICES_IN_A_PIECE)):
        yield piece
