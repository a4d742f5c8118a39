"""The catalogue: every series of a device, in one table.

Exposition, docs, dashboards, rules and tests are checked against it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from operator import attrgetter
from typing import ClassVar, Final, Literal

from exporter.clock.offset import Estimate
from exporter.devices.state import DeviceState

_MILLISECONDS: Final = 3
_MICROSECONDS: Final = 6

Sample = tuple[tuple[str, ...], float]
"""The values of a metric's own labels, and the sample's value."""

Changes = Literal["each poll", "seldom", "settings"]
"""When a metric's samples change: at (almost) every poll, seldom, or only with the settings."""

Kind = Literal["gauge", "counter"]


@dataclass(frozen=True, slots=True)
class ValueMetric:
    """A family with one sample a device: the value at `path` in its `DeviceState`.

    There is no sample where that is `None`. `decimals` is how many the value is written with;
    `None` for the shortest text that reads back the same.
    """

    name: str
    help: str
    path: str
    changes: Changes = "seldom"
    kind: Kind = "gauge"
    decimals: int | None = None
    labels: ClassVar[tuple[str, ...]] = ()


@dataclass(frozen=True, slots=True)
class SamplesMetric:
    """A family with any number of samples a device; `labels` are its own, beside the device's.

    `samples` depend on the value at `path` in the `DeviceState`: while that is equal, so are they.
    """

    name: str
    help: str
    path: str
    samples: Callable[[DeviceState], Iterable[Sample]]
    labels: tuple[str, ...]
    changes: Changes = "seldom"
    kind: Kind = "gauge"


@dataclass(frozen=True, slots=True)
class ClockMetric:
    """A gauge of the measured offset: the value at `path` in an `Offset`.

    It changes with time too, so it is computed at each scrape, from `clock_estimate`.
    """

    name: str
    help: str
    path: str
    kind: ClassVar[Kind] = "gauge"
    labels: ClassVar[tuple[str, ...]] = ()


DeviceMetric = ValueMetric | SamplesMetric | ClockMetric

settings_of: Final = attrgetter("shown.settings")
"""Of a `DeviceState`, everything that the metrics that change with the settings depend on."""


def clock_estimate(state: DeviceState) -> Estimate | None:
    """Return the estimate of a device's clock; `None` if the last poll got no response at all."""
    return state.clock.estimate if state.answered else None


def _servers(state: DeviceState) -> Iterator[Sample]:
    for listed in state.shown.server_lists():
        yield (listed.source,), float(len(listed.servers))


def _server_info(state: DeviceState) -> Iterator[Sample]:
    for listed in state.shown.server_lists():
        active = "true" if listed.active else "false"
        for server in listed.servers:
            yield (server, listed.source, active), 1.0


def _client_info(state: DeviceState) -> Iterator[Sample]:
    if state.description is not None:
        yield state.description, 1.0


def _api_errors(state: DeviceState) -> Iterator[Sample]:
    for kind, count in state.errors.items():
        yield (kind.reason, kind.code), float(count)


def _last_error(state: DeviceState) -> Iterator[Sample]:
    if state.last_error is not None:
        yield (state.last_error.reason, state.last_error.code), 1.0


def _mismatches(state: DeviceState) -> Iterator[Sample]:
    for parameter in state.mismatches or ():
        yield (parameter,), 1.0


