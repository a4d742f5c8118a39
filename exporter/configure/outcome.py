"""How it stands with one device, and what follows from its answers. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from exporter.config import Expect
from exporter.configure.plan import (
    Difference,
    Plan,
    alike,
    differences_left,
    make_plan,
)
from exporter.vapix.errors import (
    ApiError,
    DeviceError,
    Forbidden,
    Unauthorized,
    Unsupported,
)
from exporter.vapix.ntp_configuration import NtpClientConfiguration, present_configuration
from exporter.vapix.ntp_info import NtpClientReading, Reading


class ChangeStatus(StrEnum):
    """In a word, how it stands with a device."""

    NOTHING_EXPECTED = "nothing_expected"
    ALREADY_RIGHT = "already_right"
    DIFFERENT = "different"
    SET = "set"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    READ_BACK_DIFFERENT = "read_back_different"
    NOT_STARTED = "not_started"
    UNCERTAIN = "uncertain"


RIGHT: Final = frozenset(
    {ChangeStatus.NOTHING_EXPECTED, ChangeStatus.ALREADY_RIGHT, ChangeStatus.SET}
)
"""The results of a device that leaves nothing to be done."""

_REFUSALS: Final = (ApiError, Forbidden, Unauthorized, Unsupported)
"""Errors with which a device says no; after the others nobody knows what it has heard."""

_INTERNAL_ERROR: Final = 1000
"""The one error of the API (reference, "General error codes") that may come halfway."""


@dataclass(frozen=True, slots=True)
class ChangeResult:
    """How it stands with a device, and why, in a sentence.

    `plan` once it was read; `left` is what was still different when it was read back as `found`;
    `error` what the device's answer failed with.
    """

    result: ChangeStatus
    reason: str | None = None
    plan: Plan | None = None
    left: tuple[Difference, ...] = ()
    found: NtpClientConfiguration | None = None
    error: DeviceError | None = None


def result_of_first_read(expect: Expect, answer: Reading | DeviceError) -> ChangeResult:
    """What follows from reading a device; nothing has been sent that changes it."""
    if isinstance(answer, DeviceError):
        said_no = isinstance(answer, _REFUSALS)
        result = ChangeStatus.REFUSED if said_no else ChangeStatus.UNREACHABLE
        return ChangeResult(result, str(answer), error=answer)
    plan = make_plan(expect, answer)
    if plan.problems:
        return ChangeResult(ChangeStatus.REFUSED, f"not sent: {'; '.join(plan.problems)}", plan)
    return ChangeResult(
        ChangeStatus.DIFFERENT if plan.differences else ChangeStatus.ALREADY_RIGHT, None, plan
    )


def result_of_second_read(shown: Plan, fresh: ChangeResult) -> ChangeResult:
    """What follows from reading a device once more before it is changed.

    Only the change that was shown is made: not one of a device that is another by now.
    """
    plan = fresh.plan
    if plan is None or not plan.differences or alike(plan.before, shown.before):
        return fresh
    reason = "not sent: its configuration has changed since it was first read; run again"
    return ChangeResult(ChangeStatus.REFUSED, reason, plan)


def result_of_change(
    plan: Plan, error: DeviceError | None, back: Reading | DeviceError
) -> ChangeResult:
    """What follows from a change: how its request ended (`None`: well), and what was read back."""
    if isinstance(back, DeviceError):
        return _unseen(plan, error, back)
    found = present_configuration((back.client or NtpClientReading()).settings)
    unmoved = alike(found, plan.before)
    left = differences_left(plan, back.client)
    if not left:
        reason = None if error is None else f"it reads back right, though asking ended in: {error}"
        return ChangeResult(ChangeStatus.SET, reason, plan, found=found)
    if isinstance(error, _REFUSALS):
        moved = "" if unmoved else "; it is no longer as it was, though"
        return ChangeResult(ChangeStatus.REFUSED, f"{error}{moved}", plan, left, found, error)
    asked = "it accepted the change" if error is None else f"asking ended in: {error}"
    made = "it is as it was" if unmoved else "it is neither as it was nor as wanted"
    return ChangeResult(
        ChangeStatus.READ_BACK_DIFFERENT, f"{asked}; {made}", plan, left, found, error
    )


def _unseen(plan: Plan, error: DeviceError | None, back: DeviceError) -> ChangeResult:
    if error is not None and _was_not_carried_out(error):
        return ChangeResult(ChangeStatus.REFUSED, str(error), plan, error=error)
    asked = "it accepted the change" if error is None else f"asking ended in: {error}"
    reason = f"{asked}; it could not be read back: {back}"
    return ChangeResult(ChangeStatus.UNCERTAIN, reason, plan, error=error or back)


def _was_not_carried_out(error: DeviceError) -> bool:
    return isinstance(error, _REFUSALS) and error.code != _INTERNAL_ERROR
