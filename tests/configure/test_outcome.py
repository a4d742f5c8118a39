"""What is concluded from a device's answers."""

from typing import Any

import pytest

from exporter.config import Expect
from exporter.configure.outcome import (
    ChangeStatus,
    result_of_change,
    result_of_first_read,
    result_of_second_read,
)
from exporter.configure.plan import Plan, make_plan
from exporter.vapix.errors import (
    ConnectFailed,
    DeviceError,
    Disconnected,
    Forbidden,
    InvalidResponse,
    NameNotResolved,
    PollTimeout,
    Unauthorized,
    UnexpectedStatus,
    Unsupported,
    api_error,
)
from exporter.vapix.ntp_info import Reading
from tests.support.readings import ntp_client

EXPECT = Expect.model_validate({"minpoll": 6, "maxpoll": 12})
CLIENT = ntp_client(enabled=True, nts_enabled=False, minpoll=6, maxpoll=10)


def reading(**changed: Any) -> Reading:
    return Reading("1.5", CLIENT._replace(**changed), server_present=False)


BEFORE, AFTER, OTHER = reading(), reading(maxpoll=12), reading(maxpoll=11)


@pytest.fixture
def plan() -> Plan:
    return make_plan(EXPECT, BEFORE)


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        (BEFORE, ChangeStatus.DIFFERENT),
        (AFTER, ChangeStatus.ALREADY_RIGHT),
        (reading(minpoll=None), ChangeStatus.REFUSED),
        (Unauthorized("HTTP 401", 401), ChangeStatus.REFUSED),
        (Unsupported("HTTP 404", 404), ChangeStatus.REFUSED),
        (api_error(1000), ChangeStatus.REFUSED),
        (UnexpectedStatus("HTTP 503", 503), ChangeStatus.UNREACHABLE),
        (NameNotResolved("no"), ChangeStatus.UNREACHABLE),
        (ConnectFailed("no"), ChangeStatus.UNREACHABLE),
        (PollTimeout("no"), ChangeStatus.UNREACHABLE),
        (Disconnected("no"), ChangeStatus.UNREACHABLE),
        (InvalidResponse("no"), ChangeStatus.UNREACHABLE),
    ],
)
def test_what_is_read_decides_what_is_to_be_done(
    answer: Reading | DeviceError, result: ChangeStatus
) -> None:
    assert result_of_first_read(EXPECT, answer).result is result


def test_what_must_not_be_sent_is_told_with_every_reason() -> None:
    finding = result_of_first_read(EXPECT, reading(minpoll=None, maxpoll=None))
    assert finding.reason == (
        "not sent: minpoll: the device does not report it, so it does not know it; "
        "maxpoll: the device does not report it, so it does not know it"
    )


def test_only_the_change_that_was_shown_is_made(plan: Plan) -> None:
    fresh = result_of_first_read(EXPECT, BEFORE)
    assert result_of_second_read(plan, fresh) is fresh
    other = result_of_second_read(plan, result_of_first_read(EXPECT, OTHER))
    assert other.result is ChangeStatus.REFUSED
    assert other.reason == (
        "not sent: its configuration has changed since it was first read; run again"
    )
    unreported = result_of_first_read(EXPECT, reading(enabled=None))
    assert result_of_second_read(plan, unreported).result is ChangeStatus.REFUSED
    elsewhere = result_of_first_read(EXPECT, reading(enabled=False))
    assert result_of_second_read(plan, elsewhere).result is ChangeStatus.REFUSED


def test_servers_in_another_order_are_no_other_configuration() -> None:
    listed, reordered = reading(static_servers=("a", "b")), reading(static_servers=("B", "a"))
    fresh = result_of_first_read(EXPECT, reordered)
    assert result_of_second_read(make_plan(EXPECT, listed), fresh) is fresh


def test_whoever_was_put_right_meanwhile_is_right(plan: Plan) -> None:
    assert (
        result_of_second_read(plan, result_of_first_read(EXPECT, AFTER)).result
        is ChangeStatus.ALREADY_RIGHT
    )


REFUSAL = api_error(4004, None, 8)
LOST = Disconnected("closed")
LATE = PollTimeout("late")
HTTP_500 = api_error(1000)


@pytest.mark.parametrize(
    ("error", "back", "result", "reason"),
    [
        (None, AFTER, ChangeStatus.SET, None),
        (LOST, AFTER, ChangeStatus.SET, "it reads back right, though asking ended in: closed"),
        (
            REFUSAL,
            AFTER,
            ChangeStatus.SET,
            f"it reads back right, though asking ended in: {REFUSAL}",
        ),
        (
            None,
            BEFORE,
            ChangeStatus.READ_BACK_DIFFERENT,
            "it accepted the change; it is as it was",
        ),
        (
            None,
            OTHER,
            ChangeStatus.READ_BACK_DIFFERENT,
            "it accepted the change; it is neither as it was nor as wanted",
        ),
        (
            LATE,
            BEFORE,
            ChangeStatus.READ_BACK_DIFFERENT,
            "asking ended in: late; it is as it was",
        ),
        (REFUSAL, BEFORE, ChangeStatus.REFUSED, str(REFUSAL)),
        (REFUSAL, OTHER, ChangeStatus.REFUSED, f"{REFUSAL}; it is no longer as it was, though"),
        (HTTP_500, BEFORE, ChangeStatus.REFUSED, str(HTTP_500)),
        (
            UnexpectedStatus("HTTP 503", 503),
            BEFORE,
            ChangeStatus.READ_BACK_DIFFERENT,
            "asking ended in: HTTP 503; it is as it was",
        ),
        (
            None,
            LOST,
            ChangeStatus.UNCERTAIN,
            "it accepted the change; it could not be read back: closed",
        ),
        (
            LATE,
            LATE,
            ChangeStatus.UNCERTAIN,
            "asking ended in: late; it could not be read back: late",
        ),
        (
            HTTP_500,
            LOST,
            ChangeStatus.UNCERTAIN,
            f"asking ended in: {HTTP_500}; it could not be read back: closed",
        ),
        (
            UnexpectedStatus("HTTP 502", 502),
            LOST,
            ChangeStatus.UNCERTAIN,
            "asking ended in: HTTP 502; it could not be read back: closed",
        ),
        (Unauthorized("HTTP 401", 401), Unauthorized("x", 401), ChangeStatus.REFUSED, "HTTP 401"),
        (Forbidden("HTTP 403", 403), LOST, ChangeStatus.REFUSED, "HTTP 403"),
        (REFUSAL, LOST, ChangeStatus.REFUSED, str(REFUSAL)),
    ],
)
def test_what_is_read_back_decides_before_what_was_answered(
    plan: Plan,
    error: DeviceError | None,
    back: Reading | DeviceError,
    result: ChangeStatus,
    reason: str | None,
) -> None:
    finding = result_of_change(plan, error, back)
    assert (finding.result, finding.reason) == (result, reason)


def test_what_is_still_different_is_kept_for_the_report(plan: Plan) -> None:
    finding = result_of_change(plan, None, OTHER)
    assert [(each.parameter, each.now, each.wanted) for each in finding.left] == [
        ("maxpoll", 11, 12)
    ]
    assert finding.found is not None
    assert finding.found.maxpoll == 11


def test_a_parameter_that_changed_against_our_will_is_no_success(plan: Plan) -> None:
    back = reading(maxpoll=12, enabled=False)
    assert result_of_change(plan, None, back).result is ChangeStatus.READ_BACK_DIFFERENT
