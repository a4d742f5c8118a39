"""Some devices repeat the credentials that they were sent: nothing of ours shows them."""

import asyncio
import base64
import json
from typing import Final

import pytest

from exporter.vapix.http_auth import DeviceCredentials
from exporter.vapix.ntp_info import NtpSettings
from tests.vapix.raw_device import Handler, client_of, error_of, read_request

PASSWORD: Final = 'geh"eim é/+ 123'
CREDENTIALS: Final = DeviceCredentials("root", PASSWORD)
TOKEN: Final = base64.b64encode(f"root:{PASSWORD}".encode()).decode()

SPELLINGS: Final = [
    PASSWORD,
    json.dumps(PASSWORD)[1:-1],
    json.dumps(PASSWORD, ensure_ascii=False)[1:-1],
    "geh%22eim%20%C3%A9/%2B%20123",
    "geh%22eim+%C3%A9%2F%2B+123",
    "geh&quot;eim é/+ 123",
    TOKEN,
]


def responding(head: str, body: str = "") -> Handler:
    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        length = f"Content-Length: {len(body.encode())}\r\n\r\n"
        writer.write(f"HTTP/1.1 {head}\r\n{length}{body}".encode())
        await writer.drain()
        await reader.read()

    return respond


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_of_the_password_is_replaced(spelling: str) -> None:
    text = f"login root:{spelling} refused".encode()
    assert CREDENTIALS.redact(text) in (
        b"login root:<secret> refused",
        b"login <secret> refused",
    )


def test_a_word_that_contains_the_password_stays() -> None:
    assert DeviceCredentials("root", "pass").redact(b"wrong password") == b"wrong password"


LONG: Final = DeviceCredentials("root", "Tr0ub4dor&3x9Zq")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("bad login rootTr0ub4dor&3x9Zq", "bad login root<secret>"),
        ("loginTr0ub4dor&3x9Zq.example", "login<secret>.example"),
        ("Tr0ub4dor&3x9Zq7", "<secret>7"),
        ("Tr0ub4dor%263x9Zqx", "<secret>x"),
        (f"x{LONG.basic_token}x", "x<secret>x"),
    ],
)
def test_a_long_password_and_the_token_are_replaced_beside_letters_too(
    text: str, shown: str
) -> None:
    assert LONG.redact(text.encode()) == shown.encode()


def test_the_token_of_a_short_password_is_replaced_beside_letters_too() -> None:
    short = DeviceCredentials("root", "pass")
    assert short.redact(f"x{short.basic_token}y pass".encode()) == b"x<secret>y <secret>"


async def test_no_error_names_the_password_as_a_login_method() -> None:
    credentials = DeviceCredentials("root", "tr0ub4dor3x9zq")
    head = "401 Unauthorized\r\nWWW-Authenticate: tr0ub4dor3x9zq realm=x"
    async with client_of(responding(head), credentials=credentials) as client:
        assert "tr0ub4dor" not in str(await error_of(client))


@pytest.mark.parametrize("spelling", [each for each in SPELLINGS if each.isascii()])
async def test_no_error_quotes_the_password_from_a_header(spelling: str) -> None:
    for head in (
        f"302 Found\r\nLocation: http://elsewhere.example/?login={spelling}",
        f"401 Unauthorized\r\nWWW-Authenticate: Bearer hint={spelling}",
    ):
        async with client_of(responding(head), credentials=CREDENTIALS) as client:
            message = str(await error_of(client))
        assert "<secret>" in message
        assert spelling not in message


async def test_no_error_quotes_the_password_from_a_body() -> None:
    body = json.dumps({"error": {"code": 1234, "message": f"not {PASSWORD}"}})
    async with client_of(responding("200 OK", body), credentials=CREDENTIALS) as client:
        assert str(await error_of(client)) == "API error 1234: not <secret>"


@pytest.mark.parametrize("password", ["", "10", "true", "static", "{", "client"])
async def test_a_password_that_json_needs_breaks_no_reading(password: str) -> None:
    section = {"enabled": True, "maxpoll": 10, "minpoll": 6, "serversSource": "DHCP"}
    body = json.dumps({"data": {"client": section}, "method": "\u00e9"})
    credentials = DeviceCredentials("root", password)
    async with client_of(responding("200 OK", body), credentials=credentials) as client:
        reading = (await client.get_info()).value
    assert reading.client is not None
    assert reading.client.settings == NtpSettings(
        enabled=True, maxpoll=10, minpoll=6, servers_source="dhcp"
    )


async def test_an_escaped_password_is_replaced_too() -> None:
    escaped = "".join(f"\\u{ord(each):04x}" for each in PASSWORD)
    body = f'{{"error": {{"code": 1234, "message": "not {escaped}"}}}}'
    async with client_of(responding("200 OK", body), credentials=CREDENTIALS) as client:
        assert str(await error_of(client)) == "API error 1234: not <secret>"


async def test_no_reading_contains_the_password() -> None:
    client_section = {"staticServers": [PASSWORD, f"{TOKEN}.example"], "minpoll": PASSWORD}
    body = json.dumps({"data": {"client": client_section}})
    async with client_of(responding("200 OK", body), credentials=CREDENTIALS) as client:
        reading = (await client.get_info()).value
    assert reading.client is not None
    assert reading.client.settings.static_servers == ("<secret>", "<secret>.example")
    assert "geh" not in repr(reading)


async def test_a_realm_with_the_password_is_no_serial_number() -> None:
    for password, serial in (("acdc01234567", ""), ("another", "ACDC01234567")):
        head = '401 Unauthorized\r\nWWW-Authenticate: Basic realm="AXIS_acdc01234567"'
        responses = responding(head)
        async with client_of(responses, credentials=DeviceCredentials("root", password)) as client:
            await error_of(client)
            assert client.identity.serial == serial
