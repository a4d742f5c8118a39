"""The status page: the fleet at a glance, in words. Values in, HTML out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from exporter import __version__
from exporter.clock import Offset
from exporter.device import Device
from exporter.durations import format_duration
from exporter.fleet import Fleet
from exporter.host_clock import HostTime
from exporter.offsets import format_clock, format_offset
from exporter.reading import NtpClientReading
from exporter.state import DeviceState

# Autoescape: names, addresses and errors are whatever a file or a device says.
_TEMPLATES: Final = Environment(
    loader=PackageLoader("exporter.web"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


SKEW_SECONDS: Final = 0.5
"""A clock that is certainly further off than this wants a look: the alert's warning threshold."""


@dataclass(frozen=True, slots=True)
class Row:
    """One device as a person reads it; `level` is `good`, `warning`, `bad` or `waiting`."""

    name: str
    address: str
    labels: str
    level: str
    state: str
    offset: str
    clock: str
    servers: str
    last_poll: str
    error: str


def render_status(fleet: Fleet, now: HostTime, telemetry_path: str) -> str:
    """The page of the whole fleet at that moment."""
    rows = [status_row(device, now) for device in fleet]
    return _TEMPLATES.get_template("status.html").render(
        rows=rows,
        counts={
            level: sum(row.level == level for row in rows)
            for level in ("good", "warning", "bad", "waiting")
        },
        version=__version__,
        telemetry_path=telemetry_path,
    )


def status_row(device: Device, now: HostTime) -> Row:
    """One device's row."""
    state, target = device.state, device.target
    offset = state.clock_offset(now)
    level, words = _state_in_words(state, offset)
    client = state.client
    return Row(
        name=target.name,
        address=target.address,
        labels=", ".join(f"{name}={value}" for name, value in target.labels.items()),
        level=level,
        state=words,
        offset=format_offset(client.offset_seconds) if client else "",
        clock=format_clock(offset),
        servers=", ".join(client.active_servers or ()) if client else "",
        last_poll=_ago(state, now.unix_seconds),
        error="" if state.error is None else str(state.error),
    )


def _state_in_words(state: DeviceState, offset: Offset | None) -> tuple[str, str]:
    if state.last_poll_unix is None:
        return "waiting", "not polled yet"
    if state.last_error is not None:
        return "bad", f"{state.last_error.reason} {state.last_error.code}".strip()
    if state.client is None:
        return "warning", "no NTP client"
    level, words = _client_in_words(state.client)
    if offset is not None and abs(offset.seconds) - offset.uncertainty_seconds > SKEW_SECONDS:
        return "warning", f"{words}, but its clock is off"
    return level, words


def _client_in_words(client: NtpClientReading) -> tuple[str, str]:
    if client.enabled is False:
        return "warning", "NTP client disabled"
    if client.synced:
        return "good", "synchronized"
    unsaid = "does not say whether it is synchronized"
    return "warning", unsaid if client.synced is None else "not synchronized"


def _ago(state: DeviceState, now_unix: float) -> str:
    if state.last_poll_unix is None:
        return ""
    return f"{format_duration(round(max(0.0, now_unix - state.last_poll_unix)))} ago"
