"""A configured device: who it is, how it is asked, and what is known of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from exporter.state import DeviceState
from exporter.vapix.client import NtpClient


@dataclass(frozen=True, slots=True)
class Target:
    """A device as the config has it, module and global settings applied."""

    name: str
    address: str
    labels: Mapping[str, str]
    interval_seconds: float
    timeout_seconds: float


@dataclass(slots=True, eq=False)
class Device:
    """A target with the client that asks it and the state that its polls left; itself alone equal.

    `told_reasons` and `told_fields` are what the log has said already: the reasons of this
    outage's errors, and the fields of answers that were left out since the start.
    """

    target: Target
    client: NtpClient
    state: DeviceState = field(default_factory=DeviceState)
    told_reasons: set[str] = field(default_factory=set)
    told_fields: set[str] = field(default_factory=set)
