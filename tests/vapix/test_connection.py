"""Hostile devices on real sockets: what they send unasked or without end does no harm."""

import asyncio
import resource
import socket

import pytest

from exporter.vapix.client import NtpClient
from exporter.vapix.connection import GuardedConnection
from exporter.vapix.errors import (
    DeviceError,
    HttpsPort,
    InvalidResponse,
    TlsResponse,
    UnexpectedStatus,
)
from tests.vapix.raw_device import answer, client_of, error_of, read_request, servers_max

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


async def test_an_answer_that_nobody_asked_for_never_becomes_the_next_polls() -> None:
    unasked = asyncio.Event()
    sent = 0

    async def device(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        while True:
            await read_request(reader)
            sent += 1
            writer.write(answer(sent))
            if sent == 1:
                await asyncio.sleep(0.05)
                writer.write(answer(999))
                await writer.drain()
                unasked.set()

    async with client_of(device) as client:
        assert await servers_max(client) == 1
        await unasked.wait()
        assert [await servers_max(client) for _ in range(3)] == [2, 3, 4]


async def test_a_connection_that_another_client_has_taken_already_is_left_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    connections = 0

    async def device(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while True:
            await read_request(reader)
            head, _, body = answer().partition(b"\r\n\r\n")
            writer.write(head + b"\r\n\r\n")
            await asyncio.sleep(0.02)
            writer.write(body)

    body_came = asyncio.Event()
    receive = GuardedConnection.data_received

    def tell(connection: GuardedConnection, data: bytes) -> None:
        if data.startswith(b"{"):
            body_came.set()  # who waits for it goes on before who reads the body
        receive(connection, data)

    monkeypatch.setattr(GuardedConnection, "data_received", tell)
    async with client_of(device) as client:
        another = NtpClient(client._session, client._endpoint, client._authenticator)

        async def take_the_connection() -> int | None:
            await body_came.wait()
            return await servers_max(another)

        taking = asyncio.create_task(take_the_connection())
        assert await servers_max(client) == 5
        client.release()
        assert await taking == 5
    assert connections == 1


async def test_one_connections_unread_bytes_are_not_taken_for_anothers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def device(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_request(reader)
            writer.write(answer())

    connections: list[GuardedConnection] = []
    is_quiet = GuardedConnection.is_quiet

    def note(connection: GuardedConnection) -> bool:
        connections.append(connection)
        return is_quiet(connection)

    monkeypatch.setattr(GuardedConnection, "is_quiet", note)
    async with client_of(device) as one, client_of(device) as other:
        for _ in range(2):
            assert await servers_max(one) == await servers_max(other) == 5
        mine, yours = connections
        assert mine is not yours
        unread, kept = socket.socketpair()
        with unread, kept, monkeypatch.context() as patch:
            kept.send(b"unasked")
            for connection, its in ((mine, unread), (yours, kept)):
                patch.setattr(connection, "_file", its.fileno())
            assert [is_quiet(each) for each in (mine, yours, mine, yours)] == [False, True] * 2


async def test_two_answers_at_once_count_as_one() -> None:
    sent = 0

    async def device(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        while True:
            await read_request(reader)
            sent += 1
            writer.write(answer(sent) + answer(999))

    async with client_of(device) as client:
        assert [await servers_max(client) for _ in range(3)] == [1, 2, 3]


async def test_a_flood_on_an_idle_connection_ends_the_connection_and_takes_no_memory() -> None:
    ended = asyncio.Event()

    async def device(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(answer())
        await asyncio.sleep(0.05)
        try:
            while True:
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" * 1000)
                await writer.drain()
        finally:
            ended.set()

    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    async with client_of(device) as client:
        await servers_max(client)
        async with asyncio.timeout(5):
            await ended.wait()
        assert await servers_max(client) == 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < 20_000


@pytest.mark.parametrize(
    ("start", "endless"),
    [
        (b"", CONTINUE * 2000),
        (b"", b"HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n" * 2000),
        (b"HTTP/1.1 200 OK\r\n", b"X-Header: and another\r\n" * 1000),
        (b"HTTP/1.1 200 ", b"x" * 65_536),
        (b"HTTP/1.1 200 OK\r\n\r\n", b" " * 65_536),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n" * 10_000),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"x" * 65_536),
    ],
)
async def test_what_has_no_end_is_an_invalid_response_long_before_the_deadline(
    start: bytes, endless: bytes
) -> None:
    async def device(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(start)
        while True:
            writer.write(endless)
            await writer.drain()

    async with client_of(device) as client:
        error = await error_of(client)
    assert error.reason == "invalid_response"


async def test_an_answer_of_just_64_kib_is_read_though_it_comes_at_once() -> None:
    async def device(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        body = b'{"data":{"client":{"maxSupportedStaticServers":7}}}'.ljust(64 * 1024)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 65536\r\n\r\n" + body)
        await reader.read()

    async with client_of(device) as client:
        assert await servers_max(client) == 7


async def test_a_body_that_is_too_long_shows_the_clock_all_the_same() -> None:
    async def device(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        head = b"HTTP/1.1 200 OK\r\nDate: Sun, 22 Nov 2026 12:00:00 GMT\r\n"
        writer.write(head + b"Content-Length: 4000000\r\n\r\n" + b" " * 4_000_000)
        await writer.drain()

    async with client_of(device) as client:
        error = await error_of(client)
    assert error.reason == "invalid_response"
    assert [each.date for each in error.times.responses] == ["Sun, 22 Nov 2026 12:00:00 GMT"]


async def test_interim_answers_are_passed_over() -> None:
    async def device(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(CONTINUE + CONTINUE + answer(7))
        await reader.read()

    async with client_of(device) as client:
        assert await servers_max(client) == 7


def wants_tls(body: bytes) -> bytes:
    return b"HTTP/1.1 400 Bad Request\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"hello, this is no HTTP\r\n\r\n", "invalid_response"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nabc", "invalid_response"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n", "invalid_response"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 7\r\n\r\n", "invalid_response"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{", "disconnected"),
        (b"HTTP/1.1 200 OK\r\nCont", "disconnected"),
        (b"", "disconnected"),
    ],
)
async def test_broken_http_is_a_device_error(raw: bytes, reason: str) -> None:
    async def device(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(raw)
        await writer.drain()

    async with client_of(device) as client:
        assert (await error_of(client)).reason == reason


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (b"\x15\x03\x01\x00\x02\x02\x46", TlsResponse),
        (b"\x15\x03\x03\x00\x02\x02\x0a", TlsResponse),
        (b"SSH-2.0-OpenSSH_9.2\r\n", InvalidResponse),
        (wants_tls(b"400 The plain HTTP request was sent to HTTPS port"), HttpsPort),
        (wants_tls(b"Client sent an HTTP request to an HTTPS server.\n"), HttpsPort),
        (wants_tls(b"Bad Request"), UnexpectedStatus),
    ],
    ids=["TLS 1.0", "TLS 1.2", "SSH", "nginx", "Go", "another 400"],
)
async def test_a_port_that_wants_tls_is_recognized(raw: bytes, kind: type[DeviceError]) -> None:
    async def device(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(raw)
        await writer.drain()

    async with client_of(device) as client:
        error = await error_of(client)
    assert type(error) is kind
    assert ("https on this port" in str(error)) == (kind in (HttpsPort, TlsResponse))


async def test_a_compressed_bomb_is_not_unpacked() -> None:
    async def device(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(answer(7, b"Content-Encoding: gzip\r\n"))
        await reader.read()

    async with client_of(device) as client:
        assert await servers_max(client) == 7, "the body is taken as it is, never unpacked"


async def test_several_dead_connections_to_one_address_cost_no_poll() -> None:
    connections = 0

    async def device(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await read_request(reader)
        writer.write(answer(connections))
        await writer.drain()
        if connections <= 3:
            await read_request(reader)  # and close without an answer: it was idle too long

    async with client_of(device) as client:
        others = [NtpClient(client._session, client._endpoint, client._authenticator) for _ in "12"]
        await asyncio.gather(*(servers_max(each) for each in (client, *others)))
        assert connections == 3
        assert await servers_max(client) == 4


async def test_a_device_that_ends_every_connection_is_asked_once_a_poll() -> None:
    requests = 0

    async def device(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        nonlocal requests
        await read_request(reader)
        requests += 1

    async with client_of(device) as client:
        for polls in (1, 2, 3):
            assert (await error_of(client)).reason == "disconnected"
            assert requests == polls


async def test_connection_close_is_heeded() -> None:
    connections = 0

    async def device(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await read_request(reader)
        writer.write(answer(connections, b"Connection: close\r\n"))

    async with client_of(device) as client:
        assert [await servers_max(client) for _ in range(3)] == [1, 2, 3]


async def test_a_call_returns_the_times_around_each_response() -> None:
    async def device(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_request(reader)
            writer.write(answer(5, b"Date: Sun, 22 Nov 2026 12:00:00 GMT\r\n"))

    async with client_of(device) as client:
        (first,), (second,) = [(await client.get_info()).times.responses for _ in range(2)]
    assert 0 < first.sent_ns <= first.received_ns <= second.sent_ns <= second.received_ns
    assert first.date == "Sun, 22 Nov 2026 12:00:00 GMT"
