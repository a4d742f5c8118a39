"""The catalogue: every series of a device, in one table.

Tests compare the exposition, the docs, the dashboards and the rules with it.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from operator import attrgetter
from typing import ClassVar, Final, Literal

from exporter.clock.offset import Estimate
from exporter.devices.device import DeviceTarget
from exporter.devices.state import DeviceState
from exporter.vapix.identity import DeviceIdentity

_MICROSECONDS: Final = 6

Sample = tuple[tuple[str, ...], float]
"""The values of a metric's own labels, and the sample's value."""

Changes = Literal["each poll", "seldom", "settings"]
"""When a metric's samples change: at (almost) every poll, seldom, or only with the settings."""

Kind = Literal["gauge", "counter"]


@dataclass(frozen=True, slots=True)
class ValueMetric:
    """A family with one sample per device: the value at `path` in its `DeviceState`.

    If it is `None`, there is no sample. `decimals` is the number of decimals that are written;
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


@dataclass(frozen=True, slots=True)
class DriftMetric:
    """A gauge of the measured drift: the value at `path` in a `Drift`, written with nine decimals.

    It is computed at each scrape, from the slopes that the polls have left.
    """

    name: str
    help: str
    path: str
    kind: ClassVar[Kind] = "gauge"
    labels: ClassVar[tuple[str, ...]] = ()


@dataclass(frozen=True, slots=True)
class TimeMetric:
    """A gauge in Unix seconds: the steady time at `path` in a `DeviceState`, none for `None`.

    It is converted at each scrape, because the host's wall clock may be set at any time.
    """

    name: str
    help: str
    path: str
    kind: ClassVar[Kind] = "gauge"
    labels: ClassVar[tuple[str, ...]] = ()


@dataclass(frozen=True, slots=True)
class IdentityMetric:
    """A gauge of what a device is: only a reconnect or a reload changes its samples.

    Its own `labels` replace labels of the device that have the same names: those were free for
    use before the metric existed, and `find` gives devices a label `serial`.
    """

    name: str
    help: str
    samples: Callable[[DeviceTarget, DeviceIdentity], Iterable[Sample]]
    labels: tuple[str, ...] = ()
    kind: ClassVar[Kind] = "gauge"


StateMetric = ValueMetric | SamplesMetric | ClockMetric | DriftMetric | TimeMetric
"""Made of a `DeviceState`."""

DeviceMetric = StateMetric | IdentityMetric

settings_of: Final = attrgetter("last.client.settings")
"""Of a `DeviceState`, everything that the metrics that change with the settings depend on."""


def clock_estimate(state: DeviceState) -> Estimate | None:
    """Return the estimate of a device's clock; `None` if the last poll got no response at all."""
    return state.clock.estimate if state.last.answered else None


def _servers(state: DeviceState) -> Iterator[Sample]:
    for listed in state.last.client.settings.server_lists():
        yield (listed.source,), float(len(listed.servers))


def _server_info(state: DeviceState) -> Iterator[Sample]:
    for listed in state.last.client.settings.server_lists():
        active = "true" if listed.active else "false"
        for server in listed.servers:
            yield (server, listed.source, active), 1.0


def _client_info(state: DeviceState) -> Iterator[Sample]:
    if state.last.description is not None:
        yield state.last.description, 1.0


def _api_errors(state: DeviceState) -> Iterator[Sample]:
    for kind, count in state.errors.items():
        yield (kind.reason, kind.code), float(count)


def _last_error(state: DeviceState) -> Iterator[Sample]:
    if state.last.kind is not None:
        yield (state.last.kind.reason, state.last.kind.code), 1.0


def _mismatches(state: DeviceState) -> Iterator[Sample]:
    for parameter in state.last.mismatches or ():
        yield (parameter,), 1.0


def _device_info(target: DeviceTarget, identity: DeviceIdentity) -> Iterator[Sample]:
    yield (target.address, target.scheme, identity.serial), 1.0


def _certificate_end(_target: DeviceTarget, identity: DeviceIdentity) -> Iterator[Sample]:
    if identity.certificate_not_after is not None:
        yield (), identity.certificate_not_after


