"""Which parameters deviate from what is expected."""

from typing import Any

import pytest

from exporter.config import Expect
from exporter.vapix.ntp_info import NtpClientReading
from tests.support.readings import ntp_client

CLIENT = ntp_client(
    enabled=True,
    nts_enabled=False,
    servers_source="static",
    static_servers=("10.0.0.1", "ntp.Example"),
    nts_ke_servers=(),
    minpoll=6,
    maxpoll=10,
)


def deviating(client: NtpClientReading | None = CLIENT, **expected: Any) -> tuple[str, ...]:
    return Expect.model_validate(expected).find_mismatches(client)


@pytest.mark.parametrize(
    ("parameter", "right", "wrong"),
    [
        ("enabled", True, False),
        ("nts_enabled", False, True),
        ("servers_source", "static", "dhcp"),
        ("servers_source", "STATIC", "DHCP"),
        ("static_servers", ["10.0.0.1", "ntp.example"], ["10.0.0.1"]),
        ("static_servers", ["NTP.EXAMPLE", "10.0.0.1"], ["10.0.0.1", "ntp.example", "x"]),
        ("nts_ke_servers", [], ["nts.example"]),
        ("minpoll", 6, 7),
        ("maxpoll", 10, 9),
    ],
)
def test_a_parameter_deviates_if_it_is_not_as_expected(
    parameter: str, right: object, wrong: object
) -> None:
    assert Expect.model_validate({parameter: right}).find_mismatches(CLIENT) == ()
    assert Expect.model_validate({parameter: wrong}).find_mismatches(CLIENT) == (parameter,)


def test_an_order_matters_only_if_it_is_asked_for() -> None:
    swapped = ["ntp.example", "10.0.0.1"]
    assert deviating(static_servers=swapped) == ()
    assert deviating(static_servers={"servers": swapped, "ordered": True}) == ("static_servers",)
    right = {"servers": ["10.0.0.1", "ntp.example"], "ordered": True}
    assert deviating(static_servers=right) == ()


@pytest.mark.parametrize(
    ("expected", "reported"),
    [
        ("2001:0db8::1", "2001:db8:0::1"),
        ("2001:DB8::1", "2001:db8::1"),
        ("::ffff:c000:0207", "::ffff:192.0.2.7"),
        ("fe80:0::1%eth0", "FE80::1%eth0"),
        ("ntp.example.com.", "ntp.example.com"),
        ("ntp.example.com", "NTP.example.com."),
    ],
)
def test_servers_are_compared_as_servers_and_not_as_texts(expected: str, reported: str) -> None:
    client = ntp_client(static_servers=(reported, "10.0.0.1"))
    assert deviating(client, static_servers=[expected, "10.0.0.1"]) == ()
    both = {"servers": [expected, "10.0.0.1", reported], "ordered": True}
    assert deviating(client, static_servers=both) == ()
    assert deviating(client, static_servers=["10.0.0.1"]) == ("static_servers",)


@pytest.mark.parametrize(
    ("expected", "reported"),
    [
        ("2001:db8::1", "2001:db8::2"),
        ("fe80::1%eth0", "fe80::1%eth1"),
        ("a..", "a"),
        ("10.0.0.1", "::ffff:10.0.0.1"),
    ],
)
def test_servers_that_differ_deviate(expected: str, reported: str) -> None:
    client = ntp_client(static_servers=(reported,))
    assert deviating(client, static_servers=[expected]) == ("static_servers",)


def test_what_is_not_expected_may_be_as_it_is() -> None:
    assert deviating() == ()


def test_what_is_expected_and_not_reported_deviates() -> None:
    silent = ntp_client(enabled=True)
    assert deviating(silent, enabled=True, nts_enabled=False, static_servers=[]) == (
        "nts_enabled",
        "static_servers",
    )
    assert deviating(None, enabled=True, minpoll=6) == ("enabled", "minpoll")


def test_an_expectation_is_laid_over_another_key_by_key() -> None:
    module = Expect.model_validate({"enabled": True, "minpoll": 6, "static_servers": ["a"]})
    device = Expect.model_validate({"minpoll": 4, "static_servers": ["b"]})
    both = device.laid_over(module)
    assert (both.enabled, both.minpoll, both.static_servers) == (True, 4, device.static_servers)
