"""The result for a device, derived from its responses."""

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
from tests.support.readings import ntp_client, replace_fields

EXPECT = Expect.model_validate({"minpoll": 6, "maxpoll": 12})
CLIENT = ntp_client(enabled=True, nts_enabled=False, minpoll=6, maxpoll=10)


def reading(**changed: Any) -> Reading:
    return Reading("1.5", replace_fields(CLIENT, **changed), server_present=False)


BEFORE, AFTER, OTHER = reading(), reading(maxpoll=12), reading(maxpoll=11)


@pytest.fixture
def plan() -> Plan:
    return make_plan(EXPECT, BEFORE)


@pytest.mark.parametrize(
    ("answer", "status"),
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
def test_the_reading_determines_the_result(
    answer: Reading | DeviceError, status: ChangeStatus
) -> None:
    assert result_of_first_read(EXPECT, answer).status is status


def test_every_reason_against_sending_is_reported() -> None:
    result = result_of_first_read(EXPECT, reading(minpoll=None, maxpoll=None))
    assert result.reason == (
        "not sent: minpoll: not supported: the device does not report it; "
        "maxpoll: not supported: the device does not report it"
    )


def test_only_the_change_that_was_shown_is_made(plan: Plan) -> None:
    fresh = result_of_first_read(EXPECT, BEFORE)
    assert result_of_second_read(plan, fresh) is fresh
    other = result_of_second_read(plan, result_of_first_read(EXPECT, OTHER))
    assert other.status is ChangeStatus.REFUSED
    assert other.reason == (
        "not sent: the configuration has changed since it was read; run the command again"
    )
    unreported = result_of_first_read(EXPECT, reading(enabled=None))
    assert result_of_second_read(plan, unreported).status is ChangeStatus.REFUSED
    elsewhere = result_of_first_read(EXPECT, reading(enabled=False))
    assert result_of_second_read(plan, elsewhere).status is ChangeStatus.REFUSED


def test_another_order_of_servers_is_the_same_configuration() -> None:
    listed, reordered = reading(static_servers=("a", "b")), reading(static_servers=("B", "a"))
    fresh = result_of_first_read(EXPECT, reordered)
    assert result_of_second_read(make_plan(EXPECT, listed), fresh) is fresh


def test_a_device_that_complies_meanwhile_is_already_right(plan: Plan) -> None:
    assert (
        result_of_second_read(plan, result_of_first_read(EXPECT, AFTER)).status
        is ChangeStatus.ALREADY_RIGHT
    )


REFUSAL = api_error(4004, None, 8)
LOST = Disconnected("closed")
LATE = PollTimeout("late")
HTTP_500 = api_error(1000)


@pytest.mark.parametrize(
    ("error", "back", "status", "reason"),
    [
        (None, AFTER, ChangeStatus.SET, None),
        (
            LOST,
            AFTER,
            ChangeStatus.SET,
            "the request failed: closed; but the settings are as expected",
        ),
        (
            REFUSAL,
            AFTER,
            ChangeStatus.SET,
            f"the request failed: {REFUSAL}; but the settings are as expected",
        ),
        (
            None,
            BEFORE,
            ChangeStatus.READ_BACK_DIFFERENT,
            "the device accepted the change; the settings did not change",
        ),
        (
            None,
            OTHER,
            ChangeStatus.READ_BACK_DIFFERENT,
            "the device accepted the change; "
            "the settings are neither the old nor the expected ones",
        ),
        (
            LATE,
            BEFORE,
            ChangeStatus.READ_BACK_DIFFERENT,
            "the request failed: late; the settings did not change",
        ),
        (REFUSAL, BEFORE, ChangeStatus.REFUSED, str(REFUSAL)),
        (REFUSAL, OTHER, ChangeStatus.REFUSED, f"{REFUSAL}; but the settings have changed"),
        (HTTP_500, BEFORE, ChangeStatus.REFUSED, str(HTTP_500)),
        (
            UnexpectedStatus("HTTP 503", 503),
            BEFORE,
            ChangeStatus.READ_BACK_DIFFERENT,
            "the request failed: HTTP 503; the settings did not change",
        ),
        (
            None,
            LOST,
            ChangeStatus.UNCERTAIN,
            "the device accepted the change; reading back failed: closed",
        ),
        (
            LATE,
            LATE,
            ChangeStatus.UNCERTAIN,
            "the request failed: late; reading back failed: late",
        ),
        (
            HTTP_500,
            LOST,
            ChangeStatus.UNCERTAIN,
            f"the request failed: {HTTP_500}; reading back failed: closed",
        ),
        (
            UnexpectedStatus("HTTP 502", 502),
            LOST,
            ChangeStatus.UNCERTAIN,
            "the request failed: HTTP 502; reading back failed: closed",
        ),
        (Unauthorized("HTTP 401", 401), Unauthorized("x", 401), ChangeStatus.REFUSED, "HTTP 401"),
        (Forbidden("HTTP 403", 403), LOST, ChangeStatus.REFUSED, "HTTP 403"),
        (REFUSAL, LOST, ChangeStatus.REFUSED, str(REFUSAL)),
    ],
)
def test_the_configuration_read_back_counts_more_than_the_response(
    plan: Plan,
    error: DeviceError | None,
    back: Reading | DeviceError,
    status: ChangeStatus,
    reason: str | None,
) -> None:
    result = result_of_change(plan, error, back)
    assert (result.status, result.reason) == (status, reason)


def test_remaining_differences_are_kept_for_the_report(plan: Plan) -> None:
    result = result_of_change(plan, None, OTHER)
    assert [(each.parameter, each.now, each.wanted) for each in result.remaining] == [
        ("maxpoll", 11, 12)
    ]
    assert result.read_back is not None
    assert result.read_back.maxpoll == 11


def test_an_unintended_change_of_another_parameter_is_not_a_success(plan: Plan) -> None:
    back = reading(maxpoll=12, enabled=False)
    assert result_of_change(plan, None, back).status is ChangeStatus.READ_BACK_DIFFERENT
