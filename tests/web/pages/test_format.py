"""Numbers, times and states as text for people."""

import pytest

from exporter.clock.offset import Offset
from exporter.config import Thresholds
from exporter.devices.health import diagnose, level_of
from exporter.devices.state import DeviceState
from exporter.vapix.errors import Unauthorized
from exporter.vapix.ntp_info import NtpClientReading
from exporter.web.pages.format import (
    describe_state,
    format_ago,
    format_ahead,
    format_elapsed,
    format_span,
)
from tests.support.devices import NOW
from tests.support.readings import ntp_client, replace_fields
from tests.web.pages.site import SYNCED, device, polled

ADVANCED = Offset(3.0, 0.001)


def described(state: DeviceState, offset: Offset | None = None) -> tuple[str, str]:
    issues = diagnose(state, offset, NOW, Thresholds())
    return level_of(state, issues), describe_state(state, issues)


def test_a_device_that_was_never_polled_is_waiting() -> None:
    assert described(DeviceState()) == ("waiting", "not polled yet")


def test_a_device_without_problems_is_synchronized() -> None:
    assert described(polled(device("a")).state) == ("good", "synchronized")


def test_problems_of_a_synchronized_device_follow_after_synchronized() -> None:
    found = described(polled(device("a")).state, ADVANCED)
    assert found == ("bad", "synchronized, but its clock is 3.0 s ahead")


@pytest.mark.parametrize(("seconds", "level"), [(2.0, "warning"), (-2.1, "bad")])
def test_a_clock_is_red_beyond_the_critical_threshold(seconds: float, level: str) -> None:
    assert described(polled(device("a")).state, Offset(seconds, 0.001))[0] == level


def test_a_device_is_called_synchronized_once() -> None:
    stalled = polled(device("a"), ago=90_000)
    text = described(polled(stalled).state)[1]
    assert text.startswith("synchronized, but the reported offset has not changed since")
    assert text.count("synchronized") == 1


def test_all_problems_are_listed_and_the_most_severe_decides() -> None:
    state = polled(device("a"), Unauthorized("x", 401)).state
    assert described(state, ADVANCED) == ("bad", "unauthorized 401, its clock is 3.0 s ahead")


@pytest.mark.parametrize("client", [ntp_client(synced=True), replace_fields(SYNCED, enabled=False)])
def test_a_client_that_is_not_enabled_is_not_called_synchronized(client: NtpClientReading) -> None:
    state = polled(device("a"), client).state
    assert described(state)[1].startswith("NTP client d")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, ""),
        (0.0, "0.00 ms"),
        (0.00123, "1.23 ms"),
        (0.0123, "12.3 ms"),
        (0.123, "123 ms"),
        (0.9996, "1.00 s"),
        (10.0, "10.0 s"),
        (120.0, "120 s"),
    ],
)
def test_an_elapsed_time_has_three_digits(seconds: float | None, text: str) -> None:
    assert format_elapsed(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0 s"),
        (0.25, "250 ms"),
        (1.5, "1.5 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min"),
        (90.0, "1 min 30 s"),
        (1024.0, "17 min 4 s"),
        (187_200.0, "2 d 4 h"),
    ],
)
def test_a_duration_is_one_number_up_to_a_minute(seconds: float, text: str) -> None:
    assert format_span(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5.0, "0 s ago"),
        (12.4, "12 s ago"),
        (3725.0, "1 h 2 min ago"),
        (3 * 86_400 + 7300.0, "3 d 2 h ago"),
        (10_000 * 86_400.0, "10,000 d ago"),
    ],
)
def test_a_long_time_ago_is_rounded(seconds: float, text: str) -> None:
    assert format_ago(seconds) == text


@pytest.mark.parametrize(("seconds", "text"), [(-3.0, "now"), (0.4, "now"), (12.0, "in 12 s")])
def test_a_poll_that_is_due_is_now(seconds: float, text: str) -> None:
    assert format_ahead(seconds) == text
