"""The catalogue: every series of a device, in one table.

Exposition, docs, dashboards, rules and tests are checked against it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from exporter.devices.state import DeviceState

_MILLISECONDS: Final = 3
_MICROSECONDS: Final = 6

Sample = tuple[tuple[str, ...], float]
"""The values of a metric's own labels, and the sample's value."""


@dataclass(frozen=True, slots=True)
class DeviceMetric:
    """A metric family of devices; `labels` are those beside `device` and the user's own.

    `path` leads from a `DeviceState` to the metric's one value, `None` for no sample; or, where
    there is `samples`, to what those depend on: while that is equal, so are they. `of_settings`
    tells that this depends on `DeviceState.settings` alone. `decimals` is how many the value
    is told with, `None` for all that it has.
    """

    name: str
    help: str
    path: str
    samples: Callable[[DeviceState], Iterable[Sample]] | None = None
    labels: tuple[str, ...] = ()
    kind: Literal["gauge", "counter"] = "gauge"
    of_settings: bool = False
    decimals: int | None = None


@dataclass(frozen=True, slots=True)
class ClockMetric:
    """A gauge of the clock offset: `path` leads from an `Offset` to its value.

    It changes between polls too, with the time.
    """

    name: str
    help: str
    path: str
    labels: tuple[str, ...] = ()
    kind: Literal["gauge"] = "gauge"


def _servers(state: DeviceState) -> Iterator[Sample]:
    for listed in state.settings.server_lists():
        yield (listed.source,), float(len(listed.servers))


def _server_info(state: DeviceState) -> Iterator[Sample]:
    for listed in state.settings.server_lists():
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


DEVICE_METRICS: Final[tuple[DeviceMetric | ClockMetric, ...]] = (
    DeviceMetric("axis_ntp_up", "1 if the last poll got a valid getNTPInfo answer, else 0.", "up"),
    DeviceMetric(
        "axis_ntp_client_present",
        "1 if the answer had a client section.",
        "client_present",
    ),
    DeviceMetric(
        "axis_ntp_server_present",
        "1 if the answer had a server section.",
        "server_present",
    ),
    DeviceMetric(
        "axis_ntp_client_enabled",
        "1 if the device's NTP client is enabled.",
        "settings.enabled",
        of_settings=True,
    ),
    DeviceMetric(
        "axis_ntp_nts_enabled",
        "1 if the NTP client uses Network Time Security.",
        "settings.nts_enabled",
        of_settings=True,
    ),
    DeviceMetric(
        "axis_ntp_synced",
        "1 if the device has synchronized since its last restart; stays 1 when its server dies.",
        "status.synced",
    ),
    DeviceMetric(
        "axis_ntp_time_offset_seconds",
        "Offset to the server at the device's last NTP exchange; absent unless synced.",
        "status.reported_offset_seconds",
    ),
    DeviceMetric(
        "axis_ntp_time_to_next_sync_seconds",
        "Time until the device's next synchronization attempt.",
        "status.time_to_next_sync_seconds",
    ),
    DeviceMetric(
        "axis_ntp_poll_interval_min_seconds",
        "Shortest interval between the device's synchronization attempts, 2^minpoll.",
        "settings.poll_interval_min_seconds",
        of_settings=True,
    ),
    DeviceMetric(
        "axis_ntp_poll_interval_max_seconds",
        "Longest interval between the device's synchronization attempts, 2^maxpoll.",
        "settings.poll_interval_max_seconds",
        of_settings=True,
    ),
    DeviceMetric(
        "axis_ntp_static_servers_max",
        "How many static servers the device supports.",
        "settings.static_servers_max",
        of_settings=True,
    ),
    DeviceMetric(
        "axis_ntp_servers",
        "How many servers the device lists, by source: static, advertised, nts_ke.",
        "settings",
        _servers,
        ("source",),
        of_settings=True,
    ),
    DeviceMetric(
        "axis_ntp_active_servers",
        "How many of the listed servers are in force, by the API's rules.",
        "settings.active_server_count",
        of_settings=True,
    ),
    DeviceMetric(
        "axis_ntp_server_info",
        "1 for each server the device lists, and whether it is in force.",
        "settings",
        _server_info,
        ("server", "source", "active"),
        of_settings=True,
    ),
    DeviceMetric(
        "axis_ntp_client_info",
        "1; the source of the servers and the API version of the answer.",
        "description",
        _client_info,
        ("servers_source", "api_version"),
    ),
    DeviceMetric(
        "axis_ntp_config_compliant",
        "1 if the device is configured as expected; absent without an expectation.",
        "compliant",
    ),
    DeviceMetric(
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
    DeviceMetric(
        "axis_ntp_clock_steps_total",
        "Jumps of the device's clock seen from outside.",
        "clock.steps",
        kind="counter",
    ),
    DeviceMetric(
        "axis_ntp_polls_total",
        "Polls of the device that have ended.",
        "polls",
        kind="counter",
    ),
    DeviceMetric(
        "axis_ntp_poll_failures_total",
        "Polls of the device that ended in an error.",
        "failures",
        kind="counter",
    ),
    DeviceMetric(
        "axis_ntp_api_errors_total",
        "Failed polls by reason; code is the API's or HTTP's number, else empty.",
        "failures",
        _api_errors,
        ("reason", "code"),
        kind="counter",
    ),
    DeviceMetric(
        "axis_ntp_consecutive_failures",
        "Failed polls since the last good one.",
        "consecutive_failures",
    ),
    DeviceMetric(
        "axis_ntp_last_error",
        "1 while the last poll failed with this error.",
        "last_error",
        _last_error,
        ("reason", "code"),
    ),
    DeviceMetric(
        "axis_ntp_last_poll_timestamp_seconds",
        "When the last poll ended, Unix time.",
        "last_poll_unix",
        decimals=_MILLISECONDS,
    ),
    DeviceMetric(
        "axis_ntp_last_success_timestamp_seconds",
        "When the last good poll ended, Unix time.",
        "last_success_unix",
        decimals=_MILLISECONDS,
    ),
    DeviceMetric(
        "axis_ntp_next_poll_timestamp_seconds",
        "When the next poll is due, Unix time.",
        "next_poll_unix",
        decimals=_MILLISECONDS,
    ),
    DeviceMetric(
        "axis_ntp_poll_duration_seconds",
        "How long the last poll took.",
        "last_poll_seconds",
        decimals=_MICROSECONDS,
    ),
)
