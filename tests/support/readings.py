"""Readings as a device would send them, and as none would."""

from dataclasses import fields
from typing import Any, TypeVar

from exporter.vapix.ntp_info import NtpClientReading, NtpSettings, NtpStatus, Reading

T = TypeVar("T", NtpSettings, NtpStatus)

_SETTINGS = {field.name for field in fields(NtpSettings)}


def ntp_client(**values: Any) -> NtpClientReading:
    """A client section of any values; `offset_seconds` stands for `last_offset_milliseconds`."""
    settings = {name: value for name, value in values.items() if name in _SETTINGS}
    status = {name: value for name, value in values.items() if name not in _SETTINGS}
    if "offset_seconds" in status:
        offset = status.pop("offset_seconds")
        status["last_offset_milliseconds"] = None if offset is None else offset * 1000
    return NtpClientReading(_build(NtpSettings, settings), _build(NtpStatus, status))


def _build(kind: type[T], values: dict[str, Any]) -> T:
    """An instance without validation: what holds for any value also holds for valid ones."""
    part = object.__new__(kind)
    for field in fields(kind):
        object.__setattr__(part, field.name, values.pop(field.name, None))
    assert not values, f"unknown fields: {values}"
    return part


def replace_fields(client: NtpClientReading, **values: Any) -> NtpClientReading:
    """The same client section with other values."""
    settings = {name: getattr(client.settings, name) for name in _SETTINGS}
    status = {field.name: getattr(client.status, field.name) for field in fields(NtpStatus)}
    return ntp_client(**{**settings, **status, **values})


def reading(client: NtpClientReading | None = None, version: str | None = "1.5") -> Reading:
    return Reading(version, client, server_present=False)
