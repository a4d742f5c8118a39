"""Decode the data of getNTPInfo, with the examples of the reference and of real devices."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.vapix import ntp
from exporter.vapix.errors import DeviceError, NewerApi
from exporter.vapix.ntp_info import NtpClientReading, NtpSettings, Reading, decode_info
from tests.support.readings import ntp_client

FIELD_EXAMPLE = {
    "enabled": True,
    "NTSEnabled": False,
    "serversSource": "static",
    "maxSupportedStaticServers": 5,
    "staticServers": ["10.1.2.3"],
    "advertisedServers": [],
    "staticNTSKEServers": [],
    "NTSKEServerCACerts": [],
    "synced": True,
    "timeToNextSync": 44,
    "timeOffset": 21.1,
    "minpoll": 6,
    "maxpoll": 10,
}


def answer(client: object, **envelope: object) -> bytes:
    document = {"apiVersion": "1.5", "method": "getNTPInfo", "data": {"client": client}}
    return json.dumps(document | envelope).encode()


def decode(body: bytes) -> Reading:
    return decode_info(ntp.decode_answer(body))


def decode_client(**fields: object) -> NtpClientReading:
    reading = decode(answer(fields))
    assert reading.client is not None
    return reading.client


def value_of(client: NtpClientReading, attribute: str) -> object:
    part = client.settings if hasattr(client.settings, attribute) else client.status
    return getattr(part, attribute)


def test_every_field_is_decoded_in_si_units() -> None:
    reading = decode(answer(FIELD_EXAMPLE))
    assert reading == Reading(
        api_version="1.5",
        client=ntp_client(
            enabled=True,
            nts_enabled=False,
            servers_source="static",
            static_servers_max=5,
            static_servers=("10.1.2.3",),
            advertised_servers=(),
            nts_ke_servers=(),
            nts_ke_ca_certs=(),
            synced=True,
            time_to_next_sync_seconds=44.0,
            offset_seconds=0.0211,
            minpoll=6,
            maxpoll=10,
        ),
        server_present=False,
    )
    assert reading.client is not None
    assert reading.client.settings.poll_interval_min_seconds == 64
    assert reading.client.settings.poll_interval_max_seconds == 1024


@pytest.mark.parametrize("name", FIELD_EXAMPLE)
def test_every_field_may_be_absent(name: str) -> None:
    fields = {key: value for key, value in FIELD_EXAMPLE.items() if key != name}
    reading = decode(answer(fields))
    assert reading.invalid_fields == ()


@pytest.mark.parametrize(("text", "value"), [("true", True), ("false", False)])
@pytest.mark.parametrize(
    ("key", "attribute"),
    [("enabled", "enabled"), ("NTSEnabled", "nts_enabled"), ("synced", "synced")],
)
def test_a_boolean_sent_as_a_string_is_accepted(
    key: str, attribute: str, text: str, *, value: bool
) -> None:
    assert value_of(decode_client(**{key: text}), attribute) is value


@pytest.mark.parametrize("synced", [False, None, "nonsense"])
def test_an_unsynced_device_has_no_reported_offset(synced: object) -> None:
    assert decode_client(synced=synced, timeOffset=0.0).status.reported_offset_seconds is None


@pytest.mark.parametrize(
    ("key", "attribute", "wrong"),
    [
        ("enabled", "enabled", "yes"),
        ("enabled", "enabled", 1),
        ("NTSEnabled", "nts_enabled", []),
        ("serversSource", "servers_source", 3),
        ("serversSource", "servers_source", "x" * 256),
        ("serversSource", "servers_source", "evil\x1b[2J"),
        ("maxSupportedStaticServers", "static_servers_max", -1),
        ("maxSupportedStaticServers", "static_servers_max", 5.5),
        ("staticServers", "static_servers", "10.1.2.3"),
        ("staticServers", "static_servers", ["ok", 4]),
        ("staticServers", "static_servers", [str(n) for n in range(33)]),
        ("advertisedServers", "advertised_servers", {"a": 1}),
        ("staticNTSKEServers", "nts_ke_servers", ["line\nbreak"]),
        ("NTSKEServerCACerts", "nts_ke_ca_certs", [None]),
        ("synced", "synced", 0),
        ("timeToNextSync", "time_to_next_sync_seconds", -1),
        ("timeToNextSync", "time_to_next_sync_seconds", "44"),
        ("timeToNextSync", "time_to_next_sync_seconds", 1e308),
        ("timeOffset", "last_offset_milliseconds", 1.7e308),
        ("timeOffset", "last_offset_milliseconds", "0"),
        ("timeOffset", "last_offset_milliseconds", True),
        ("minpoll", "minpoll", 25),
        ("minpoll", "minpoll", -1),
        ("maxpoll", "maxpoll", True),
        ("maxpoll", "maxpoll", "10"),
    ],
)
def test_an_invalid_field_is_ignored_and_the_others_are_kept(
    key: str, attribute: str, wrong: object
) -> None:
    reading = decode(answer({**FIELD_EXAMPLE, key: wrong}))
    assert reading.client is not None
    assert value_of(reading.client, attribute) is None
    assert [name for name, _ in reading.invalid_fields] == [key]
    intact = "maxpoll" if key == "minpoll" else "minpoll"
    assert getattr(reading.client.settings, intact) == FIELD_EXAMPLE[intact]


def test_the_problem_with_a_field_is_printable() -> None:
    reading = decode(answer({"minpoll": 25, "serversSource": "\x1b]0;evil\x07"}))
    problems = dict(reading.invalid_fields)
    assert problems["minpoll"] == "Input should be less than or equal to 24, not 25"
    assert "evil" in problems["serversSource"]
    assert problems["serversSource"].isprintable()


def test_a_list_with_one_empty_name_is_empty() -> None:
    assert decode_client(staticServers=[""]).settings.static_servers == ()


def test_a_server_listed_twice_counts_once() -> None:
    assert decode_client(staticServers=["a", "b", "a"]).settings.static_servers == ("a", "b")


@pytest.mark.parametrize("source", ["DHCP", "dhcp", " Dhcp "])
def test_the_servers_source_is_in_lower_case(source: str) -> None:
    assert decode_client(serversSource=source).settings.servers_source == "dhcp"


def test_a_response_without_a_client_section_is_valid() -> None:
    reading = decode(b'{"apiVersion": "1.0", "data": {}}')
    assert reading.client is None
    assert not reading.server_present


def test_a_server_section_is_reported() -> None:
    assert decode(b'{"data": {"server": {}}}').server_present


def test_equal_settings_of_two_devices_are_one_object() -> None:
    first, second = (decode_client(**FIELD_EXAMPLE) for _ in range(2))
    assert first.settings is second.settings
    assert first.status is not second.status


@pytest.mark.parametrize("version", ["1.0", "1.5", "1.12"])
def test_any_version_1_is_accepted(version: str) -> None:
    assert decode(answer({}, apiVersion=version)).api_version == version


def test_a_higher_major_version_is_newer_than_the_exporter() -> None:
    with pytest.raises(NewerApi, match=r"API version 2\.0"):
        decode(answer({}, apiVersion="2.0"))


@pytest.mark.parametrize("version", [None, 1.0, "1", "1.x", "1.0," + "9" * 5000, "one.two", "1.٣"])
def test_an_invalid_version_is_ignored(version: object) -> None:
    assert decode(answer({}, apiVersion=version)).api_version is None


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from([*FIELD_EXAMPLE, "other"]), json_values))
def test_any_json_in_the_fields_gives_a_reading(fields: dict[str, Any]) -> None:
    reading = decode(answer(fields))
    assert reading.client is not None


@given(st.binary() | json_values.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_give_a_reading_or_a_device_error(body: bytes) -> None:
    with contextlib.suppress(DeviceError):
        assert decode(body) is not None


STATIC, ADVERTISED, NTS = ("10.0.0.1",), ("10.0.0.2", "10.0.0.3"), ("nts.example",)


def settings(**values: object) -> NtpSettings:
    listed = {"static_servers": STATIC, "advertised_servers": ADVERTISED, "nts_ke_servers": NTS}
    return NtpSettings(**{**listed, **values})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fields", "active"),
    [
        ({"nts_enabled": True, "servers_source": "static"}, NTS),
        ({"nts_enabled": True, "servers_source": None}, NTS),
        ({"nts_enabled": True, "nts_ke_servers": ()}, ()),
        ({"nts_enabled": True, "nts_ke_servers": None}, None),
        ({"nts_enabled": False, "servers_source": "static"}, STATIC),
        ({"nts_enabled": None, "servers_source": "static"}, STATIC),
        ({"servers_source": "static", "static_servers": None}, None),
        ({"servers_source": "dhcp"}, ADVERTISED),
        ({"servers_source": "dhcp", "advertised_servers": ()}, STATIC),
        ({"servers_source": "dhcp", "advertised_servers": (), "static_servers": ()}, ()),
        ({"servers_source": "dhcp", "advertised_servers": None}, None),
        ({"servers_source": None}, None),
        ({"servers_source": "ptp"}, None),
    ],
)
def test_active_servers_follow_the_rules_of_the_api(
    fields: dict[str, object], active: tuple[str, ...] | None
) -> None:
    assert settings(**fields).active_servers == active


def test_only_the_list_in_use_is_active() -> None:
    lists = settings(servers_source="dhcp").server_lists()
    assert [(listed.source, listed.active) for listed in lists] == [
        ("static", False),
        ("advertised", True),
        ("nts_ke", False),
    ]


def test_a_list_that_is_not_reported_is_left_out() -> None:
    lists = settings(nts_ke_servers=None).server_lists()
    assert [listed.source for listed in lists] == ["static", "advertised"]


def test_unknown_poll_exponents_give_no_interval() -> None:
    assert settings().poll_interval_min_seconds is None
    assert settings(maxpoll=0).poll_interval_max_seconds == 1
