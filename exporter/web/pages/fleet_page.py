"""The fleet page: the devices that a query selects as a table, and links that filter them."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from heapq import nsmallest
from itertools import islice
from typing import Final, NamedTuple

from exporter.clock.host import HostTime
from exporter.config import Thresholds
from exporter.devices.device import Device
from exporter.devices.health import LEVELS, Issue, Level, diagnose, level_of
from exporter.devices.state import DeviceState
from exporter.system.text import format_clock, format_drift, format_offset, natural_key
from exporter.time_servers.host_clock import HostClockNote
from exporter.web.pages.assets import render
from exporter.web.pages.fleet_query import FleetQuery
from exporter.web.pages.fleet_selection import (
    DEVICES_PER_STEP,
    SITE,
    Count,
    Selection,
)
from exporter.web.pages.format import (
    describe_problems,
    describe_state,
    format_ago,
    format_since,
    says_synchronized,
    since_steady,
    with_one_unit,
)
from exporter.web.pages.links import PageSettings, dashboard_url

ROWS_PER_PAGE: Final = 100

MAX_LABEL_COLUMNS: Final = 3
"""A label that more than half of the devices have is a column, up to so many."""

MAX_LINKS: Final = 12
"""So many problems and sites are listed, those of most devices."""

MAX_MORE_LINKS: Final = 200
"""So many more are listed on demand."""


@dataclass(frozen=True, slots=True)
class DeviceRow:
    """A row of the table of devices. `labels` are those without a column of their own.

    `problem` is the state without what is fine, so that the problem comes first; `detail` follows
    if there is room.
    """

    name: str
    address: str
    web_url: str
    columns: tuple[tuple[str, str], ...]
    labels: tuple[tuple[str, str], ...]
    level: Level
    state: str
    problem: str
    detail: str
    since: str
    reported_offset: str
    measured_offset: str
    drift: str
    servers: str
    last_poll: str


def device_row(
    device: Device, now: HostTime, thresholds: Thresholds, columns: Sequence[str] = ()
) -> DeviceRow:
    """Return the row of a device; `columns` are the labels that have a column."""
    state, target = device.state, device.target
    offset = state.clock_offset(now)
    issues = diagnose(state, offset, now, thresholds)
    polled, since = state.last_poll_steady, since_steady(issues)
    return DeviceRow(
        name=target.name,
        address=target.address,
        web_url=target.web_url,
        columns=tuple((name, target.labels.get(name, "")) for name in columns),
        labels=tuple(each for each in target.labels.items() if each[0] not in columns),
        level=level_of(state, issues),
        state=describe_state(state, issues),
        problem=describe_problems(issues),
        detail=_detail(state, issues),
        since="" if since is None else format_since(since, now),
        reported_offset=format_offset(state.last.client.status.reported_offset_seconds),
        measured_offset=with_one_unit(format_clock(offset)),
        drift=with_one_unit(format_drift(state.clock_drift)),
        servers=", ".join(state.last.client.settings.active_servers or ()),
        last_poll="" if polled is None else format_ago(now.steady_seconds - polled),
    )


def _detail(state: DeviceState, issues: Sequence[Issue]) -> str:
    if state.last.error is not None:
        return str(state.last.error)
    return "says synchronized" if issues and says_synchronized(state) else ""


@dataclass(frozen=True, slots=True)
class FleetPage:
    """One page of the selected devices; `first` is the number of its first device, from 1.

    `columns` are the labels that have a column, `has_labels` whether any row has others.
    """

    rows: tuple[DeviceRow, ...]
    first: int
    matching: int
    page: int
    pages: int
    columns: tuple[str, ...]

    @property
    def has_labels(self) -> bool:
        """Whether any row has a label without a column."""
        return any(row.labels for row in self.rows)


async def paginate(selection: Selection, query: FleetQuery, now: HostTime) -> FleetPage:
    """Return a page, or the last one if the fleet has shrunk and the page no longer exists."""
    matching = len(selection.devices)
    pages = max(1, -(-matching // ROWS_PER_PAGE))
    page = min(query.page, pages)
    start = (page - 1) * ROWS_PER_PAGE
    shown = (await selection.in_order(query, start + ROWS_PER_PAGE))[start:]
    columns = label_columns(selection)
    rows = tuple(device_row(each, now, selection.thresholds, columns) for each in shown)
    return FleetPage(rows, start + 1, matching, page, pages, columns)


def label_columns(selection: Selection) -> tuple[str, ...]:
    """Return the labels that most devices have, the most frequent first, `site` before others."""
    half = selection.counts.total() / 2
    frequent = [(-n, name) for name, n in selection.label_names.items() if n > half]
    names = [name for _, name in nsmallest(MAX_LABEL_COLUMNS, frequent, key=_site_first)]
    return tuple(names)


def _site_first(frequent: tuple[int, str]) -> tuple[bool, int, str]:
    return (frequent[1] != SITE, *frequent)


class FilterLink(NamedTuple):
    """A link that filters the devices, or ends that if it is chosen."""

    text: str
    counted: Count
    url: str
    is_chosen: bool


class FilterLinks(NamedTuple):
    """The links of one kind, those of most devices first; `unlisted` is how many have no link."""

    links: tuple[FilterLink, ...]
    more: tuple[FilterLink, ...]
    unlisted: int


def problem_links(problems: Mapping[str, Count], query: FleetQuery) -> FilterLinks:
    """Return links to the devices with each problem."""
    return _links(problems, query.problem, lambda problem: query.of_problem(problem).url)


def site_links(sites: Mapping[str, Count], query: FleetQuery) -> FilterLinks:
    """Return links to the devices of each site."""
    chosen = dict(query.labels).get(SITE, "")
    return _links(sites, chosen, lambda site: query.of_label(SITE, site).url)


def _links(counts: Mapping[str, Count], chosen: str, url: Callable[[str], str]) -> FilterLinks:
    worst = nsmallest(MAX_LINKS + MAX_MORE_LINKS, counts.items(), key=_most_affected)
    links = tuple(
        FilterLink(text, count, url("" if text == chosen else text), text == chosen)
        for text, count in worst
    )
    return FilterLinks(links[:MAX_LINKS], links[MAX_LINKS:], len(counts) - len(links))


def _most_affected(counted: tuple[str, Count]) -> tuple[int, int, str]:
    text, count = counted
    return (-count.affected, -count.devices, natural_key(text))


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
    shown = await paginate(selection, query, now)
    await asyncio.sleep(0)
    host_clock = describe_host(selection.measured)
    await asyncio.sleep(0)
    return render(
        "fleet.html",
        url_of=settings.url_of,
        counts=selection.counts,
        total=selection.counts.total(),
        query=query.at_page(shown.page),
        shown=shown,
        levels=LEVELS,
        problems=problem_links(selection.problems, query),
        sites=site_links(selection.sites, query),
        now_unix=now.unix_seconds,
        telemetry_path=settings.telemetry_path,
        dashboard_url=dashboard_url(settings.grafana_url, "axis-ntp-fleet"),
        host_clock=host_clock,
    )
