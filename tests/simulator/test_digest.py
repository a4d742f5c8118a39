"""The Digest of the simulator and of these tests, against the published examples of the RFCs."""

import pytest

from exporter.simulator.digest import (
    expected_response,
    hash_account,
    make_nonce,
    nonce_microseconds,
    parse_credentials,
)
from tests.simulator import conftest
from tests.simulator.raw_client import Digest

RFC7616_NONCE = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"
RFC7616_CNONCE = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
# RFC 7616, section 3.9.1; RFC 2617, section 3.5; RFC 2069, section 2.4 with erratum 749.
VECTORS = {
    "RFC 7616 MD5": (
        Digest("Mufasa", "Circle of Life", RFC7616_CNONCE),
        {
            "realm": "http-auth@example.org",
            "nonce": RFC7616_NONCE,
            "algorithm": "MD5",
            "qop": "auth",
        },
        "8ca523f5e9506fed4657c9700eebdbec",
    ),
    "RFC 7616 SHA-256": (
        Digest("Mufasa", "Circle of Life", RFC7616_CNONCE),
        {
            "realm": "http-auth@example.org",
            "nonce": RFC7616_NONCE,
            "algorithm": "SHA-256",
            "qop": "auth",
        },
        "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
    ),
    "RFC 2617": (
        Digest("Mufasa", "Circle Of Life", "0a4f113b"),
        {
            "realm": "testrealm@host.com",
            "nonce": "dcd98b7102dd2f0e8b11d0f600bfb0c093",
            "qop": "auth",
        },
        "6629fae49393a05397450978507c4ef1",
    ),
    "RFC 2069": (
        Digest("Mufasa", "CircleOfLife"),
        {"realm": "testrealm@host.com", "nonce": "dcd98b7102dd2f0e8b11d0f600bfb0c093"},
        "1949323746fe6a43ef61f9606e7febea",
    ),
}
SECRET = b"server secret"


def as_challenge(given: dict[str, str]) -> str:
    return "Digest " + ", ".join(f'{name}="{value}"' for name, value in given.items())


@pytest.mark.parametrize("name", VECTORS)
def test_the_response_matches_the_published_example(name: str) -> None:
    digest, given, published = VECTORS[name]
    authorization = digest.authorization(as_challenge(given), "GET", "/dir/index.html")
    credentials = parse_credentials(authorization)
    assert credentials is not None
    assert credentials.response == published
    account = hash_account(credentials.algorithm, digest.username, given["realm"], digest.password)
    assert expected_response(account, credentials, "GET") == published


@pytest.mark.parametrize(
    "authorization",
    ["", "Digest", "Basic cm9vdDpwYXNz", 'Digest username="root", realm="r", nonce="n", uri="/"'],
)
def test_incomplete_credentials_are_rejected(authorization: str) -> None:
    assert parse_credentials(authorization) is None


def test_quoted_strings_may_contain_escapes_and_commas() -> None:
    credentials = parse_credentials(
        r'Digest username="a\"b, c=d", realm="r", nonce="n", uri="/?a=1,2", response="x", nc=1'
    )
    assert credentials is not None
    assert credentials.username == 'a"b, c=d'
    assert credentials.uri == "/?a=1,2"


def test_a_nonce_is_the_devices_microseconds_and_a_sha1() -> None:
    nonce = make_nonce(1_700_000_000_123_456, SECRET, "AXIS_1")
    assert conftest.nonce_microseconds(nonce) == 1_700_000_000_123_456
    assert len(nonce) == 12 + 40
    assert nonce[11] == "="


@pytest.mark.parametrize("microseconds", [0, -1, 2**62, -(2**63)])
def test_a_nonce_can_contain_any_time(microseconds: int) -> None:
    nonce = make_nonce(microseconds, SECRET, "AXIS_1")
    assert conftest.nonce_microseconds(nonce) == microseconds
    assert nonce_microseconds(nonce, SECRET, "AXIS_1") == microseconds


@pytest.mark.parametrize("foreign", ["", "x", "AAAAAAAAAAA=", "AAAAAAAAAAA=" + "0" * 40, "é" * 52])
def test_a_foreign_nonce_is_rejected(foreign: str) -> None:
    assert nonce_microseconds(foreign, SECRET, "AXIS_1") is None


def test_a_nonce_of_another_realm_is_rejected() -> None:
    assert nonce_microseconds(make_nonce(5, SECRET, "AXIS_1"), SECRET, "AXIS_2") is None
