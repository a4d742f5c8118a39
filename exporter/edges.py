"""What the log tells of a device: when something changed, never how it stands."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from structlog.typing import FilteringBoundLogger

from exporter.device import Device
from exporter.reading import Reading
from exporter.state import ErrorKind, Outcome
from exporter.vapix.errors import DeviceError

_log = structlog.get_logger()


@contextmanager
def log_edges(device: Device, outcome: Outcome) -> Iterator[None]:
    """Tell what a poll's outcome changes, around the block that records it."""
    log = _log.bind(device=device.target.name, address=device.target.address)
    stepped_before = device.state.clock.last_step_seconds is not None
    if isinstance(outcome.result, DeviceError):
        _log_failure(log, device, outcome.result)
    else:
        _log_recovery(log, device, outcome)
        _log_left_out(log, device, outcome.result)
    yield
    step_seconds = device.state.clock.last_step_seconds
    if step_seconds is not None and not stepped_before:
        log.warning("device.clock_stepped", seconds=round(step_seconds, 6))


def _log_failure(log: FilteringBoundLogger, device: Device, error: DeviceError) -> None:
    kind = ErrorKind.of(error)
    if kind.reason not in device.told_reasons:
        device.told_reasons.add(kind.reason)
        fields = {"reason": kind.reason, "error": str(error)}
        log.warning("device.failed", **fields | ({"code": kind.code} if kind.code else {}))


def _log_recovery(log: FilteringBoundLogger, device: Device, outcome: Outcome) -> None:
    if device.state.down_since_unix is not None:
        down_seconds = round(outcome.started_unix - device.state.down_since_unix, 3)
        log.info("device.recovered", down_seconds=down_seconds)
        device.told_reasons.clear()


def _log_left_out(log: FilteringBoundLogger, device: Device, reading: Reading) -> None:
    for name, problem in reading.invalid_fields:
        if name not in device.told_fields:
            device.told_fields.add(name)
            log.warning("device.field_left_out", field=name, problem=problem)
