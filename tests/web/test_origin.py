"""A page of another host can neither reload the config nor read it through a person's browser."""

from collections.abc import Callable
from functools import partial
from typing import Final

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from exporter.web.origin import refuse_foreign_host, refuse_foreign_origin
from exporter.web.paths import make_paths
from exporter.web.settings import WebSettings

Check = Callable[[web.Request], None]


def is_refused(check: Check, *headers: tuple[str, str]) -> bool:
    request = make_mocked_request("POST", "/-/reload", CIMultiDict(headers))
    try:
        check(request)
    except web.HTTPForbidden:
        return True
    return False


ORIGINS: Final = {
    # Host, Origin: whether refused.
    ("127.0.0.1:10123", "http://127.0.0.1:10123"): False,
    ("ntp.example:10123", "https://NTP.example:10123"): False,
    ("ntp.example.", "https://ntp.example"): False,
    # A proxy may drop or change the port.
    ("ntp.example", "https://ntp.example:8443"): False,
    ("[::1]:10123", "http://[::1]:10123"): False,
    ("127.0.0.1:10123", "http://evil.example"): True,
    ("127.0.0.1:10123", "http://127.0.0.1.evil.example:10123"): True,
    ("127.0.0.1:10123", "http://127.0.0.1@evil.example"): True,
    ("ntp.example", "https://example"): True,
    ("127.0.0.1:10123", "null"): True,
    ("127.0.0.1:10123", ""): True,
    ("127.0.0.1:10123", "http://["): True,
    ("", "http://evil.example"): True,
    ("", ""): True,
}


@pytest.mark.parametrize(("headers", "refused"), ORIGINS.items())
def test_an_origin_of_another_host_is_refused(headers: tuple[str, str], refused: bool) -> None:  # noqa: FBT001
    host, origin = headers
    assert is_refused(refuse_foreign_origin, ("Host", host), ("Origin", origin)) == refused


def test_a_request_without_origin_is_accepted_and_one_with_two_is_not() -> None:
    host = ("Host", "localhost:1")
    assert not is_refused(refuse_foreign_origin, host)
    origins = [("Origin", "http://localhost:1"), ("Origin", "http://evil.example")]
    assert is_refused(refuse_foreign_origin, host, *origins)


@pytest.mark.parametrize(
    ("site", "refused"),
    [
        (["same-origin"], False),
        (["same-site"], True),
        (["cross-site"], True),
        (["none"], True),
        (["same-origin", "cross-site"], True),
        (["same-origin, cross-site"], True),
    ],
)
def test_behind_a_proxy_that_changes_the_host_the_browsers_word_for_its_own_page_counts(
    site: list[str],
    refused: bool,  # noqa: FBT001
) -> None:
    headers = [("Host", "localhost:10123"), ("Origin", "https://ntp.example")]
    headers += [("Sec-Fetch-Site", each) for each in site]
    assert is_refused(refuse_foreign_origin, *headers) == refused
    assert is_refused(refuse_foreign_host, ("Host", "evil.example"), *headers[2:])


EXTERNAL: Final = {
    # Origin: whether refused, if the external URL is https://clocks.example/a.
    "https://clocks.example": False,
    "https://clocks.example:8443": True,
    "http://clocks.example": True,
    "https://clocks.example.evil": True,
    "https://evil.example": True,
    "null": True,
    "": True,
}


@pytest.mark.parametrize(("origin", "refused"), EXTERNAL.items())
def test_the_origin_of_the_external_url_is_accepted_whatever_host_a_proxy_sends(
    origin: str,
    refused: bool,  # noqa: FBT001
) -> None:
    external = make_paths("https://Clocks.Example:443/a", None).origin
    check = partial(refuse_foreign_origin, external_origin=external)
    for host in ("127.0.0.1:10123", "clocks.example"):
        assert is_refused(check, ("Host", host), ("Origin", origin)) == refused
    assert is_refused(refuse_foreign_origin, ("Host", "127.0.0.1:1"), ("Origin", origin))


@pytest.mark.parametrize(
    ("host", "refused"),
    [
        ("clocks.example", False),
        ("Clocks.Example.:443", False),
        ("localhost:10123", False),
        ("evil.example", True),
        ("clocks.example.evil", True),
        ("", True),
    ],
)
def test_the_host_of_the_external_url_is_accepted_on_loopback(
    host: str,
    refused: bool,  # noqa: FBT001
) -> None:
    check = partial(refuse_foreign_host, external_origin="https://clocks.example")
    assert is_refused(check, ("Host", host)) == refused


HOSTS: Final = {
    "127.0.0.1:10123": False,
    "127.1.2.3": False,
    "localhost": False,
    "LocalHost.:10123": False,
    "exporter.localhost": False,
    "[::1]:10123": False,
    "10.0.0.1": True,
    "evil.example:10123": True,
    "localhost.evil.example": True,
    "127.0.0.1.evil.example": True,
    "[::1": True,
    "": True,
}


@pytest.mark.parametrize(("host", "refused"), HOSTS.items())
def test_a_host_that_is_not_loopback_is_refused(host: str, refused: bool) -> None:  # noqa: FBT001
    assert is_refused(refuse_foreign_host, ("Host", host)) == refused


def test_a_request_of_http_1_0_without_host_is_accepted() -> None:
    assert not is_refused(refuse_foreign_host)


@pytest.mark.parametrize(
    ("hosts", "expected"),
    [
        (["127.0.0.1"], True),
        (["127.0.0.1", "::1", "localhost"], True),
        ([""], False),
        (["0.0.0.0"], False),
        (["::"], False),
        (["127.0.0.1", "10.0.0.5"], False),
        (["ntp.example"], False),
    ],
)
def test_loopback_only_is_known_from_the_addresses_to_listen_on(
    hosts: list[str],
    expected: bool,  # noqa: FBT001
) -> None:
    settings = WebSettings(tuple((host, 10123) for host in hosts))
    assert settings.loopback_only == expected


@given(st.text(max_size=40), st.text(max_size=40))
def test_any_headers_get_an_answer(host: str, origin: str) -> None:
    headers = (("Host", host), ("Origin", origin))
    for check in (refuse_foreign_origin, refuse_foreign_host):
        assert is_refused(check, *headers) in (True, False)
