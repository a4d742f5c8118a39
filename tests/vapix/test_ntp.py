"""Encode requests, decode responses and errors, with the examples of the reference."""

import json

import pytest

from exporter.vapix import ntp
from exporter.vapix.errors import ApiError, DeviceError, Forbidden, InvalidResponse, Unsupported
from exporter.vapix.ntp_info import decode_info


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
def test_a_body_that_differs_from_the_reference_is_an_invalid_response(body: bytes) -> None:
    with pytest.raises(InvalidResponse):
        decode_info(ntp.decode_answer(body))


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
def test_an_error_explains_its_subcode(subcode: int, words: str) -> None:
    error = {"code": 4004, "message": "Invalid", "details": {"subCode": subcode}}
    with pytest.raises(ApiError) as caught:
        ntp.decode_answer(json.dumps({"error": error}).encode())
    assert caught.value.subcode == subcode
    assert str(caught.value) == (
        f"API error 4004: Invalid parameter(s): {words} (subCode {subcode})"
    )


def test_a_hostile_error_message_is_shortened_and_printable() -> None:
    error = {"code": 6000, "message": "\x1b[2J\n" * 1000}
    with pytest.raises(ApiError) as caught:
        ntp.decode_answer(json.dumps({"error": error}).encode())
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 250


def test_supported_versions_are_decoded_from_a_response_of_any_version() -> None:
    body = b'{"apiVersion": "3.1", "data": {"apiVersions": ["1.0", "2.4", "3.1", 7, "x"]}}'
    versions = ntp.decode_supported_versions(ntp.decode_answer(body))
    assert versions == ("1.0", "2.4", "3.1")


def test_supported_versions_must_be_a_list() -> None:
    with pytest.raises(InvalidResponse, match="apiVersions is a string, not a list"):
        ntp.decode_supported_versions(ntp.NtpAnswer(None, {"apiVersions": "1.0"}))


def test_the_highest_version_1_is_chosen() -> None:
    assert ntp.choose_version(("1.9", "2.4", "1.12", "11.0", "1.2")) == "1.12"


def test_a_device_without_a_version_1_is_unsupported() -> None:
    with pytest.raises(Unsupported, match=r"only: 2\.0, 3\.1") as caught:
        ntp.choose_version(("2.0", "3.1"))
    assert caught.value.code == 4001


def test_a_request_has_the_form_of_the_reference() -> None:
    assert json.loads(ntp.encode_request("getNTPInfo", "1.0")) == {
        "apiVersion": "1.0",
        "method": "getNTPInfo",
    }
    assert json.loads(ntp.encode_request("getSupportedVersions", None)) == {
        "method": "getSupportedVersions"
    }
