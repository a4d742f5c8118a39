"""Decoding of what devices answer, from the reference's and the field's own examples."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.vapix import ntp
from exporter.vapix.errors import ApiError, DeviceError, Forbidden, InvalidResponse, Unsupported
from exporter.vapix.reading import NtpClientReading, Reading

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
    return ntp.decode_info(ntp.decode_answer(body))


def decode_client(**fields: object) -> NtpClientReading:
    reading = decode(answer(fields))
    assert reading.client is not None
    return reading.client


def test_every_field_is_read_in_si_units() -> None:
    reading = decode(answer(FIELD_EXAMPLE))
    assert reading == Reading(
        api_version="1.5",
        client=NtpClientReading(
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
    assert reading.client.poll_interval_min_seconds == 64
    assert reading.client.poll_interval_max_seconds == 1024


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
def test_a_boolean_that_arrives_as_text_is_read(
    key: str, attribute: str, text: str, *, value: bool
) -> None:
    assert getattr(decode_client(**{key: text}), attribute) is value


@pytest.mark.parametrize("synced", [False, None, "nonsense"])
def test_the_offset_of_a_device_that_is_not_synced_is_absent(synced: object) -> None:
    assert decode_client(synced=synced, timeOffset=0.0).offset_seconds is None


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
        ("timeOffset", "offset_seconds", 1.7e308),
        ("timeOffset", "offset_seconds", "0"),
        ("timeOffset", "offset_seconds", True),
        ("minpoll", "minpoll", 25),
        ("minpoll", "minpoll", -1),
        ("maxpoll", "maxpoll", True),
        ("maxpoll", "maxpoll", "10"),
    ],
)
def test_a_wrong_field_is_left_out_and_the_rest_stands(
    key: str, attribute: str, wrong: object
) -> None:
    reading = decode(answer({**FIELD_EXAMPLE, key: wrong}))
    assert reading.client is not None
    assert getattr(reading.client, attribute) is None
    assert [name for name, _ in reading.invalid_fields] == [key]
    intact = "maxpoll" if key == "minpoll" else "minpoll"
    assert getattr(reading.client, intact) == FIELD_EXAMPLE[intact]


def test_what_was_wrong_with_a_field_is_told_without_control_characters() -> None:
    reading = decode(answer({"minpoll": 25, "serversSource": "\x1b]0;evil\x07"}))
    problems = dict(reading.invalid_fields)
    assert problems["minpoll"] == "Input should be less than or equal to 24, not 25"
    assert "evil" in problems["serversSource"]
    assert problems["serversSource"].isprintable()


def test_a_list_cleared_with_an_empty_text_is_empty() -> None:
    assert decode_client(staticServers=[""]).static_servers == ()


def test_a_server_listed_twice_counts_once() -> None:
    assert decode_client(staticServers=["a", "b", "a"]).static_servers == ("a", "b")


@pytest.mark.parametrize("source", ["DHCP", "dhcp", " Dhcp "])
def test_the_servers_source_is_in_lower_case(source: str) -> None:
    assert decode_client(serversSource=source).servers_source == "dhcp"


def test_an_answer_without_a_client_section_is_valid() -> None:
    reading = decode(b'{"apiVersion": "1.0", "data": {}}')
    assert reading.client is None
    assert not reading.server_present


def test_a_server_section_is_noticed() -> None:
    assert decode(b'{"data": {"server": {}}}').server_present


@pytest.mark.parametrize("version", ["1.0", "1.5", "1.12"])
def test_any_echo_of_major_version_1_is_accepted(version: str) -> None:
    assert decode(answer({}, apiVersion=version)).api_version == version


def test_an_answer_in_another_major_version_is_invalid() -> None:
    with pytest.raises(InvalidResponse, match=r"API version 2\.0"):
        decode(answer({}, apiVersion="2.0"))


@pytest.mark.parametrize("version", [None, 1.0, "1", "1.x", "1.0," + "9" * 5000, "one.two", "1.٣"])
def test_what_is_no_version_is_left_out(version: object) -> None:
    assert decode(answer({}, apiVersion=version)).api_version is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"null",
        b"[]",
        b'"text"',
        b"3",
        b'{"data": []}',
        b'{"data": null}',
        b"{}",
        b'{"data": {"client": []}}',
        b'{"data": {"client": null}}',
        b'{"data": {"client": true}}',
        b'{"error": []}',
        b'{"error": {}}',
        b'{"error": {"code": "1000"}}',
        b'{"error": {"code": true}}',
        b'{"error": {"code": -1}}',
        b'{"error": {"code": 100000}}',
        b'{"error": {"code": 1e3}}',
        b"[" * 5000,
        b'{"data": {"client": {"timeOffset": NaN}}}',
        b'{"data": {"client": {"staticServers": ["\\ud800"]}}}',
        b'{"data": "\xff"}',
        b'{"data": {"client": {}}} trailing',
        b'{"error": {"code": ' + b"9" * 5000 + b"}}",
    ],
)
def test_what_is_not_as_the_reference_describes_is_an_invalid_response(body: bytes) -> None:
    with pytest.raises(InvalidResponse):
        decode(body)


@pytest.mark.parametrize(
    ("code", "kind", "text"),
    [
        (1000, ApiError, "API error 1000: Internal error"),
        (2000, ApiError, "API error 2000: Invalid request"),
        (2001, ApiError, "API error 2001: Request body too large"),
        (3000, ApiError, "API error 3000: Invalid JSON data"),
        (4000, Unsupported, "API error 4000: Method does not exist"),
        (4001, Unsupported, "API error 4001: The specified version is not supported"),
        (4002, Forbidden, "API error 4002: Authorization failed"),
        (4003, ApiError, "API error 4003: Missing parameter(s)"),
        (4004, ApiError, "API error 4004: Invalid parameter(s)"),
        (5555, ApiError, "API error 5555: own words"),
    ],
)
def test_each_error_code_of_the_reference_has_its_class(
    code: int, kind: type[DeviceError], text: str
) -> None:
    body = json.dumps({"error": {"code": code, "message": "own words"}}).encode()
    with pytest.raises(kind) as caught:
        ntp.decode_answer(body)
    assert type(caught.value) is kind
    assert caught.value.code == code
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("subcode", "words"),
    [
        (1, "the invalid parameter is enabled"),
        (2, "the invalid parameter is serversSource"),
        (3, "the invalid parameter is staticServers or one of its values"),
        (4, "not described by the reference"),
        (5, "the invalid parameter is NTSEnabled"),
        (6, "the invalid parameter is staticNTSKEServers or one of its values"),
        (7, "the invalid parameter is minpoll, valid values range from 0 to 24"),
        (8, "the invalid parameter is maxpoll, valid values range from 0 to 24"),
        (9, "the invalid parameter is NTSKEServerCACerts or one of its values"),
    ],
)
def test_a_subcode_is_told_with_its_meaning(subcode: int, words: str) -> None:
    error = {"code": 4004, "message": "Invalid", "details": {"subCode": subcode}}
    with pytest.raises(ApiError) as caught:
        ntp.decode_answer(json.dumps({"error": error}).encode())
    assert caught.value.subcode == subcode
    assert str(caught.value) == (
        f"API error 4004: Invalid parameter(s): {words} (subCode {subcode})"
    )


def test_a_hostile_error_message_is_cut_and_printable() -> None:
    error = {"code": 6000, "message": "\x1b[2J\n" * 1000}
    with pytest.raises(ApiError) as caught:
        ntp.decode_answer(json.dumps({"error": error}).encode())
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 250


def test_supported_versions_are_read_from_an_answer_of_any_version() -> None:
    body = b'{"apiVersion": "3.1", "data": {"apiVersions": ["1.0", "2.4", "3.1", 7, "x"]}}'
    versions = ntp.decode_supported_versions(ntp.decode_answer(body))
    assert versions == ("1.0", "2.4", "3.1")


def test_supported_versions_that_are_no_list_are_invalid() -> None:
    with pytest.raises(InvalidResponse, match="apiVersions is a text, not a list"):
        ntp.decode_supported_versions(ntp.NtpAnswer(None, {"apiVersions": "1.0"}))


def test_the_highest_version_of_major_1_is_best() -> None:
    assert ntp.best_version(("1.9", "2.4", "1.12", "11.0", "1.2")) == "1.12"


def test_without_a_version_of_major_1_the_device_is_unsupported() -> None:
    with pytest.raises(Unsupported, match=r"only: 2\.0, 3\.1") as caught:
        ntp.best_version(("2.0", "3.1"))
    assert caught.value.code == 4001


def test_a_request_is_as_the_reference_has_it() -> None:
    assert json.loads(ntp.encode_request("getNTPInfo", "1.0")) == {
        "apiVersion": "1.0",
        "method": "getNTPInfo",
    }
    assert json.loads(ntp.encode_request("getSupportedVersions", None)) == {
        "method": "getSupportedVersions"
    }


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
