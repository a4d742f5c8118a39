"""The result for one device, derived from its responses. Pure."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from exporter.config import Expect
from exporter.configure.plan import (
    Difference,
    Plan,
    differences_left,
    is_same_configuration,
    make_plan,
)
from exporter.vapix.errors import ApiError, DeviceError, Forbidden, Unauthorized, Unsupported
from exporter.vapix.ntp_configuration import NtpClientConfiguration, present_configuration
from exporter.vapix.ntp_info import NtpClientReading, Reading


class ChangeStatus(StrEnum):
    """The result for a device in a word, as in JSON and the audit log."""

    NOTHING_EXPECTED = "nothing_expected"
    ALREADY_RIGHT = "already_right"
    DIFFERENT = "different"
    SET = "set"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    READ_BACK_DIFFERENT = "read_back_different"
    NOT_STARTED = "not_started"
    UNCERTAIN = "uncertain"


RIGHT: Final = {ChangeStatus.NOTHING_EXPECTED, ChangeStatus.ALREADY_RIGHT, ChangeStatus.SET}
"""Results that need no further action."""

TOUCHED: Final = {ChangeStatus.SET, ChangeStatus.READ_BACK_DIFFERENT, ChangeStatus.UNCERTAIN}
"""Results of devices that were changed, or may have been."""

_REFUSALS: Final = (ApiError, Forbidden, Unauthorized, Unsupported)
"""The device refused the request; after other errors it may have received it."""

_INTERNAL_ERROR: Final = 1000
"""The API error (reference, "General error codes") that can occur during the change."""


@dataclass(frozen=True, slots=True)
class ChangeResult:
    """The status of a device, and the reason in a sentence.

    `plan` is set once the device was read. `read_back` is its configuration after the change, and
    `remaining` what still differed then. `error` is why the request failed.
    """

    status: ChangeStatus
    reason: str | None = None
    plan: Plan | None = None
    remaining: tuple[Difference, ...] = ()
    read_back: NtpClientConfiguration | None = None
    error: DeviceError | None = None


def result_of_first_read(expect: Expect, answer: Reading | DeviceError) -> ChangeResult:
    """Return the result of reading a device before any change."""
    if isinstance(answer, DeviceError):
        refused = isinstance(answer, _REFUSALS)
        status = ChangeStatus.REFUSED if refused else ChangeStatus.UNREACHABLE
        return ChangeResult(status, str(answer), error=answer)
    plan = make_plan(expect, answer)
    if plan.problems:
        return ChangeResult(ChangeStatus.REFUSED, f"not sent: {'; '.join(plan.problems)}", plan)
    status = ChangeStatus.DIFFERENT if plan.differences else ChangeStatus.ALREADY_RIGHT
    return ChangeResult(status, None, plan)


def result_of_second_read(shown: Plan, fresh: ChangeResult) -> ChangeResult:
    """Return the result of reading a device again right before its change.

    Refuses the change if the configuration is not the one that was shown to the user.
    """
    plan = fresh.plan
    if plan is None or not plan.differences or is_same_configuration(plan.before, shown.before):
        return fresh
    reason = "not sent: the configuration has changed since it was read; run the command again"
    return ChangeResult(ChangeStatus.REFUSED, reason, plan)


def result_of_change(
    plan: Plan, error: DeviceError | None, back: Reading | DeviceError
) -> ChangeResult:
    """Return the result of a change.

    `error` is why the request failed (`None`: accepted), `back` what was read back.
    """
    response = "the device accepted the change" if error is None else f"the request failed: {error}"
    if isinstance(back, DeviceError):
        if isinstance(error, _REFUSALS) and error.code != _INTERNAL_ERROR:
            return ChangeResult(ChangeStatus.REFUSED, str(error), plan, error=error)
        reason = f"{response}; reading back failed: {back}"
        return ChangeResult(ChangeStatus.UNCERTAIN, reason, plan, error=error or back)
    found = present_configuration((back.client or NtpClientReading()).settings)
    remaining = differences_left(plan, back.client)
    if not remaining:
        note = None if error is None else f"{response}; but the settings are as expected"
        return ChangeResult(ChangeStatus.SET, note, plan, read_back=found)
    unchanged = is_same_configuration(found, plan.before)
    if isinstance(error, _REFUSALS):
        reason = str(error) if unchanged else f"{error}; but the settings have changed"
        return ChangeResult(ChangeStatus.REFUSED, reason, plan, remaining, found, error)
    effect = "did not change" if unchanged else "are neither the old nor the expected ones"
    reason = f"{response}; the settings {effect}"
    return ChangeResult(ChangeStatus.READ_BACK_DIFFERENT, reason, plan, remaining, found, error)
