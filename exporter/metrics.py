"""The catalogue: every series of a device, in one table.

Exposition, docs, dashboards, rules and tests are checked against it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from operator import attrgetter
from typing import Final, Literal

from exporter.clock import Offset
from exporter.host_clock import HostTime
from exporter.reading import NtpClientReading
from exporter.state import DeviceState

Sample = tuple[tuple[str, ...], float]
"""The values of a metric's own labels, and the sample's value."""


Samples = Callable[[DeviceState, HostTime], Iterable[Sample]]
"""What a state shows at a moment."""


@dataclass(frozen=True, slots=True)
class DeviceMetric:
    """A metric family of devices; `labels` are those beside `device` and the user's own.

    `live` ones change between polls, with the time; all others only when a poll ends.
    """

    name: str
    help: str
    samples: Samples
    labels: tuple[str, ...] = ()
    kind: Literal["gauge", "counter"] = "gauge"
    live: bool = False


def _one(value: float | None) -> list[Sample]:
    """One sample; none for `None`: absent beats wrong."""
    return [] if value is None else [((), float(value))]


def _of_state(read: Callable[[DeviceState], float | None]) -> Samples:
    return lambda state, _now: _one(read(state))


def _of_client(read: Callable[[NtpClientReading], float | None]) -> Samples:
    return lambda state, _now: _one(None if state.client is None else read(state.client))


def _of_clock(read: Callable[[Offset], float]) -> Samples:
    def samples(state: DeviceState, now: HostTime) -> list[Sample]:
        offset = state.clock_offset(now)
        return _one(None if offset is None else read(offset))

    return samples


def _up(state: DeviceState) -> float | None:
    return None if state.last is None else float(state.reading is not None)


def _client_present(state: DeviceState) -> float | None:
    return None if state.reading is None else float(state.client is not None)


def _server_present(state: DeviceState) -> float | None:
    return None if state.reading is None else float(state.reading.server_present)


def _active_servers(client: NtpClientReading) -> float | None:
    active = client.active_servers
    return None if active is None else float(len(active))


def _servers(state: DeviceState, _now: HostTime) -> Iterator[Sample]:
    if state.client is not None:
        for listed in state.client.server_lists():
            yield (listed.source,), float(len(listed.servers))


def _server_info(state: DeviceState, _now: HostTime) -> Iterator[Sample]:
    if state.client is not None:
        for listed in state.client.server_lists():
            active = "true" if listed.active else "false"
            for server in listed.servers:
                yield (server, listed.source, active), 1.0


def _client_info(state: DeviceState, _now: HostTime) -> Iterator[Sample]:
    if state.reading is not None and state.client is not None:
        yield (state.client.servers_source or "", state.reading.api_version or ""), 1.0


def _api_errors(state: DeviceState, _now: HostTime) -> Iterator[Sample]:
    for kind, count in state.errors.items():
        yield (kind.reason, kind.code), float(count)


def _last_error(state: DeviceState, _now: HostTime) -> Iterator[Sample]:
    if state.last_error is not None:
        yield (state.last_error.reason, state.last_error.code), 1.0


def _compliant(state: DeviceState) -> float | None:
    return None if state.mismatches is None else float(not state.mismatches)


def _mismatches(state: DeviceState, _now: HostTime) -> Iterator[Sample]:
    for parameter in state.mismatches or ():
        yield (parameter,), 1.0


def _consecutive_failures(state: DeviceState) -> float | None:
    return None if state.last is None else float(state.consecutive_failures)


def _last_poll(state: DeviceState) -> float | None:
    return None if state.last is None else state.last.finished_unix


def _poll_duration(state: DeviceState) -> float | None:
    return None if state.last is None else state.last.duration_seconds


DEVICE_METRICS: Final = (
    DeviceMetric(
        "axis_ntp_up", "1 if the last poll got a valid getNTPInfo answer, else 0.", _of_state(_up)
    ),
    DeviceMetric(
        "axis_ntp_client_present",
        "1 if the answer had a client section.",
        _of_state(_client_present),
    ),
    DeviceMetric(
        "axis_ntp_server_present",
        "1 if the answer had a server section.",
        _of_state(_server_present),
    ),
    DeviceMetric(
        "axis_ntp_client_enabled",
        "1 if the device's NTP client is enabled.",
        _of_client(attrgetter("enabled")),
    ),
    DeviceMetric(
        "axis_ntp_nts_enabled",
        "1 if the NTP client uses Network Time Security.",
        _of_client(attrgetter("nts_enabled")),
    ),
    DeviceMetric(
        "axis_ntp_synced",
        "1 if the device has synchronized since its last restart; stays 1 when its server dies.",
        _of_client(attrgetter("synced")),
    ),
    DeviceMetric(
        "axis_ntp_time_offset_seconds",
        "Offset to the server at the device's last NTP exchange; absent unless synced.",
        _of_client(attrgetter("offset_seconds")),
    ),
    DeviceMetric(
        "axis_ntp_time_to_next_sync_seconds",
        "Time until the device's next synchronization attempt.",
        _of_client(attrgetter("time_to_next_sync_seconds")),
    ),
    DeviceMetric(
        "axis_ntp_poll_interval_min_seconds",
        "Shortest interval between the device's synchronization attempts, 2^minpoll.",
        _of_client(attrgetter("poll_interval_min_seconds")),
    ),
    DeviceMetric(
        "axis_ntp_poll_interval_max_seconds",
        "Longest interval between the device's synchronization attempts, 2^maxpoll.",
        _of_client(attrgetter("poll_interval_max_seconds")),
    ),
    DeviceMetric(
        "axis_ntp_static_servers_max",
        "How many static servers the device supports.",
        _of_client(attrgetter("static_servers_max")),
    ),
    DeviceMetric(
        "axis_ntp_servers",
        "How many servers the device lists, by source: static, advertised, nts_ke.",
        _servers,
        ("source",),
    ),
    DeviceMetric(
        "axis_ntp_active_servers",
        "How many of the listed servers are in force, by the API's rules.",
        _of_client(_active_servers),
    ),
    DeviceMetric(
        "axis_ntp_server_info",
        "1 for each server the device lists, and whether it is in force.",
        _server_info,
        ("server", "source", "active"),
    ),
    DeviceMetric(
        "axis_ntp_client_info",
        "1; the source of the servers and the API version of the answer.",
        _client_info,
        ("servers_source", "api_version"),
    ),
    DeviceMetric(
        "axis_ntp_config_compliant",
        "1 if the device is configured as expected; absent without an expectation.",
        _of_state(_compliant),
    ),
    DeviceMetric(
        "axis_ntp_config_mismatch",
        "1 for each parameter that is not as expected.",
        _mismatches,
        ("parameter",),
    ),
    DeviceMetric(
        "axis_ntp_clock_offset_seconds",
        "The device's clock minus this host's, seen from outside; absent when unknown.",
        _of_clock(attrgetter("seconds")),
        live=True,
    ),
    DeviceMetric(
        "axis_ntp_clock_offset_uncertainty_seconds",
        "Half-width of the interval that holds the clock offset.",
        _of_clock(attrgetter("uncertainty_seconds")),
        live=True,
    ),
    DeviceMetric(
        "axis_ntp_clock_steps_total",
        "Jumps of the device's clock seen from outside.",
        _of_state(attrgetter("clock.steps")),
        kind="counter",
    ),
    DeviceMetric(
        "axis_ntp_polls_total",
        "Polls of the device that have ended.",
        _of_state(attrgetter("polls")),
        kind="counter",
    ),
    DeviceMetric(
        "axis_ntp_poll_failures_total",
        "Polls of the device that ended in an error.",
        _of_state(attrgetter("failures")),
        kind="counter",
    ),
    DeviceMetric(
        "axis_ntp_api_errors_total",
        "Failed polls by reason; code is the API's or HTTP's number, else empty.",
        _api_errors,
        ("reason", "code"),
        kind="counter",
    ),
    DeviceMetric(
        "axis_ntp_consecutive_failures",
        "Failed polls since the last good one.",
        _of_state(_consecutive_failures),
    ),
    DeviceMetric(
        "axis_ntp_last_error",
        "1 while the last poll failed with this error.",
        _last_error,
        ("reason", "code"),
    ),
    DeviceMetric(
        "axis_ntp_last_poll_timestamp_seconds",
        "When the last poll ended, Unix time.",
        _of_state(_last_poll),
    ),
    DeviceMetric(
        "axis_ntp_last_success_timestamp_seconds",
        "When the last good poll ended, Unix time.",
        _of_state(attrgetter("last_success_unix")),
    ),
    DeviceMetric(
        "axis_ntp_next_poll_timestamp_seconds",
        "When the next poll is due, Unix time.",
        _of_state(attrgetter("next_poll_unix")),
    ),
    DeviceMetric(
        "axis_ntp_poll_duration_seconds",
        "How long the last poll took.",
        _of_state(_poll_duration),
    ),
)
