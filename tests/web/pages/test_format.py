"""Numbers, times and states as a person reads them."""

import pytest

from exporter.clock.offset import Offset
from exporter.devices.health import diagnose
from exporter.devices.state import DeviceState
from exporter.vapix.errors import Unauthorized
from exporter.vapix.reading import NtpClientReading
from exporter.web.pages import format as wording
from tests.web.pages.site import SYNCED, device, polled

ADVANCED = Offset(3.0, 0.001)


def words(state: DeviceState, offset: Offset | None = None) -> tuple[str, str]:
    found = diagnose(state, offset)
    return wording.level_of(state, found), wording.in_words(state, found)


def test_a_device_that_was_never_polled_waits() -> None:
    assert words(DeviceState()) == ("waiting", "not polled yet")


def test_a_device_without_trouble_is_synchronized() -> None:
    assert words(polled(device("a")).state) == ("good", "synchronized")


def test_what_is_wrong_beside_synchronization_is_told_after_it() -> None:
    said = words(polled(device("a")).state, ADVANCED)
    assert said == ("warning", "synchronized, but its clock is off")


def test_several_troubles_are_told_and_the_gravest_counts() -> None:
    state = polled(device("a"), Unauthorized("x", 401)).state
    assert words(state, ADVANCED) == ("bad", "unauthorized 401, its clock is off")


@pytest.mark.parametrize("client", [NtpClientReading(synced=True), SYNCED._replace(enabled=False)])
def test_a_client_that_is_not_enabled_is_not_called_synchronized(client: NtpClientReading) -> None:
    state = polled(device("a"), client).state
    assert words(state)[1].startswith("NTP client d")


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
def test_what_something_took_has_three_digits(seconds: float | None, text: str) -> None:
    assert wording.format_took(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5.0, "0s ago"),
        (12.4, "12s ago"),
        (3725.0, "1h2m ago"),
        (3 * 86_400 + 7300.0, "3d2h ago"),
        (10_000 * 86_400.0, "10,000d ago"),
    ],
)
def test_what_is_long_ago_is_told_roughly(seconds: float, text: str) -> None:
    assert wording.format_ago(seconds) == text


@pytest.mark.parametrize(("seconds", "text"), [(-3.0, "now"), (0.4, "now"), (12.0, "in 12s")])
def test_a_poll_that_is_due_is_now(seconds: float, text: str) -> None:
    assert wording.format_ahead(seconds) == text
