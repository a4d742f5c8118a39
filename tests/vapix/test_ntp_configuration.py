"""Configurations: what is refused before sending, and what is sent."""

import pytest

from exporter.vapix.ntp import NtpAnswer
from exporter.vapix.ntp_configuration import (
    InvalidConfiguration,
    NtpClientConfiguration,
    check,
    encode_params,
    present_configuration,
    unreadable_parameters,
)
from exporter.vapix.ntp_info import NtpSettings, decode_info

CURRENT = NtpSettings(static_servers_max=2, minpoll=6, maxpoll=10)


def test_every_parameter_is_sent_as_the_reference_spells_it() -> None:
    wanted = NtpClientConfiguration(
        enabled=True,
        nts_enabled=False,
        servers_source="dhcp",
        static_servers=("a", "b"),
        nts_ke_servers=(),
        nts_ke_ca_certs=("ca",),
        minpoll=4,
        maxpoll=8,
    )
    assert encode_params(wanted) == {
        "enabled": True,
        "NTSEnabled": False,
        "serversSource": "DHCP",
        "staticServers": ("a", "b"),
        "staticNTSKEServers": (),
        "NTSKEServerCACerts": ("ca",),
        "minpoll": 4,
        "maxpoll": 8,
    }


def test_a_parameter_that_is_none_is_not_sent() -> None:
    assert encode_params(NtpClientConfiguration(enabled=False)) == {"enabled": False}


@pytest.mark.parametrize(
    ("wanted", "problem"),
    [
        (NtpClientConfiguration(minpoll=-1), "minpoll: -1 is not within 0 to 24"),
        (NtpClientConfiguration(maxpoll=25), "maxpoll: 25 is not within 0 to 24"),
        (NtpClientConfiguration(minpoll=9, maxpoll=8), "minpoll: 9 exceeds maxpoll 8"),
        (NtpClientConfiguration(minpoll=11), "minpoll: 11 exceeds maxpoll 10"),
        (NtpClientConfiguration(maxpoll=5), "minpoll: 6 exceeds maxpoll 5"),
        (
            NtpClientConfiguration(static_servers=("a", "b", "c")),
            "static_servers: 3 servers, but the device supports 2",
        ),
        (
            NtpClientConfiguration(nts_ke_servers=("a", "b", "c")),
            "nts_ke_servers: 3 servers, but the device supports 2",
        ),
        (
            NtpClientConfiguration(static_servers=("a", " ")),
            "static_servers: a server's name is empty",
        ),
        (
            NtpClientConfiguration(servers_source="gps"),
            "servers_source: 'gps' is neither static nor dhcp",
        ),
    ],
)
def test_what_the_device_would_refuse_is_refused_before_sending(
    wanted: NtpClientConfiguration, problem: str
) -> None:
    with pytest.raises(InvalidConfiguration) as caught:
        check(wanted, CURRENT)
    assert caught.value.problems == (problem,)


def test_all_problems_are_reported_at_once() -> None:
    wanted = NtpClientConfiguration(servers_source="x", minpoll=25, maxpoll=-1)
    with pytest.raises(InvalidConfiguration) as caught:
        check(wanted, CURRENT)
    assert len(caught.value.problems) == 4


@pytest.mark.parametrize(
    "wanted",
    [
        NtpClientConfiguration(),
        NtpClientConfiguration(minpoll=0, maxpoll=24),
        NtpClientConfiguration(servers_source="Static", static_servers=("a", "b")),
        NtpClientConfiguration(static_servers=()),
    ],
)
def test_a_valid_configuration_passes_the_check(wanted: NtpClientConfiguration) -> None:
    check(wanted, CURRENT)


def test_unknown_limits_are_not_checked() -> None:
    check(NtpClientConfiguration(static_servers=("a",) * 9, minpoll=24), NtpSettings())


SECTION = {
    "enabled": True,
    "NTSEnabled": False,
    "serversSource": "DHCP",
    "staticServers": ["a", "b"],
    "staticNTSKEServers": [],
    "NTSKEServerCACerts": ["ca"],
    "minpoll": 4,
    "maxpoll": 8,
}


def test_a_reported_configuration_is_sent_back_unchanged() -> None:
    reading = decode_info(NtpAnswer("1.5", {"client": SECTION}))
    assert reading.client is not None
    sent = encode_params(present_configuration(reading.client.settings))
    assert {name: list(v) if isinstance(v, tuple) else v for name, v in sent.items()} == SECTION


def test_a_parameter_that_the_device_does_not_report_is_not_sent() -> None:
    assert encode_params(present_configuration(NtpSettings(enabled=False))) == {"enabled": False}


@pytest.mark.parametrize(
    ("spelled", "parameter", "value"),
    [
        ("NTSEnabled", "nts_enabled", "maybe"),
        ("staticServers", "static_servers", ["a\n"]),
        ("minpoll", "minpoll", 99),
    ],
)
def test_an_invalid_reported_value_is_listed_under_our_name_of_the_parameter(
    spelled: str, parameter: str, value: object
) -> None:
    section = {**SECTION, spelled: value, "timeOffset": "invalid, but not a parameter"}
    reading = decode_info(NtpAnswer("1.5", {"client": section}))
    assert list(unreadable_parameters(reading)) == [parameter]
