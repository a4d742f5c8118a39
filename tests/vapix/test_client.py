"""What HTTP says becomes the right error; versions are negotiated; nothing is sent in vain."""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any
from unittest.mock import Mock

import aiohttp
import pytest
from aioresponses import aioresponses
from multidict import CIMultiDict
from structlog.testing import capture_logs
from yarl import URL

from exporter.clock.host import HostClock
from exporter.devices.device import Device, DeviceTarget
from exporter.vapix import errors
from exporter.vapix.client import Endpoint, NtpClient
from exporter.vapix.connection import open_session
from exporter.vapix.http_auth import Authenticator, DeviceCredentials
from exporter.vapix.ntp_configuration import (
    InvalidConfiguration,
    NtpClientConfiguration,
    set_configuration,
)

ADDRESS = URL("http://camera.example/axis-cgi/ntp.cgi")
GOOD = '{"apiVersion": "1.0", "data": {"client": {"enabled": true}}}'
DIGEST = 'Digest realm="AXIS_ACCC8E012345", nonce="bm9uY2U=", algorithm=MD5, qop="auth"'


class MockedResponse(aiohttp.ClientResponse):
    """Gives aiohttp 3.14 the argument that aioresponses 0.7.9 does not know of."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"stream_writer": Mock(), **kwargs})


class MockedDevice(aioresponses):
    def answers(self, **kwargs: Any) -> None:
        self.post(ADDRESS, response_class=MockedResponse, **kwargs)


@pytest.fixture
def device() -> Iterator[MockedDevice]:
    mocked = MockedDevice()
    with mocked:
        yield mocked


@pytest.fixture
async def client() -> AsyncIterator[NtpClient]:
    authenticator = Authenticator("auto", DeviceCredentials("root", "secret"), secure=False)
    async with open_session() as session:
        yield NtpClient(session, Endpoint(ADDRESS), authenticator)


def api_error(code: int) -> str:
    return json.dumps({"apiVersion": "1.0", "error": {"code": code, "message": "…"}})


def requests(device: MockedDevice) -> list[dict[str, Any]]:
    calls = device.requests.get(("POST", ADDRESS), [])
    return [json.loads(call.kwargs["data"].decode()) for call in calls]


async def fails(client: NtpClient) -> errors.DeviceError:
    with pytest.raises(errors.DeviceError) as caught:
        await client.get_info()
    return caught.value


async def test_a_good_answer_is_a_reading(device: MockedDevice, client: NtpClient) -> None:
    device.answers(body=GOOD)
    reading = (await client.get_info()).value
    assert reading.client is not None
    assert reading.client.settings.enabled is True
    assert requests(device) == [{"apiVersion": "1.0", "method": "getNTPInfo"}]


@pytest.mark.parametrize(
    ("status", "body", "reason", "code"),
    [
        (401, "", "unauthorized", 401),
        (403, "", "forbidden", 403),
        (404, "<html>", "unsupported", 404),
        (500, "<html>", "http_status", 500),
        (500, GOOD, "http_status", 500),
        (500, api_error(1000), "api_error", 1000),
        (500, api_error(4002), "forbidden", 4002),
        (503, api_error(1000), "http_status", 503),
        (204, "", "http_status", 204),
        (599, "", "http_status", 599),
        (200, api_error(1000), "api_error", 1000),
        (200, api_error(2000), "api_error", 2000),
        (200, api_error(2001), "api_error", 2001),
        (200, api_error(3000), "api_error", 3000),
        (200, api_error(4000), "unsupported", 4000),
        (200, api_error(4002), "forbidden", 4002),
        (200, api_error(4003), "api_error", 4003),
        (200, api_error(4004), "api_error", 4004),
        (200, "<html>", "invalid_response", None),
        (200, "[]", "invalid_response", None),
        (200, GOOD + " " * 65_536, "invalid_response", None),
    ],
)
async def test_an_answer_that_is_no_reading_has_its_reason_and_code(
    device: MockedDevice, client: NtpClient, status: int, body: str, reason: str, code: int | None
) -> None:
    device.answers(status=status, body=body)
    error = await fails(client)
    assert (error.reason, error.code) == (reason, code)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed_but_named(
    device: MockedDevice, client: NtpClient, status: int
) -> None:
    where = "http://elsewhere.example/\x1b"
    device.answers(status=status, headers={"Location": where})
    error = await fails(client)
    assert (error.reason, error.code) == ("http_status", status)
    assert "redirect to http://elsewhere.example/\\x1b not followed" in str(error)
    assert list(device.requests) == [("POST", ADDRESS)]


@pytest.mark.parametrize(
    ("status", "headers", "kind", "message"),
    [
        (
            301,
            {"Location": "https://camera.example/axis-cgi/ntp.cgi"},
            errors.RedirectToHttps,
            "HTTP 301: the device redirects to https: https://camera.example/axis-cgi/ntp.cgi",
        ),
        (
            307,
            {"Location": "HTTPS://Camera.example/"},
            errors.RedirectToHttps,
            "HTTP 307: the device redirects to https: HTTPS://Camera.example/",
        ),
        (302, {}, errors.UnexpectedStatus, "HTTP 302: redirect to nowhere not followed"),
        (429, {}, errors.Busy, "HTTP 429: the device is busy or starting"),
        (503, {}, errors.Busy, "HTTP 503: the device is busy or starting"),
    ],
)
async def test_a_status_has_an_error_of_its_own(
    device: MockedDevice,
    client: NtpClient,
    status: int,
    headers: dict[str, str],
    kind: type[errors.DeviceError],
    message: str,
) -> None:
    device.answers(status=status, headers=headers)
    error = await fails(client)
    assert (type(error), str(error)) == (kind, message)


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ("<html>", "HTML, perhaps a login page, not JSON"),
        (" \r\n<!DOCTYPE html>", "HTML, perhaps a login page, not JSON"),
        (b"\x1f\x8b\x08", "compressed with gzip, which was not asked for"),
        (GOOD.encode("utf-16"), "UTF-16 text, not UTF-8"),
        ("", "empty"),
        ("OK", "not JSON: expected value at line 1 column 1"),
    ],
)
async def test_a_body_that_is_not_json_is_named_as_what_it_is(
    device: MockedDevice, client: NtpClient, body: str | bytes, what: str
) -> None:
    device.answers(body=body)
    assert str(await fails(client)) == f"the response is {what}"


async def test_a_byte_order_mark_and_a_nul_at_the_end_are_ignored(
    device: MockedDevice, client: NtpClient
) -> None:
    device.answers(body=b"\xef\xbb\xbf" + GOOD.encode() + b"\0")
    assert (await client.get_info()).value.client is not None


async def test_an_api_that_is_newer_than_the_exporter_is_named(
    device: MockedDevice, client: NtpClient
) -> None:
    device.answers(body=GOOD.replace("1.0", "2.0"))
    assert type(await fails(client)) is errors.NewerApi


@pytest.mark.parametrize(
    "content_type",
    ["application/json; charset=utf-8", "application/json;charset=utf8", "text/plain", "\xff"],
)
async def test_an_odd_content_type_is_accepted(
    device: MockedDevice, client: NtpClient, content_type: str
) -> None:
    device.answers(body=GOOD, headers={"Content-Type": content_type})
    assert (await client.get_info()).value.client is not None


async def test_a_body_of_just_64_kib_is_read(device: MockedDevice, client: NtpClient) -> None:
    device.answers(body=GOOD + " " * (65_536 - len(GOOD)))
    assert (await client.get_info()).value.client is not None


async def test_a_factory_new_device_is_told_as_such(
    device: MockedDevice, client: NtpClient
) -> None:
    device.answers(status=401, headers={"Axis-Setup": "vapix"})
    error = await fails(client)
    assert error.reason == "unauthorized"
    assert "factory-new and has no user yet" in str(error)


def connector_error(kind: type[aiohttp.ClientConnectorError]) -> aiohttp.ClientConnectorError:
    return kind(Mock(), OSError(111, "Connect call failed"))


@pytest.mark.parametrize(
    ("problem", "reason"),
    [
        (connector_error(aiohttp.ClientConnectorDNSError), "dns"),
        (connector_error(aiohttp.ClientConnectorError), "connect"),
        (connector_error(aiohttp.ClientConnectorSSLError), "tls"),
        (aiohttp.ServerDisconnectedError(), "disconnected"),
        (aiohttp.ClientOSError(104, "Connection reset by peer"), "disconnected"),
        (aiohttp.ClientPayloadError("not all data"), "disconnected"),
    ],
)
async def test_what_the_network_does_has_its_reason(
    device: MockedDevice, client: NtpClient, problem: Exception, reason: str
) -> None:
    device.answers(exception=problem)
    assert (await fails(client)).reason == reason


@pytest.mark.parametrize(
    ("problem", "what"),
    [
        (OSError(111, "Connect call failed ('127.0.0.1', 9)"), "connection refused"),
        (OSError(113, "Connect call failed ('192.0.2.1', 443)"), "no route to host"),
        (
            OSError(
                "Multiple exceptions: [Errno 111] Connect call failed ('::1', 9, 0, 0), "
                "[Errno 111] Connect call failed ('127.0.0.1', 9), [Errno 101] Connect call failed"
            ),
            "connection refused, network is unreachable",
        ),
        (OSError("no\nnumber"), r"no\nnumber"),
    ],
)
async def test_why_a_device_cannot_be_connected_is_told_in_words(
    device: MockedDevice, client: NtpClient, problem: OSError, what: str
) -> None:
    device.answers(exception=aiohttp.ClientConnectorError(Mock(), problem))
    assert str(await fails(client)) == f"cannot connect: {what}"


async def test_the_version_is_negotiated_once_and_remembered(
    device: MockedDevice, client: NtpClient
) -> None:
    device.answers(body=api_error(4001))
    device.answers(body='{"apiVersion":"1.5","data":{"apiVersions":["1.4","1.5","2.0"]}}')
    device.answers(body=GOOD, repeat=True)
    await client.get_info()
    await client.get_info()
    sent = [(request["method"], request.get("apiVersion")) for request in requests(device)]
    assert sent == [
        ("getNTPInfo", "1.0"),
        ("getSupportedVersions", None),
        ("getNTPInfo", "1.5"),
        ("getNTPInfo", "1.5"),
    ]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (api_error(4000), "API error 4001"),
        (api_error(1000), "API error 4001"),
        ('{"data": {"apiVersions": ["2.0"]}}', "supports no API version 1.x, only: 2.0"),
        ('{"data": {"apiVersions": ["1.0"]}}', "API error 4001"),
    ],
)
async def test_a_version_that_cannot_be_settled_is_unsupported(
    device: MockedDevice, client: NtpClient, answer: str, why: str
) -> None:
    device.answers(body=api_error(4001))
    device.answers(body=answer)
    error = await fails(client)
    assert (error.reason, error.code) == ("unsupported", 4001)
    assert why in str(error)


async def test_every_challenge_of_several_headers_is_read(
    device: MockedDevice, client: NtpClient
) -> None:
    challenges = CIMultiDict(
        [("WWW-Authenticate", 'Basic realm="AXIS"'), ("WWW-Authenticate", DIGEST)]
    )
    device.answers(status=401, headers=challenges)
    device.answers(body=GOOD)
    await client.get_info()
    first, second = device.requests[("POST", ADDRESS)]
    assert "Authorization" not in first.kwargs["headers"]
    assert second.kwargs["headers"]["Authorization"].startswith("Digest ")


async def test_a_device_that_drops_every_connection_is_asked_once_a_poll(
    device: MockedDevice, client: NtpClient
) -> None:
    device.answers(exception=aiohttp.ServerDisconnectedError(), repeat=True)
    for polls in (1, 2, 3):
        await fails(client)
        assert len(requests(device)) == polls


async def test_a_configuration_is_sent_as_the_reference_has_it(
    device: MockedDevice, client: NtpClient
) -> None:
    device.answers(body=GOOD)
    device.answers(body='{"apiVersion": "1.0", "data": {}}')
    reading = (await client.get_info()).value
    assert reading.client is not None
    current = reading.client.settings
    await set_configuration(client, NtpClientConfiguration(static_servers=("10.0.0.1",)), current)
    assert requests(device)[-1] == {
        "apiVersion": "1.0",
        "method": "setNTPClientConfiguration",
        "params": {"staticServers": ["10.0.0.1"]},
    }


async def test_a_configuration_that_would_be_refused_is_not_sent(
    device: MockedDevice, client: NtpClient
) -> None:
    device.answers(body=GOOD)
    reading = (await client.get_info()).value
    assert reading.client is not None
    current = reading.client.settings
    with pytest.raises(InvalidConfiguration):
        await set_configuration(client, NtpClientConfiguration(minpoll=25), current)
    assert len(requests(device)) == 1


async def test_no_exception_holds_the_password(device: MockedDevice, client: NtpClient) -> None:
    device.answers(status=401, headers={"WWW-Authenticate": DIGEST}, repeat=True)
    error = await fails(client)
    assert "secret" not in f"{error!r} {error} {error.__dict__} {error.__context__!r}"


async def test_an_internal_fault_becomes_an_error_of_the_device_and_is_logged(
    client: NtpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client._session, "request", Mock(side_effect=ZeroDivisionError))
    with capture_logs() as logs:
        error = await fails(client)
    assert error.reason == "internal"
    assert [(log["event"], log["exc_info"]) for log in logs] == [("poll.internal_error", True)]


async def test_a_stored_error_keeps_no_frames_alive(
    device: MockedDevice, client: NtpClient
) -> None:
    device.answers(exception=aiohttp.ServerDisconnectedError())
    error = (await Device(DeviceTarget("x", "x", {}, 60, 10), client).poll(HostClock())).result
    assert isinstance(error, errors.DeviceError)
    assert (error.__traceback__, error.__cause__, error.__context__) == (None, None, None)
