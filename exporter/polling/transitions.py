"""Log what changes about a device: each change once, never the present state."""

import logging

import structlog
from structlog.typing import FilteringBoundLogger

from exporter.clock.motion import ClockEvent
from exporter.devices.device import Device
from exporter.devices.state import ErrorKind, PollOutcome, Transition
from exporter.vapix.errors import DeviceError
from exporter.vapix.ntp_info import Reading

_log = structlog.get_logger()

# Asked at every poll: unlike structlog's logger, it costs next to nothing.
_stdlib_log = logging.getLogger(__name__)


def log_transitions(device: Device, outcome: PollOutcome, transition: Transition) -> None:
    """Log what a poll changed, after it was recorded."""
    if isinstance(outcome.result, DeviceError):
        _log_failure(device, outcome.result)
    else:
        if transition.down_seconds is not None:
            down_seconds = round(transition.down_seconds, 3)
            _bind(device).info("device.recovered", down_seconds=down_seconds)
            device.logged_reasons = frozenset()
        _log_invalid_fields(device, outcome.result)
    for event in transition.clock_events:
        _log_clock_event(device, event)
    if _stdlib_log.isEnabledFor(logging.DEBUG):
        _log_poll(device, outcome)


def _bind(device: Device) -> FilteringBoundLogger:
    # Bound only when there is something to log: most polls change nothing.
    logger: FilteringBoundLogger = _log.bind(
        device=device.target.name, address=device.target.address
    )
    return logger


def _log_failure(device: Device, error: DeviceError) -> None:
    reason, code = ErrorKind.of(error)
    if reason not in device.logged_reasons:
        device.logged_reasons |= {reason}
        fields = {"reason": reason, "error": str(error)} | ({"code": code} if code else {})
        _bind(device).warning("device.failed", **fields)


def _log_clock_event(device: Device, event: ClockEvent) -> None:
    seconds = round(event.seconds, 6)
    if event.kind == "stepped":
        _bind(device).warning("device.clock_stepped", seconds=seconds)
    elif event.kind == "slewing":
        _bind(device).info("device.clock_slewing", state="begun")
    else:
        _bind(device).info("device.clock_slewing", state="ended", total_seconds=seconds)


def _log_invalid_fields(device: Device, reading: Reading) -> None:
    for name, problem in reading.invalid_fields:
        if name not in device.logged_fields:
            device.logged_fields |= {name}
            _bind(device).warning("device.field_ignored", field=name, problem=problem)


def _log_poll(device: Device, outcome: PollOutcome) -> None:
    _log.debug(
        "poll.ended",
        device=device.target.name,
        up=isinstance(outcome.result, Reading),
        seconds=round(outcome.duration_seconds, 6),
        responses=len(outcome.times.responses),
        scheme=device.client.scheme,
    )
