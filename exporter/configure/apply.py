"""Read and change one device; commands run many of these at once."""

import asyncio
from dataclasses import dataclass, replace
from typing import Final

from exporter.configure.audit import AuditLog
from exporter.configure.outcome import (
    ChangeResult,
    ChangeStatus,
    result_of_change,
    result_of_first_read,
    result_of_second_read,
)
from exporter.configure.plan import Plan
from exporter.devices.device import Device
from exporter.system.signals import run_unless
from exporter.vapix.errors import DeviceError
from exporter.vapix.ntp_configuration import set_configuration
from exporter.vapix.ntp_info import Reading

READ_AGAIN_AFTER_SECONDS: Final = (1.0, 3.0)
"""Waits before reading back again: some devices confirm a change before they report it."""

_NOT_READ: Final = ChangeResult(ChangeStatus.NOT_STARTED, "the device was not read")
_UNCHANGED: Final = "no change was sent: the device has its old settings"
_IN_PROGRESS: Final = "interrupted during the change: the device has its old or its new settings"


@dataclass(slots=True)
class DeviceChange:
    """A device and its result so far, which is correct whenever the run is interrupted."""

    device: Device
    result: ChangeResult = _NOT_READ


async def compare(change: DeviceChange) -> None:
    """Read a device and find out what differs; changes nothing."""
    change.result = await _compare(change.device)


async def _compare(device: Device) -> ChangeResult:
    expect = device.state.expect
    if not expect.named():
        return ChangeResult(ChangeStatus.NOTHING_EXPECTED, "no `expect` configured")
    return result_of_first_read(expect, await _read(device))


def mark_pending(change: DeviceChange) -> None:
    """Mark a device as not changed yet; `apply_change` replaces that."""
    change.result = replace(change.result, status=ChangeStatus.NOT_STARTED, reason=_UNCHANGED)


async def apply_change(change: DeviceChange, audit: AuditLog | None, stop: asyncio.Event) -> None:
    """Read a device again, set what differed, and read it back.

    `stop` ends this until the change is sent, from then on only cancellation does. Raises
    `AuditFailed`: nothing more may be changed.
    """
    shown = change.result.plan
    fresh = await run_unless(stop, _compare(change.device))
    if shown is None or fresh is None or stop.is_set():
        return
    result = result_of_second_read(shown, fresh)
    if result.status is not ChangeStatus.DIFFERENT:
        change.result = replace(result, plan=result.plan or shown)
        return
    target = change.device.target
    if audit is not None:
        await audit.append("intended", target, shown.before, shown.after)
    change.result = replace(result, status=ChangeStatus.UNCERTAIN, reason=_IN_PROGRESS)
    change.result = result = await _set(change.device, shown)
    if audit is not None:
        outcome = {"result": result.status.value, "reason": result.reason}
        await audit.append("outcome", target, shown.before, result.read_back, **outcome)


async def _set(device: Device, plan: Plan) -> ChangeResult:
    error: DeviceError | None = None
    timeout_seconds = device.target.timeout_seconds
    try:
        await set_configuration(device.client, plan.after, plan.current, timeout_seconds)
    except DeviceError as failure:
        error = failure
    # Read back in any case: the response does not prove which settings the device has now.
    result = result_of_change(plan, error, await _read(device))
    for seconds in READ_AGAIN_AFTER_SECONDS:
        if result.status is not ChangeStatus.READ_BACK_DIFFERENT:
            break
        await asyncio.sleep(seconds)
        result = result_of_change(plan, error, await _read(device))
    return result


async def _read(device: Device) -> Reading | DeviceError:
    try:
        return (await device.client.get_info(device.target.timeout_seconds)).value
    except DeviceError as error:
        return error
