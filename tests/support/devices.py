"""Devices and outcomes of polls for tests without I/O."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from exporter.clock.host import HostTime
from exporter.clock.http_time import CallTimes, ResponseTimes
from exporter.clock.offset import SECOND_NS
from exporter.devices.device import Device, DeviceTarget
from exporter.devices.state import PollOutcome
from exporter.vapix.errors import DeviceError
from exporter.vapix.ntp_info import Reading

NOW = HostTime(SECOND_NS, 1_800_000_001 * SECOND_NS)
"""A second after the start of the steady clock."""


def make_device(
    name: str = "lobby",
    *,
    client: Any = None,
    address: str = "",
    interval: float = 60.0,
    timeout: float = 10.0,
    labels: Mapping[str, str] = MappingProxyType({}),
) -> Device:
    """Make a device that was never polled."""
    target = DeviceTarget(name, address or f"{name}.example", dict(labels), interval, timeout)
    return Device(target, client)


def outcome(
    began_unix: float,
    seconds: float,
    result: Reading | DeviceError,
    began_steady: float = 0.0,
    responses: tuple[ResponseTimes, ...] = (),
) -> PollOutcome:
    """Make the outcome of a poll that began at these times of both clocks."""
    ended = HostTime(
        round((began_steady + seconds) * SECOND_NS), round((began_unix + seconds) * SECOND_NS)
    )
    return PollOutcome(ended, round(seconds * SECOND_NS), result, CallTimes(responses))
