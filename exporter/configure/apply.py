"""Reading devices and changing them: one at a time here, many at once elsewhere."""

from __future__ import annotations

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
from exporter.system.signals import unless
from exporter.vapix.errors import DeviceError
from exporter.vapix.ntp_configuration import set_configuration
from exporter.vapix.ntp_info import Reading

LOOK_AGAIN_AFTER_SECONDS: Final = (1.0, 3.0)
"""A device that reads back different is read again, so long after: it may have been too early."""

_NOTHING_EXPECTED: Final = ChangeResult(
    ChangeStatus.NOTHING_EXPECTED, "the config has no `expect` for it"
)
_NOT_READ: Final = ChangeResult(ChangeStatus.NOT_STARTED, "it was not read")
_AS_IT_WAS: Final = "nothing was sent that changes it: it is as it was"
_UNDER_WAY: Final = "the change was under way when this ended: old or new is not known"


@dataclass(slots=True)
class DeviceChange:
    """A device and how it stands with it: true at any moment, whenever it is interrupted."""

    device: Device
    finding: ChangeResult = _NOT_READ


async def look(device: Device) -> ChangeResult:
    """Read a device, if anything is expected of it, and compare."""
    expect = device.state.expect
    if not expect.named():
        return _NOTHING_EXPECTED
    return result_of_first_read(expect, await _read(device))


async def compare(case: DeviceChange) -> None:
    """Find out what has to change on a device; changes nothing."""
    case.finding = await look(case.device)


def mark_pending(case: DeviceChange) -> None:
    """From here on the device is as it was until `change` says otherwise."""
    case.finding = replace(case.finding, result=ChangeStatus.NOT_STARTED, reason=_AS_IT_WAS)


async def change(case: DeviceChange, audit: AuditLog | None, stop: asyncio.Event) -> None:
    """Read a device again, set what differed, read it back.

    Once the change is sent, only cancellation ends this before the device was read back; before
    that, `stop` does. Raises `AuditFailed`: then nothing more may be changed.
    """
    shown = case.finding.plan
    fresh = await unless(stop, look(case.device))
    if shown is None or fresh is None or stop.is_set():
        return
    checked = result_of_second_read(shown, fresh)
    if checked.result is not ChangeStatus.DIFFERENT:
        case.finding = replace(checked, plan=checked.plan or shown)
        return
    if audit is not None:
        await audit.append("intended", case.device.target, shown.before, shown.after)
    case.finding = replace(checked, result=ChangeStatus.UNCERTAIN, reason=_UNDER_WAY)
    case.finding = await _changed(case.device, shown)
    if audit is not None:
        await _note_outcome(case, audit, shown)


async def _changed(device: Device, plan: Plan) -> ChangeResult:
    error = await _set(device, plan)
    # Whatever it answered: only what is read back tells what it is now.
    finding = await _read_back(device, plan, error)
    for seconds in LOOK_AGAIN_AFTER_SECONDS:
        if finding.result is not ChangeStatus.READ_BACK_DIFFERENT:
            break
        await asyncio.sleep(seconds)
        finding = await _read_back(device, plan, error)
    return finding


async def _set(device: Device, plan: Plan) -> DeviceError | None:
    timeout_seconds = device.target.timeout_seconds
    try:
        await set_configuration(device.client, plan.after, plan.current, timeout_seconds)
    except DeviceError as error:
        return error
    return None


async def _read(device: Device) -> Reading | DeviceError:
    try:
        return (await device.client.get_info(device.target.timeout_seconds)).value
    except DeviceError as error:
        return error


async def _read_back(device: Device, plan: Plan, error: DeviceError | None) -> ChangeResult:
    return result_of_change(plan, error, await _read(device))


async def _note_outcome(case: DeviceChange, audit: AuditLog, plan: Plan) -> None:
    finding = case.finding
    await audit.append(
        "outcome",
        case.device.target,
        plan.before,
        finding.found,
        result=finding.result.value,
        reason=finding.reason,
    )
