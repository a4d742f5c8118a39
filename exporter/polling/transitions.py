"""What the log tells of a device: when something changed, never how it stands."""

from __future__ import annotations

import logging

import structlog
from structlog.typing import FilteringBoundLogger

from exporter.devices.device import Device
from exporter.devices.state import ErrorKind, PollOutcome
from exporter.vapix.errors import DeviceError
from exporter.vapix.reading import Reading

_log = structlog.get_logger()

# Asked at every poll, so it must cost nothing: structlog would build a logger first.
_stdlib = logging.getLogger(__name__)


def record_and_tell(device: Device, outcome: PollOutcome) -> None:
    """Record how a poll ended, and tell what that changes."""
    stepped_before = device.state.clock.last_step_seconds is not None
    if isinstance(outcome.result, DeviceError):
        _log_failure(device, outcome.result)
    else:
        _log_recovery(device, outcome)
        _log_left_out(device, outcome.result)
    device.state.record(outcome)
    if _stdlib.isEnabledFor(logging.DEBUG):
        _log_poll(device, outcome)
    step_seconds = device.state.clock.last_step_seconds
    if step_seconds is not None and not stepped_before:
        _tell(device).warning("device.clock_stepped", seconds=round(step_seconds, 6))


def _tell(device: Device) -> FilteringBoundLogger:
    """A logger of a device, made only where there is something to tell: most polls have nothing."""
    logger: FilteringBoundLogger = _log.bind(
        device=device.target.name, address=device.target.address
    )
    return logger


def _log_poll(device: Device, outcome: PollOutcome) -> None:
    _log.debug(
        "poll.ended",
        device=device.target.name,
        up=isinstance(outcome.result, Reading),
        seconds=round(outcome.duration_seconds, 6),
        answers=len(outcome.sightings),
        scheme=device.client.scheme,
    )


def _log_failure(device: Device, error: DeviceError) -> None:
    kind = ErrorKind.of(error)
    if kind.reason not in device.told_reasons:
        device.told_reasons |= {kind.reason}
        fields = {"reason": kind.reason, "error": str(error)}
        _tell(device).warning(
            "device.failed", **fields | ({"code": kind.code} if kind.code else {})
        )


def _log_recovery(device: Device, outcome: PollOutcome) -> None:
    if device.state.down_since_steady is not None:
        down_seconds = round(outcome.began_steady_seconds - device.state.down_since_steady, 3)
        _tell(device).info("device.recovered", down_seconds=down_seconds)
        device.told_reasons = frozenset()


def _log_left_out(device: Device, reading: Reading) -> None:
    for name, problem in reading.invalid_fields:
        if name not in device.told_fields:
            device.told_fields |= {name}
            _tell(device).warning("device.field_left_out", field=name, problem=problem)