DEVICE_METRICS: Final[tuple[DeviceMetric, ...]] = (
    ValueMetric("axis_ntp_up", "1 if the last poll got a valid getNTPInfo answer, else 0.", "up"),
    ValueMetric(
        "axis_ntp_client_present",
        "1 if the answer had a client section.",
        "client_present",
    ),
    ValueMetric(
        "axis_ntp_server_present",
        "1 if the answer had a server section.",
        "server_present",
    ),
    ValueMetric(
        "axis_ntp_client_enabled",
        "1 if the device's NTP client is enabled.",
        "shown.enabled",
        changes="settings",
    ),
    ValueMetric(
        "axis_ntp_nts_enabled",
        "1 if the NTP client uses Network Time Security.",
        "shown.nts_enabled",
        changes="settings",
    ),
    ValueMetric(
        "axis_ntp_synced",
        "1 if the device has synchronized since its last restart; stays 1 when its server dies.",
        "shown.synced",
    ),
    ValueMetric(
        "axis_ntp_time_offset_seconds",
        "Offset to the server at the device's last NTP exchange; absent unless synced.",
        "shown.offset_seconds",
        changes="each poll",
    ),
    ValueMetric(
        "axis_ntp_time_to_next_sync_seconds",
        "Time until the device's next synchronization attempt.",
        "shown.time_to_next_sync_seconds",
        changes="each poll",
    ),
    ValueMetric(
        "axis_ntp_poll_interval_min_seconds",
        "Shortest interval between the device's synchronization attempts, 2^minpoll.",
        "shown.poll_interval_min_seconds",
        changes="settings",
    ),
    ValueMetric(
        "axis_ntp_poll_interval_max_seconds",
        "Longest interval between the device's synchronization attempts, 2^maxpoll.",
        "shown.poll_interval_max_seconds",
        changes="settings",
    ),
    ValueMetric(
        "axis_ntp_static_servers_max",
        "How many static servers the device supports.",
        "shown.static_servers_max",
        changes="settings",
    ),
    SamplesMetric(
        "axis_ntp_servers",
        "How many servers the device lists, by source: static, advertised, nts_ke.",
        "shown.settings",
        _servers,
        ("source",),
        changes="settings",
    ),
    ValueMetric(
        "axis_ntp_active_servers",
        "How many of the listed servers are in force, by the API's rules.",
        "shown.active_server_count",
        changes="settings",
    ),
    SamplesMetric(
        "axis_ntp_server_info",
        "1 for each server the device lists, and whether it is in force.",
        "shown.settings",
        _server_info,
        ("server", "source", "active"),
        changes="settings",
    ),
    SamplesMetric(
        "axis_ntp_client_info",
        "1; the source of the servers and the API version of the answer.",
        "description",
        _client_info,
        ("servers_source", "api_version"),
    ),
    ValueMetric(
        "axis_ntp_config_compliant",
        "1 if the device is configured as expected; absent without an expectation.",
        "compliant",
    ),
    SamplesMetric(
        "axis_ntp_config_mismatch",
        "1 for each parameter that is not as expected.",
        "mismatches",
        _mismatches,
        ("parameter",),
    ),
    ClockMetric(
        "axis_ntp_clock_offset_seconds",
        "The device's clock minus this host's, seen from outside; absent when unknown.",
        "seconds",
    ),
    ClockMetric(
        "axis_ntp_clock_offset_uncertainty_seconds",
        "Half-width of the interval that holds the clock offset.",
        "uncertainty_seconds",
    ),
    ValueMetric(
        "axis_ntp_clock_steps_total",
        "Jumps of the device's clock seen from outside.",
        "clock.steps",
        kind="counter",
    ),
    ValueMetric(
        "axis_ntp_polls_total",
        "Polls of the device that have ended.",
        "polls",
        changes="each poll",
        kind="counter",
    ),
    ValueMetric(
        "axis_ntp_poll_failures_total",
        "Polls of the device that ended in an error.",
        "failures",
        kind="counter",
    ),
    SamplesMetric(
        "axis_ntp_api_errors_total",
        "Failed polls by reason; code is the API's or HTTP's number, else empty.",
        "failures",
        _api_errors,
        ("reason", "code"),
        kind="counter",
    ),
    ValueMetric(
        "axis_ntp_consecutive_failures",
        "Failed polls since the last good one.",
        "consecutive_failures",
    ),
    SamplesMetric(
        "axis_ntp_last_error",
        "1 while the last poll failed with this error.",
        "last_error",
        _last_error,
        ("reason", "code"),
    ),
    ValueMetric(
        "axis_ntp_last_poll_timestamp_seconds",
        "When the last poll ended, Unix time.",
        "last_poll_unix",
        changes="each poll",
        decimals=_MILLISECONDS,
    ),
    ValueMetric(
        "axis_ntp_last_success_timestamp_seconds",
        "When the last good poll ended, Unix time.",
        "last_success_unix",
        changes="each poll",
        decimals=_MILLISECONDS,
    ),
    ValueMetric(
        "axis_ntp_next_poll_timestamp_seconds",
        "When the next poll is due, Unix time.",
        "next_poll_unix",
        changes="each poll",
        decimals=_MILLISECONDS,
    ),
    ValueMetric(
        "axis_ntp_poll_duration_seconds",
        "How long the last poll took.",
        "last_poll_seconds",
        changes="each poll",
        decimals=_MICROSECONDS,
    ),
)
