"""Read what exporters have measured of one device around a moment from Prometheus."""

import difflib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Final, NamedTuple

from exporter.clock.offset import SECOND_NS, Offset
from exporter.evidence.prometheus_api import (
    PrometheusApi,
    PrometheusFailed,
    RawSeries,
    selector_of,
)
from exporter.evidence.records import (
    REPLICA_LABELS,
    Asked,
    Scrape,
    Witness,
    exporter_labels,
)
from exporter.evidence.series import (
    DEVICE_SERIES,
    DURATION,
    HOST_SERIES,
    INFO,
    KERNEL,
    OFFSET,
    SERVER_SERIES,
)
from exporter.evidence.shown_again import refuse_if_shown_again
from exporter.evidence.statement import (
    NoFinding,
    Statement,
    find_nearest_offset,
    make_statement,
)
from exporter.evidence.times import format_utc
from exporter.system.text import escaped, format_duration
from exporter.time_servers.host_clock import DEVICES_TO_SUSPECT

_IDENTITY_LABELS: Final = ("address", "serial")

_TRIES: Final = 6
"""How often a true time is sought: each try is 1,600 times nearer while the clock does not step."""

_MOST_EXPORTERS: Final = 50
"""Each is asked about on its own."""

_CLOSE_SECONDS: Final = 1.0

_MEDIAN_STEP_SECONDS: Final = 60.0

_OLDEST_YEARS: Final = 15
_RANGE_STEPS: Final = 1000

_Labels = frozenset[tuple[str, str]]
_Columns = dict[str, dict[float, float]]
"""The samples of a device from one exporter: by the series' name, then by the scrape's time."""


class UnknownDevice(Exception):
    """Prometheus has never had the device; `str()` says so and names similar ones."""


class NotYet(Exception):
    """The moment is in the future."""


class Wanted(NamedTuple):
    """A device by its name and further labels, the question, and how far to look."""

    device: str
    selectors: Mapping[str, str]
    asked: Asked
    window_seconds: float

    @property
    def matchers(self) -> dict[str, str]:
        """The labels of the device's series."""
        return {**self.selectors, "device": self.device}


class _Ambiguous(Exception):
    """Several devices have the name; `str()` says how to choose one."""


class _Group(NamedTuple):
    """What one exporter (as one Prometheus has scraped it) shows of the device."""

    labels: Mapping[str, str]
    columns: _Columns
    identity: Mapping[str, str]


async def answer(
    api: PrometheusApi, wanted: Wanted, now_ns: int
) -> tuple[Statement, Sequence[Witness]]:
    """Return the statement, and the exporters that it is from.

    Raises `PrometheusFailed`, `UnknownDevice` and `NotYet`.
    """
    asked = wanted.asked
    if asked.kind == "at" and asked.time_ns > now_ns:
        raise NotYet(f"{format_utc(asked.time_ns)} is in the future")
    try:
        around_ns, groups, is_found = await _read_around(api, wanted, now_ns)
    except _Ambiguous as problem:
        return Statement(asked, None, str(problem)), ()
    if around_ns > now_ns:
        raise NotYet(f"the picture does not show this before {format_utc(around_ns)}")
    witnesses = [await _read_witness(api, wanted, each, around_ns) for each in groups]
    statement = make_statement(asked, witnesses, around_ns, wanted.window_seconds)
    if asked.kind == "shown" and statement.finding is not None:
        return await refuse_if_shown_again(api, statement), witnesses
    if not any(each.columns.get(OFFSET) for each in groups):
        reason = await _describe_absence(api, wanted, around_ns, now_ns)
    elif not is_found and _are_gaps(statement):
        reason = _describe_search(asked, witnesses, around_ns)
    else:
        return statement, witnesses
    return statement._replace(reason=reason), witnesses


def _are_gaps(statement: Statement) -> bool:
    return all(isinstance(each, NoFinding) and each.is_gap for each in statement.each)


