"""Hostile devices on real sockets: what they send unasked or without end does no harm."""

import asyncio
import resource
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from yarl import URL

from exporter.hold import SHORTEST_HOLD_NS, Hold
from exporter.host_clock import steady_ns
from exporter.reading import Reading
from exporter.vapix import errors
from exporter.vapix.auth import Authenticator, Credentials
from exporter.vapix.client import Endpoint, NtpClient
from exporter.vapix.session import GuardedConnection, open_session

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def answer(servers_max: int = 5, head: bytes = b"") -> bytes:
    body = b'{"data":{"client":{"maxSupportedStaticServers":%d}}}' % servers_max
    return b"HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n%s" % (head, len(body), body)


async def read_request(reader: asyncio.StreamReader) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
    await reader.readexactly(length)


@asynccontextmanager
async def client_of(handler: Handler) -> AsyncIterator[NtpClient]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client has gone, as it should
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    url = URL(f"http://127.0.0.1:{port}/axis-cgi/ntp.cgi")
    authenticator = Authenticator("auto", Credentials("root", "pass"), secure=False)
    async with server, open_session() as session:
        yield NtpClient(session, Endpoint(url), authenticator)


async def servers_max(client: NtpClient) -> int | None:
    async with asyncio.timeout(5):
        reading: Reading = await client.get_info()
    assert reading.client is not None
    return reading.client.static_servers_max


async def error_of(client: NtpClient, deadline_seconds: float = 5) -> errors.DeviceError:
    async with asyncio.timeout(deadline_seconds):
        with pytest.raises(errors.DeviceError) as caught:
            await client.get_info()
    return caught.value


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
                patch.setattr(connection, "transport", FakeTransport(its))
            assert [is_quiet(each) for each in (mine, yours, mine, yours)] == [False, True] * 2


@dataclass
class FakeTransport:
    its: socket.socket

    def get_extra_info(self, _name: str) -> socket.socket:
        return self.its


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
        assert (await error_of(client)).reason == "invalid_response"
        assert [each.date for each in client.take_sightings()] == ["Sun, 22 Nov 2026 12:00:00 GMT"]


async def test_interim_answers_are_passed_over() -> None:
    async def device(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(CONTINUE + CONTINUE + answer(7))
        await reader.read()

    async with client_of(device) as client:
        assert await servers_max(client) == 7


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


async def test_every_answer_is_a_sighting_with_the_times_around_it() -> None:
    async def device(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_request(reader)
            writer.write(answer(5, b"Date: Sun, 22 Nov 2026 12:00:00 GMT\r\n"))

    async with client_of(device) as client:
        await servers_max(client)
        await servers_max(client)
        first, second = client.take_sightings()
        assert client.take_sightings() == []
    assert 0 < first.sent_ns <= first.received_ns <= second.sent_ns <= second.received_ns
    assert first.date == "Sun, 22 Nov 2026 12:00:00 GMT"


async def at_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        await read_request(reader)
        writer.write(answer())


async def leaves_after_ns(client: NtpClient, wait_ns: int) -> int:
    """How long after the moment it was to leave a request left."""
    moment_ns = steady_ns() + wait_ns
    await client.get_info(Hold(moment_ns))
    (sighting,) = client.take_sightings()
    return sighting.sent_ns - moment_ns


@pytest.mark.parametrize("wait_ms", [10, 150])
async def test_a_request_leaves_at_the_moment_it_is_to_leave(wait_ms: int) -> None:
    async with client_of(at_once) as client:
        late = [await leaves_after_ns(client, wait_ms * 1_000_000) for _ in range(5)]
    assert all(each > -SHORTEST_HOLD_NS for each in late)
    # A busy machine wakes us late: the least disturbed one counts.
    assert min(late) < 8_000_000


async def test_how_long_a_request_was_held_is_told() -> None:
    async with client_of(at_once) as client:
        begun_ns, hold = steady_ns(), Hold(steady_ns() + 100_000_000)
        await client.get_info(hold)
        (sighting,) = client.take_sightings()
    assert 50_000_000 < hold.held_ns < sighting.sent_ns - begun_ns


async def test_a_moment_that_has_passed_holds_nothing_back() -> None:
    async with client_of(at_once) as client:
        hold = Hold(steady_ns() - 1)
        await client.get_info(hold)
    assert hold.held_ns == 0


async def test_a_held_request_says_what_it_waits_for() -> None:
    async with client_of(at_once) as client:
        held = asyncio.create_task(client.get_info(Hold(steady_ns() + 60 * 10**9)))
        async with asyncio.timeout(5):
            while client.stage != "connected, waiting for the moment to ask":
                await asyncio.sleep(0.01)
        held.cancel()


async def test_a_timeout_waits_while_a_request_is_held() -> None:
    async with client_of(at_once) as client:
        hold = Hold(steady_ns() + 300_000_000)
        async with asyncio.timeout(0.2) as hold.deadline:
            await client.get_info(hold)
    assert hold.held_ns > 200_000_000


async def test_a_kept_connection_that_ends_while_a_request_is_held_costs_a_reconnect_only() -> None:
    served = 0

    async def device(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal served
        served += 1
        await read_request(reader)
        writer.write(answer())
        await asyncio.sleep(0.05)  # the device ends an idle connection, as Apache does after 5 s

    async with client_of(device) as client:
        await client.get_info()
        hold = Hold(steady_ns() + 200_000_000)
        await client.get_info(hold)
    assert served == 2
    assert hold.held_ns > 150_000_000
