"""What leaves for a device: one piece, with the headers that we chose."""

import asyncio

import pytest

from exporter.vapix.connection import GuardedConnection
from tests.vapix.raw_device import answer, client_of, servers_max

BODY = b'{"method": "getNTPInfo", "apiVersion": "1.0"}'
DIGEST = b'WWW-Authenticate: Digest realm="AXIS", nonce="abc", qop="auth"\r\n'
REFUSAL = b"HTTP/1.1 401 Unauthorized\r\n%sContent-Length: 0\r\n\r\n" % DIGEST


async def test_a_request_is_one_segment_of_known_headers_and_body() -> None:
    requests = []

    async def device(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(await reader.read(65_536))
        writer.write(REFUSAL)
        requests.append(await reader.read(65_536))
        writer.write(answer())

    async with client_of(device) as client:
        assert await servers_max(client) == 5
        host = client._endpoint.url.authority
    anonymous, authorized = ((head.split(b"\r\n"), body) for head, _, body in map(parts, requests))
    assert anonymous[1] == authorized[1] == BODY
    assert anonymous[0][0] == b"POST /axis-cgi/ntp.cgi HTTP/1.1"
    assert sorted(anonymous[0][1:]) == [
        b"Accept-Encoding: identity",
        b"Accept: */*",
        b"Content-Length: %d" % len(BODY),
        b"Content-Type: application/json",
        b"Host: %s" % host.encode(),
        b"User-Agent: axis-ntp-exporter",
    ]
    (more,) = set(authorized[0]) - set(anonymous[0])
    assert more.startswith(b'Authorization: Digest username="root"')


def parts(request: bytes) -> tuple[bytes, bytes, bytes]:
    return request.partition(b"\r\n\r\n")


async def test_a_connection_that_still_owes_bytes_to_the_device_is_not_used_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    served = 0

    async def device(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal served
        served += 1
        while await reader.read(65_536):
            writer.write(answer())

    is_quiet = GuardedConnection.is_quiet

    def fill_first(connection: GuardedConnection) -> bool:
        connection.pause_writing()  # as the transport does when the device no longer reads
        return is_quiet(connection)

    monkeypatch.setattr(GuardedConnection, "is_quiet", fill_first)
    async with client_of(device) as client:
        assert [await servers_max(client) for _ in range(2)] == [5, 5]
    assert served == 2
