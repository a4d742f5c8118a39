"""Plans: from a reading and an `expect` to a whole configuration."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.config import Expect
from exporter.configure.plan import Difference, Plan, differences_left, make_plan
from exporter.simulator.device import SimulatedDevice
from exporter.simulator.ntp_client import CURRENT_FIRMWARE, OLD_FIRMWARE
from exporter.simulator.parameters import InvalidParameterError
from exporter.vapix.ntp import NtpAnswer
from exporter.vapix.ntp_configuration import encode_params, present_configuration
from exporter.vapix.ntp_info import NtpClientReading, Reading, decode_info

NOW_NANOSECONDS = 1_700_000_000_000_000_000

SECTION = {
    "enabled": True,
    "NTSEnabled": False,
    "serversSource": "static",
    "maxSupportedStaticServers": 2,
    "staticServers": ["10.0.0.1", "ntp.Example"],
    "advertisedServers": ["192.0.2.1"],
    "staticNTSKEServers": ["nts.example"],
    "NTSKEServerCACerts": ["site-ca"],
    "synced": True,
    "minpoll": 6,
    "maxpoll": 10,
}


def read(section: object = SECTION, **other: object) -> Reading:
    document = {"client": {**section, **other}} if isinstance(section, dict) else {}
    return decode_info(NtpAnswer("1.5", document))


def without(*names: str) -> dict[str, object]:
    return {name: value for name, value in SECTION.items() if name not in names}


def plan(reading: Reading | None = None, **expected: Any) -> Plan:
    return make_plan(Expect.model_validate(expected), reading or read())


def test_a_device_that_complies_needs_no_change() -> None:
    made = plan(enabled=True, static_servers=["NTP.example", "10.0.0.1"], maxpoll=10)
    assert (made.differences, made.problems, made.after) == ((), (), made.before)


def test_each_difference_has_the_current_and_the_wanted_value() -> None:
    made = plan(enabled=False, servers_source="DHCP", static_servers=["10.0.0.9"], minpoll=6)
    assert made.differences == (
        Difference("enabled", now=True, wanted=False),
        Difference("servers_source", "static", "dhcp"),
        Difference("static_servers", ("10.0.0.1", "ntp.Example"), ("10.0.0.9",)),
    )


def test_the_request_contains_current_values_except_for_the_changed_ones() -> None:
    assert encode_params(plan(maxpoll=12).after) == {
        "enabled": True,
        "NTSEnabled": False,
        "serversSource": "static",
        "staticServers": ("10.0.0.1", "ntp.Example"),
        "staticNTSKEServers": ("nts.example",),
        "NTSKEServerCACerts": ("site-ca",),
        "minpoll": 6,
        "maxpoll": 12,
    }


def test_a_complying_parameter_keeps_the_spelling_of_the_device() -> None:
    made = plan(static_servers=["NTP.EXAMPLE", "10.0.0.1"], maxpoll=12)
    assert made.after.static_servers == ("10.0.0.1", "ntp.Example")


def test_an_expected_order_is_set() -> None:
    wanted = {"servers": ["ntp.example", "10.0.0.1"], "ordered": True}
    assert plan(static_servers=wanted).after.static_servers == ("ntp.example", "10.0.0.1")


def test_a_server_expected_twice_is_set_once() -> None:
    made = plan(static_servers=["B", "a", "b", "A"])
    assert (made.after.static_servers, made.problems) == (("B", "a"), ())


def test_a_list_is_cleared() -> None:
    assert encode_params(plan(nts_ke_servers=[]).after)["staticNTSKEServers"] == ()


@pytest.mark.parametrize(
    ("reading", "expected", "problem"),
    [
        (
            read(),
            {"static_servers": ["a", "b", "c"]},
            "static_servers: 3 servers, but the device supports 2",
        ),
        (
            read(),
            {"nts_ke_servers": ["a", "b", "c"]},
            "nts_ke_servers: 3 servers, but the device supports 2",
        ),
        (
            read(without("NTSEnabled", "staticNTSKEServers")),
            {"nts_enabled": True},
            "nts_enabled: not supported: the device does not report it",
        ),
        (
            read(without("NTSEnabled", "staticNTSKEServers")),
            {"nts_ke_servers": ["a"]},
            "nts_ke_servers: not supported: the device does not report it",
        ),
        (
            read(without("minpoll")),
            {"minpoll": 6},
            "minpoll: not supported: the device does not report it",
        ),
        (read(), {"minpoll": 11}, "minpoll: 11 exceeds maxpoll 10"),
        (read(), {"maxpoll": 5}, "minpoll: 6 exceeds maxpoll 5"),
        (read(None), {"enabled": True}, "the device reports no NTP client"),
        (
            read(serversSource="gps"),
            {"maxpoll": 12},
            "servers_source: 'gps' is neither static nor dhcp",
        ),
        (
            read(minpoll=99),
            {"maxpoll": 12},
            "minpoll: the current value is invalid and cannot be sent back "
            "(Input should be less than or equal to 24, not 99)",
        ),
    ],
)
def test_a_change_that_cannot_be_sent_has_a_problem(
    reading: Reading, expected: dict[str, Any], problem: str
) -> None:
    assert plan(reading, **expected).problems == (problem,)


def test_all_problems_are_reported_at_once() -> None:
    reading = read(without("NTSEnabled"))
    made = plan(reading, nts_enabled=True, static_servers=["a", "b", "c"], minpoll=11)
    assert len(made.problems) == 3


def test_an_invalid_value_can_be_replaced() -> None:
    made = plan(read(minpoll=99, NTSEnabled="maybe"), minpoll=6, nts_enabled=False)
    assert made.problems == ()
    assert (made.after.minpoll, made.after.nts_enabled) == (6, False)
    assert made.differences[0] == Difference("minpoll", None, 6)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("enabled", {"enabled": True}),
        ("serversSource", {"servers_source": "static"}),
        ("staticServers", {"static_servers": ["a"]}),
    ],
)
def test_a_parameter_of_every_firmware_is_set_even_if_it_is_not_reported(
    name: str, expected: dict[str, Any]
) -> None:
    made = plan(read(without(name)), **expected)
    assert made.problems == ()
    assert name in encode_params(made.after)


def test_without_a_reported_limit_any_number_of_servers_is_set() -> None:
    reading = read(without("maxSupportedStaticServers"))
    assert plan(reading, static_servers=list("abcdefgh")).problems == ()


def test_a_configuration_read_back_as_sent_has_no_differences() -> None:
    made = plan(maxpoll=12)
    reordered = {"staticServers": ["NTP.example", "10.0.0.1"], "synced": False}
    assert differences_left(made, read(maxpoll=12, **reordered).client) == ()


def test_what_is_still_not_as_expected_is_left() -> None:
    assert differences_left(plan(maxpoll=12), read().client) == (Difference("maxpoll", 10, 12),)


def test_what_was_to_stay_and_did_not_is_left_too() -> None:
    back = read(maxpoll=12, NTSKEServerCACerts=[], NTSEnabled=True)
    assert differences_left(plan(maxpoll=12), back.client) == (
        Difference("nts_enabled", now=True, wanted=False),
        Difference("nts_ke_ca_certs", (), ("site-ca",)),
    )


def test_without_a_client_section_all_parameters_differ() -> None:
    names = {each.parameter for each in differences_left(plan(maxpoll=12), None)}
    assert len(names) == 8


SERVERS = st.lists(st.sampled_from(["a", "B", "b", "c", "ntp.example", "10.0.0.1"]), max_size=6)
FIRMWARE = st.sampled_from([CURRENT_FIRMWARE, OLD_FIRMWARE])
SOURCE = st.sampled_from(["static", "dhcp"])
EXPONENT = st.integers(0, 24)


def is_possible(expected: dict[str, Any]) -> bool:
    return bool(expected.get("minpoll", 0) <= expected.get("maxpoll", 24))


EXPECTED: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "enabled": st.booleans(),
        "nts_enabled": st.booleans(),
        "servers_source": SOURCE,
        "static_servers": st.builds(
            lambda servers, ordered: {"servers": servers, "ordered": ordered},
            SERVERS,
            st.booleans(),
        ),
        "nts_ke_servers": SERVERS,
        "minpoll": EXPONENT,
        "maxpoll": EXPONENT,
    },
).filter(is_possible)


@st.composite
def devices(draw: st.DrawFn) -> SimulatedDevice:
    device = SimulatedDevice("x", firmware=draw(FIRMWARE))
    there = device.client.configuration
    there.enabled, there.nts_enabled = draw(st.booleans()), draw(st.booleans())
    there.servers_source = draw(st.sampled_from(["static", "DHCP"]))
    there.maximum_static_servers = draw(st.integers(1, 6))
    limit = there.maximum_static_servers
    there.static_servers, there.nts_ke_servers = draw(SERVERS)[:limit], draw(SERVERS)[:limit]
    there.minpoll, there.maxpoll = sorted((draw(EXPONENT), draw(EXPONENT)))
    return device


def read_simulated(device: SimulatedDevice) -> Reading:
    return decode_info(NtpAnswer("1.5", {"client": device.client.section(NOW_NANOSECONDS)}))


def as_received(made: Plan) -> dict[str, Any]:
    received: dict[str, Any] = json.loads(json.dumps(encode_params(made.after)))
    return received


def client_of(reading: Reading) -> NtpClientReading:
    assert reading.client is not None
    return reading.client


@given(devices(), EXPECTED)
def test_a_device_accepts_every_plan_without_problems_and_then_complies(
    device: SimulatedDevice, expected: dict[str, Any]
) -> None:
    expect = Expect.model_validate(expected)
    before = read_simulated(device)
    made = make_plan(expect, before)
    assert bool(made.differences) == bool(expect.find_mismatches(before.client))
    if not made.problems:
        device.client.configure(as_received(made), NOW_NANOSECONDS)
        after = read_simulated(device)
        assert differences_left(made, after.client) == ()
        assert make_plan(expect, after).differences == ()
        assert (
            present_configuration(client_of(after).settings).nts_ke_ca_certs
            == made.before.nts_ke_ca_certs
        )


@given(devices(), EXPECTED)
def test_a_plan_with_problems_would_be_rejected_by_the_device(
    device: SimulatedDevice, expected: dict[str, Any]
) -> None:
    expect = Expect.model_validate(expected)
    made = make_plan(expect, read_simulated(device))
    if made.problems:
        with pytest.raises(InvalidParameterError):
            device.client.configure(as_received(made), NOW_NANOSECONDS)


@given(devices(), EXPECTED)
def test_a_parameter_without_expectation_is_sent_unchanged(
    device: SimulatedDevice, expected: dict[str, Any]
) -> None:
    made = make_plan(Expect.model_validate(expected), read_simulated(device))
    sent, there = encode_params(made.after), encode_params(made.before)
    changed = {each.parameter for each in made.differences}
    assert changed <= set(expected)
    assert {name for name in there if there[name] != sent.get(name)} <= {
        {
            "nts_enabled": "NTSEnabled",
            "servers_source": "serversSource",
            "static_servers": "staticServers",
            "nts_ke_servers": "staticNTSKEServers",
        }.get(name, name)
        for name in changed
    }