async def _read_around(
    api: PrometheusApi, wanted: Wanted, now_ns: int
) -> tuple[int, list[_Group], bool]:
    """Return the true time of the question, roughly, and what Prometheus has around it.

    It is not found, the third says, if the clock has skipped it, or was not measured there.
    """
    # A clock that is ahead has shown times that are still to come.
    asked, around_ns = wanted.asked, min(wanted.asked.time_ns, now_ns)
    groups = await _read_groups(api, wanted, around_ns)
    for _ in range(_TRIES if asked.kind == "shown" else 0):
        offset_ns = find_nearest_offset([_scrapes(each.columns, {}) for each in groups], around_ns)
        nearer_ns = asked.time_ns - (offset_ns or 0)
        if abs(nearer_ns - around_ns) < _CLOSE_SECONDS * SECOND_NS:
            return around_ns, groups, True
        around_ns = nearer_ns
        groups = await _read_groups(api, wanted, around_ns)
    return around_ns, groups, asked.kind == "at"


def _describe_search(asked: Asked, witnesses: Sequence[Witness], around_ns: int) -> str:
    scraped = [each.scrapes for each in witnesses]
    there_ns = asked.time_ns - (find_nearest_offset(scraped, around_ns) or 0)
    return (
        "no moment was found at which the device showed this time: by its offset around "
        f"{format_utc(around_ns)} it was around {format_utc(there_ns)}, but there the offset was "
        "another, or was not measured; the clock may have been set forward past this time"
    )


async def _read_groups(api: PrometheusApi, wanted: Wanted, around_ns: int) -> list[_Group]:
    names = (*DEVICE_SERIES, DURATION, INFO)
    selector = selector_of(wanted.matchers, names)
    series = await api.query(*_in_window(selector, wanted, around_ns))
    columns = defaultdict[_Labels, _Columns](dict)
    infos = defaultdict[_Labels, list[Mapping[str, str]]](list)
    unlike = (*_IDENTITY_LABELS, "scheme")
    for each in series:
        name = each.labels.get("__name__", "")
        if name == INFO:
            infos[_key(each.labels, *unlike)].append(each.labels)
        elif name in names:
            columns[_key(each.labels)][name] = dict(each.samples)
    groups = [
        _Group(dict(labels), found, _identity(infos[_key(dict(labels), *unlike)]))
        for labels, found in columns.items()
    ]
    groups.sort(key=lambda each: sorted(each.labels.items()))
    _refuse_different_devices(groups)
    return groups


def _identity(infos: Sequence[Mapping[str, str]]) -> Mapping[str, str]:
    """Return what tells a device from others of its name.

    Raises `_Ambiguous` if another device may have had the name for a part of the window.
    """
    serials, addresses = _known(infos, "serial"), _known(infos, "address")
    if len(serials) > 1:
        raise _replaced(f"with the serial numbers {_listed(serials)}")
    if len(addresses) > 1 and not all(each.get("serial") for each in infos):
        raise _replaced(f"at the addresses {_listed(addresses)} (the serial number is not known)")
    found = {"serial": serials, "address": addresses}
    return {name: values[0] for name, values in found.items() if len(values) == 1}


def _known(infos: Sequence[Mapping[str, str]], label: str) -> list[str]:
    return sorted({each[label] for each in infos if each.get(label)})


def _replaced(how: str) -> _Ambiguous:
    return _Ambiguous(
        f"two devices had this name within the window, {how}: a smaller --window may hold one of "
        "them"
    )


def _listed(values: Sequence[str]) -> str:
    return " and ".join(map(escaped, values))