DEVICE_METRICS: Final[tuple[DeviceMetric, ...]] = (
    ValueMetric(
        "axis_ntp_up", "1 if the last poll got a valid getNTPInfo response, else 0.", "last.up"
    ),
    ValueMetric(
        "axis_ntp_client_present",
        "1 if the response had a client section, else 0.",
        "last.client_present",
    ),
    ValueMetric(
        "axis_ntp_server_present",
        "1 if the response had a server section, else 0.",
        "last.server_present",
    ),
    ValueMetric(
        "axis_ntp_client_enabled",
        "1 if the device's NTP client is enabled, else 0.",
        "last.client.settings.enabled",
        changes="settings",
    ),
    ValueMetric(
        "axis_ntp_nts_enabled",
        "1 if the device's NTP client uses Network Time Security, else 0.",
        "last.client.settings.nts_enabled",
        changes="settings",
    ),
    ValueMetric(
        "axis_ntp_synced",
        "1 if the device reports that it is synchronized; may stay 1 when its server fails.",
        "last.client.status.synced",
    ),
    ValueMetric(
        "axis_ntp_time_offset_seconds",
        "Reported offset: to the server, at the device's last NTP exchange; absent unless synced.",
        "last.client.status.reported_offset_seconds",
        changes="each poll",
    ),
    TimeMetric(
        "axis_ntp_time_offset_last_change_timestamp_seconds",
        "When the reported offset was last seen to change, Unix time; absent unless synced and "
        "while it is 0.",
        "reported_offset_changed_steady",
    ),
    ValueMetric(
        "axis_ntp_time_to_next_sync_seconds",
        "Time until the device's next synchronization attempt.",
        "last.client.status.time_to_next_sync_seconds",
        changes="each poll",
    ),
    ValueMetric(
        "axis_ntp_poll_interval_min_seconds",
        "Shortest interval between the device's synchronization attempts, 2^minpoll.",
        "last.client.settings.poll_interval_min_seconds",
        changes="settings",
    ),
    ValueMetric(
        "axis_ntp_poll_interval_max_seconds",
        "Longest interval between the device's synchronization attempts, 2^maxpoll.",
        "last.client.settings.poll_interval_max_seconds",
        changes="settings",
    ),
    ValueMetric(
        "axis_ntp_static_servers_max",
        "Number of static servers that the device supports.",
        "last.client.settings.static_servers_max",
        changes="settings",
    ),
    SamplesMetric(
        "axis_ntp_servers",
        "Number of servers that the device lists, by source: static, advertised, nts_ke.",
        "last.client.settings",
        _servers,
        ("source",),
        changes="settings",
    ),
    ValueMetric(
        "axis_ntp_active_servers",
        "Number of active servers: the listed servers that the device uses.",
        "last.client.settings.active_server_count",
        changes="settings",
    ),
    SamplesMetric(
        "axis_ntp_server_info",
        "1 for each server that the device lists; the label active shows whether it is used.",
        "last.client.settings",
        _server_info,
        ("server", "source", "active"),
        changes="settings",
    ),
    SamplesMetric(
        "axis_ntp_client_info",
        "1; the labels show the source of the servers and the API version of the response.",
        "last.description",
        _client_info,
        ("servers_source", "api_version"),
    ),
    ValueMetric(
        "axis_ntp_config_compliant",
        "1 if the device meets its `expect`, else 0; absent without an `expect`.",
        "last.compliant",
    ),
    SamplesMetric(
        "axis_ntp_config_mismatch",
        "1 for each parameter that differs from `expect`.",
        "last.mismatches",
        _mismatches,
        ("parameter",),
    ),
    ClockMetric(
        "axis_ntp_clock_offset_seconds",
        "Measured offset: the device's clock minus this host's; absent while unknown.",
        "seconds",
    ),
    ClockMetric(
        "axis_ntp_clock_offset_uncertainty_seconds",
        "Largest possible error of the measured offset.",
        "uncertainty_seconds",
    ),
    DriftMetric(
        "axis_ntp_clock_drift_ratio",
        "Measured drift over the last hour at most: seconds that the device's clock gains on this "
        "host's per second.",
        "ratio",
    ),
    DriftMetric(
        "axis_ntp_clock_drift_uncertainty_ratio",
        "Largest possible error of the measured drift.",
        "uncertainty_ratio",
    ),
    ValueMetric(
        "axis_ntp_clock_steps_total",
        "Measured steps of the device's clock; a change that a slew can explain does not count.",
        "clock.steps",
        kind="counter",
    ),
    ValueMetric(
        "axis_ntp_polls_total",
        "Finished polls of the device.",
        "polls",
        changes="each poll",
        kind="counter",
    ),
    ValueMetric(
        "axis_ntp_poll_failures_total",
        "Polls of the device that failed.",
        "failures",
        kind="counter",
    ),
    SamplesMetric(
        "axis_ntp_api_errors_total",
        "Failed polls by reason; code is the API's or HTTP's error number, or empty.",
        "failures",
        _api_errors,
        ("reason", "code"),
        kind="counter",
    ),
    ValueMetric(
        "axis_ntp_consecutive_failures",
        "Failed polls since the last successful one.",
        "last.consecutive_failures",
    ),
    SamplesMetric(
        "axis_ntp_last_error",
        "1 if the last poll failed, with the reason and code of its error.",
        "last.kind",
        _last_error,
        ("reason", "code"),
    ),
    TimeMetric(
        "axis_ntp_last_poll_timestamp_seconds",
        "When the last poll ended, Unix time.",
        "last_poll_steady",
    ),
    TimeMetric(
        "axis_ntp_last_success_timestamp_seconds",
        "When the last successful poll ended, Unix time.",
        "last_success_steady",
    ),
    TimeMetric(
        "axis_ntp_next_poll_timestamp_seconds",
        "When the next poll is due, Unix time.",
        "next_poll_steady",
    ),
    ValueMetric(
        "axis_ntp_poll_duration_seconds",
        "Duration of the last poll.",
        "last_poll_seconds",
        changes="each poll",
        decimals=_MICROSECONDS,
    ),
    IdentityMetric(
        "axis_ntp_device_info",
        "1; the labels show the device's address, and its serial number once it was seen.",
        _device_info,
        ("address", "scheme", "serial"),
    ),
    IdentityMetric(
        "axis_ntp_certificate_not_after_timestamp_seconds",
        "When the device's certificate ends, Unix time, from the last TLS handshake; https only.",
        _certificate_end,
    ),
)
