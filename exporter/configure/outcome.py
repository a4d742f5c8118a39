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
from exporter.vapix.reading import NtpClientReading, Reading


class Result(StrEnum):
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


RIGHT: Final = frozenset({Result.NOTHING_EXPECTED, Result.ALREADY_RIGHT, Result.SET})
"""The results of a device that leaves nothing to be done."""

_REFUSALS: Final = (ApiError, Forbidden, Unauthorized, Unsupported)
"""Errors with which a device says no; after the others nobody knows what it has heard."""

_INTERNAL_ERROR: Final = 1000
"""The one error of the API (reference, "General error codes") that may come halfway."""


@dataclass(frozen=True, slots=True)
class Finding:
    """How it stands with a device, and why, in a sentence.

    `plan` once it was read; `left` is what was still different when it was read back as `found`;
    `error` what the device's answer failed with.
    """

    result: Result
    reason: str | None = None
    plan: Plan | None = None
    left: tuple[Difference, ...] = ()
    found: NtpClientConfiguration | None = None
    error: DeviceError | None = None


def first_finding(expect: Expect, answer: Reading | DeviceError) -> Finding:
    """What follows from reading a device; nothing has been sent that changes it."""
    if isinstance(answer, DeviceError):
        said_no = isinstance(answer, _REFUSALS)
        result = Result.REFUSED if said_no else Result.UNREACHABLE
        return Finding(result, str(answer), error=answer)
    plan = make_plan(expect, answer)
    if plan.problems:
        return Finding(Result.REFUSED, f"not sent: {'; '.join(plan.problems)}", plan)
    return Finding(Result.DIFFERENT if plan.differences else Result.ALREADY_RIGHT, None, plan)


def second_finding(shown: Plan, fresh: Finding) -> Finding:
    """What follows from reading a device once more before it is changed.

    Only the change that was shown is made: not one of a device that is another by now.
    """
    plan = fresh.plan
    if plan is None or not plan.differences or alike(plan.before, shown.before):
        return fresh
    reason = "not sent: its configuration has changed since it was first read; run again"
    return Finding(Result.REFUSED, reason, plan)


def final_finding(plan: Plan, error: DeviceError | None, back: Reading | DeviceError) -> Finding:
    """What follows from a change: how its request ended (`None`: well), and what was read back."""
    if isinstance(back, DeviceError):
        return _unseen(plan, error, back)
    found = present_configuration(back.client or NtpClientReading())
    unmoved = alike(found, plan.before)
    left = differences_left(plan, back.client)
    if not left:
        reason = None if error is None else f"it reads back right, though asking ended in: {error}"
        return Finding(Result.SET, reason, plan, found=found)
    if isinstance(error, _REFUSALS):
        moved = "" if unmoved else "; it is no longer as it was, though"
        return Finding(Result.REFUSED, f"{error}{moved}", plan, left, found, error)
    asked = "it accepted the change" if error is None else f"asking ended in: {error}"
    made = "it is as it was" if unmoved else "it is neither as it was nor as wanted"
    return Finding(Result.READ_BACK_DIFFERENT, f"{asked}; {made}", plan, left, found, error)


def _unseen(plan: Plan, error: DeviceError | None, back: DeviceError) -> Finding:
    if error is not None and _was_not_carried_out(error):
        return Finding(Result.REFUSED, str(error), plan, error=error)
    asked = "it accepted the change" if error is None else f"asking ended in: {error}"
    reason = f"{asked}; it could not be read back: {back}"
    return Finding(Result.UNCERTAIN, reason, plan, error=error or back)


def _was_not_carried_out(error: DeviceError) -> bool:
    return isinstance(error, _REFUSALS) and error.code != _INTERNAL_ERROR