def _in_window(selector: str, wanted: Wanted, around_ns: int) -> tuple[str, float]:
    """Return the arguments of a query for the raw samples in the window to both sides."""
    half_ms = round(wanted.window_seconds * 1000)
    return f"{selector}[{2 * half_ms}ms]", (around_ns // 1_000_000 + half_ms) / 1000


def _key(labels: Mapping[str, str], *without: str) -> _Labels:
    return frozenset(pair for pair in labels.items() if pair[0] not in ("__name__", *without))


def _refuse_different_devices(groups: Sequence[_Group]) -> None:
    """Raise `_Ambiguous` unless all groups can be one device, polled by several exporters."""
    if len(groups) > _MOST_EXPORTERS:
        raise _Ambiguous(f"{len(groups)} exporters have this device: choose one with --selector")
    for one, other in combinations(groups, 2):
        names = sorted({name for name, _ in one.labels.items() ^ other.labels.items()})
        differing = [name for name in names if name not in REPLICA_LABELS]
        apart = [
            name
            for name in _IDENTITY_LABELS
            if one.identity.get(name) and other.identity.get(name)
            and one.identity[name] != other.identity[name]
        ]  # fmt: skip
        if differing or apart:
            chosen = (differing or names)[0]
            values = sorted({each.labels.get(chosen, "") for each in groups})
            options = " or ".join(f"--selector={chosen}={escaped(value)}" for value in values)
            raise _Ambiguous(f"several devices have this name: choose one with {options}")


async def _read_witness(
    api: PrometheusApi, wanted: Wanted, group: _Group, around_ns: int
) -> Witness:
    """Read what is known of the clock of an exporter's host too."""
    labels = exporter_labels(group.labels)
    selector = selector_of(labels, (*HOST_SERIES, *SERVER_SERIES, KERNEL))
    series = await api.query(*_in_window(selector, wanted, around_ns))
    by_server = _columns_by_server(series, group.labels)
    host = by_server.pop("", {})
    flags = host.pop(KERNEL, {}).values()
    kernel = all(flags) if flags else None
    scrapes = _scrapes(group.columns, host, [*by_server.values()])
    medians = [] if host else await _read_medians(api, wanted, labels, around_ns)
    return Witness(group.labels, scrapes, medians, kernel)


def _columns_by_server(
    series: Sequence[RawSeries], labels: Mapping[str, str]
) -> dict[str, _Columns]:
    """Return an exporter's own series by time server; `""` has those of its host's clock.

    They have fewer labels than the device's, and no others.
    """
    columns = defaultdict[str, _Columns](dict)
    for each in series:
        if _key(each.labels, "server") <= _key(labels):
            name = each.labels.get("__name__", "")
            columns[each.labels.get("server", "")][name] = dict(each.samples)
    return columns


async def _read_medians(
    api: PrometheusApi, wanted: Wanted, labels: Mapping[str, str], around_ns: int
) -> list[float]:
    """Return the middle offset of all of an exporter's devices, where it has enough of them."""
    offsets = f"{OFFSET}{selector_of(labels)}"
    middle = (
        f"quantile by (job, instance) (0.5, {offsets}) and on (job, instance) "
        f"count by (job, instance) ({offsets}) >= {DEVICES_TO_SUSPECT}"
    )
    around, half = around_ns / SECOND_NS, wanted.window_seconds
    step = max(_MEDIAN_STEP_SECONDS, half / _RANGE_STEPS)
    found = await api.query_range(middle, around - half, around + half, step)
    return [value for each in found for _, value in each.samples]


def _scrapes(columns: _Columns, host: _Columns, servers: Sequence[_Columns] = ()) -> list[Scrape]:
    """Return one `Scrape` for each time at which the device was scraped."""
    all_columns = {**columns, **host}
    times = sorted({when for name in DEVICE_SERIES for when in columns.get(name, ())})
    return [_scrape(when, all_columns, servers) for when in times]


def _scrape(when: float, columns: _Columns, servers: Sequence[_Columns]) -> Scrape:
    offset, uncertainty, steps, polled, polls, synced = _values(when, columns, DEVICE_SERIES)
    host = _offset(*_values(when, columns, HOST_SERIES))
    return Scrape(
        scraped_seconds=when,
        polled_seconds=polled,
        offset=_offset(offset, uncertainty),
        host=host,
        servers=None if host is None else _count_agreeing(when, host, servers),
        steps=steps,
        polls=polls,
        poll_seconds=_positive(columns.get(DURATION, {}).get(when)),
        synced=None if synced is None else bool(synced),
    )


def _values(when: float, columns: _Columns, names: Sequence[str]) -> list[float | None]:
    return [columns.get(name, {}).get(when) for name in names]


def _count_agreeing(when: float, host: Offset, servers: Sequence[_Columns]) -> int | None:
    """Return how many usable servers allow this offset of the host; `None` without any series."""
    if not servers:
        return None
    found = [_values(when, columns, SERVER_SERIES) for columns in servers]
    return sum(
        bool(selectable)
        and (server := _offset(seconds, uncertainty)) is not None
        # The server's offset is relative to the host, the host's to the servers.
        and abs(server.seconds + host.seconds)
        <= server.uncertainty_seconds + host.uncertainty_seconds
        for seconds, uncertainty, selectable in found
    )


def _offset(seconds: float | None, uncertainty: float | None) -> Offset | None:
    uncertainty = _positive(uncertainty)
    return None if seconds is None or uncertainty is None else Offset(seconds, uncertainty)


def _positive(value: float | None) -> float | None:
    """Return a duration or an uncertainty; `None` for one that cannot be."""
    return None if value is None or value < 0 else value


async def _describe_absence(api: PrometheusApi, wanted: Wanted, around_ns: int, now_ns: int) -> str:
    """Return that nothing was measured around a moment, and where the measurements begin."""
    window, moment = format_duration(wanted.window_seconds), format_utc(around_ns)
    nothing = f"no measurement within {window} of {moment}"
    try:
        oldest = await _find_oldest(api, wanted, now_ns)
    except PrometheusFailed:
        return nothing  # Mimir may refuse such a long query.
    if oldest is None:
        await _refuse_unknown(api, wanted)
        return f"{nothing}, nor at any other time: its clock was never measured"
    if oldest * SECOND_NS <= around_ns:
        return nothing
    if wanted.asked.kind == "shown":
        nothing = f"{nothing} (if the picture was that far off, ask with --at)"
    return (
        f"{nothing}; the oldest one that Prometheus has is from {format_utc(oldest * SECOND_NS)}: "
        "see how long it keeps its data (retention)"
    )


async def _find_oldest(api: PrometheusApi, wanted: Wanted, now_ns: int) -> int | None:
    """Return the Unix second of the device's first measurement; `None` if there is none."""
    end = now_ns // SECOND_NS
    start, step = end - _OLDEST_YEARS * 366 * 86_400, float("inf")
    while step > 1:
        step = max(1, -(-(end - start) // _RANGE_STEPS))
        selector = f"{OFFSET}{selector_of(wanted.matchers)}"
        found = await api.query_range(f"count_over_time({selector}[{step}s])", start, end, step)
        times = [each.samples[0][0] for each in found if each.samples]
        if not times:
            return None
        end = int(min(times))
        start = end - step
    return end


async def _refuse_unknown(api: PrometheusApi, wanted: Wanted) -> None:
    """Raise `UnknownDevice` if Prometheus has no series of the device at all."""
    names = await api.label_values("device", selector_of(wanted.selectors, DEVICE_SERIES[3:5]))
    if wanted.device in names:
        return
    by_lower_case = {name.lower(): name for name in names}
    close = difflib.get_close_matches(wanted.device.lower(), by_lower_case, n=3)
    similar = " or ".join(repr(escaped(by_lower_case[each])) for each in close)
    hint = f" (did you mean {similar}?)" if close else ""
    labels = " and ".join(escaped(f"{name}={value}") for name, value in wanted.selectors.items())
    which = f" with {labels}" if labels else ""
    raise UnknownDevice(f"Prometheus has no device {escaped(wanted.device)!r}{which}{hint}")
