"""Clients that never read, or open connections only to keep them."""

import asyncio
import gzip
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import pytest
import structlog
from aiohttp import web

from exporter.web import limits, response_slots
from exporter.web.limits import ConnectionLimit
from exporter.web.listener import run_application
from exporter.web.response_slots import ResponseSlots, limit_responses
from tests.support.fake_time import FakeTimeLoop, run_in_fake_time
from tests.support.programs import LOOPBACK

LARGE = b"x" * 20_000_000
"""More than the kernel's buffers hold of a connection."""

GET = b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n"


async def _small(_request: web.Request) -> web.Response:
    return web.Response(text="small")


async def _slow(_request: web.Request) -> web.Response:
    await asyncio.sleep(0.002)
    return web.Response(text="slow")


async def _large(_request: web.Request) -> web.Response:
    return web.Response(body=LARGE)


async def _echo(request: web.Request) -> web.Response:
    return web.Response(body=await request.read())


async def _stream(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    for start in range(0, len(LARGE), 100_000):
        await response.write(LARGE[start : start + 100_000])
    await response.write_eof()
    return response


@asynccontextmanager
async def server(
    slots: ResponseSlots | None = None, limit: ConnectionLimit | None = None
) -> AsyncIterator[int]:
    app = web.Application(middlewares=[limit_responses(slots or ResponseSlots(), ["/-/healthy"])])
    routes = {
        "/": _small,
        "/-/healthy": _small,
        "/slow": _slow,
        "/large": _large,
        "/stream": _stream,
    }
    app.add_routes([web.get(path, handler) for path, handler in routes.items()])
    app.add_routes([web.post("/echo", _echo)])
    async with (
        asyncio.timeout(15),
        run_application(app, shutdown_seconds=0.1, limit=limit) as runner,
    ):
        await web.TCPSite(runner, LOOPBACK, 0).start()
        yield runner.addresses[0][1]


@asynccontextmanager
async def visitor(
    port: int, path: bytes = b"", address: str = LOOPBACK
) -> AsyncIterator[socket.socket]:
    """A connection that has sent a request, if any, and reads nothing by itself."""
    loop = asyncio.get_running_loop()
    with socket.create_connection((LOOPBACK, port), source_address=(address, 0)) as client:
        client.settimeout(0)
        if path:
            await loop.sock_sendall(client, GET % path)
        yield client


async def read_all(client: socket.socket) -> bytes:
    """Read until the server closes."""
    loop, received = asyncio.get_running_loop(), b""
    with suppress(ConnectionResetError):
        while chunk := await loop.sock_recv(client, 1_000_000):
            received += chunk
    return received


async def status_of(port: int, path: bytes = b"/") -> int:
    async with visitor(port, path) as client:
        head = await asyncio.get_running_loop().sock_recv(client, 1000)
    return int(head.split()[1])


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    while not await holds():
        await asyncio.sleep(0.001)


@pytest.mark.parametrize("path", [b"/large", b"/stream"])
async def test_a_client_that_never_reads_is_disconnected(
    path: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "_CHECK_SECONDS", 0.01)
    monkeypatch.setattr(limits, "UNREAD_SECONDS", 0.1)
    limit = ConnectionLimit()
    async with server(limit=limit) as port, visitor(port, path) as client:
        while not limit._open:
            await asyncio.sleep(0.001)
        while limit._open:
            await asyncio.sleep(0.001)
        # Some is in the kernel's buffers already.
        assert len(await read_all(client)) < len(LARGE)


@pytest.mark.parametrize("path", [b"/large", b"/stream"])
async def test_a_client_that_reads_steadily_gets_everything_though_it_is_slow(
    path: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "_CHECK_SECONDS", 0.01)
    monkeypatch.setattr(limits, "UNREAD_SECONDS", 0.2)
    async with server() as port, visitor(port, path) as client:
        loop, left = asyncio.get_running_loop(), len(LARGE)
        while left > 0:
            received = await loop.sock_recv(client, 50_000)
            assert received, "disconnected"
            left -= len(received)
            await asyncio.sleep(0.003)


class SlowlyRead(asyncio.Transport):
    """Of 100,000 bytes, so many leave in a second."""

    def __init__(self, per_second: float) -> None:
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self._per_second = per_second
        self.aborted_at: float | None = None

    def get_write_buffer_size(self) -> int:
        return max(0, round(100_000 - self._per_second * self._loop.time()))

    def abort(self) -> None:
        self.aborted_at = self._loop.time()


@pytest.mark.parametrize(("per_second", "aborted_at"), [(0, 60), (1, 120), (900, None)])
def test_a_response_must_be_read_within_two_minutes_and_never_rest_for_one(
    per_second: int, aborted_at: float | None
) -> None:
    async def main(_loop: FakeTimeLoop) -> None:
        transport = SlowlyRead(per_second)
        watch = limits.UnreadWatch(transport)
        await asyncio.sleep(200)
        watch.stop()
        assert transport.aborted_at == aborted_at

    run_in_fake_time(main)


@pytest.mark.parametrize("path", [b"/large", b"/stream"])
async def test_more_responses_than_allowed_get_503_until_one_is_read(
    path: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(response_slots, "WAIT_SECONDS", 0.0)
    async with server(ResponseSlots(2)) as port, AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(visitor(port, path)) for _ in range(2)]
        await until(lambda: is_status(port, b"/", 503))
        assert await status_of(port, b"/-/healthy") == 200
        clients[0].close()
        await until(lambda: is_status(port, b"/", 200))


async def is_status(port: int, path: bytes, status: int) -> bool:
    return await status_of(port, path) == status


async def test_a_client_that_has_stopped_reading_makes_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(response_slots, "WAIT_SECONDS", 0.01)
    async with server(ResponseSlots(2)) as port, AsyncExitStack() as stack:
        for _ in range(2):
            await stack.enter_async_context(visitor(port, b"/large"))
        await until(lambda: is_status(port, b"/", 503))
        monkeypatch.setattr(response_slots, "STALLED_SECONDS", 0.0)
        await until(lambda: is_status(port, b"/", 200))


async def test_of_a_flood_nobody_is_refused_and_each_has_its_turn() -> None:
    async with server(ResponseSlots(2)) as port:
        flood = [asyncio.create_task(ask_without_end(port)) for _ in range(60)]
        assert {await status_of(port) for _ in range(10)} == {200}
        assert not [each for each in flood if each.done()]
        for each in flood:
            each.cancel()
        await asyncio.gather(*flood, return_exceptions=True)


async def ask_without_end(port: int) -> None:
    while await status_of(port, b"/slow") == 200:
        pass


async def test_one_address_cannot_take_all_slots() -> None:
    async with server(ResponseSlots(3, most_per_client=2)) as port, AsyncExitStack() as stack:
        for _ in range(5):
            await stack.enter_async_context(visitor(port, b"/large", address="127.0.0.2"))
        for _ in range(50):
            assert await status_of(port) == 200


async def test_too_many_waiting_requests_are_refused_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(response_slots, "MAX_WAITING", 3)
    async with server(ResponseSlots(1)) as port, AsyncExitStack() as stack:
        for _ in range(5):
            await stack.enter_async_context(visitor(port, b"/large"))
        await until(lambda: is_status(port, b"/", 503))
        assert await status_of(port, b"/-/healthy") == 200


async def test_idle_connections_make_way_for_new_ones_and_are_logged_once() -> None:
    with structlog.testing.capture_logs() as logged:
        async with server(limit=ConnectionLimit(5)) as port, AsyncExitStack() as stack:
            idle = [await stack.enter_async_context(visitor(port)) for _ in range(20)]
            assert await status_of(port) == 200
            assert await read_all(idle[0]) == b""
    assert [(line["event"], line["limit"]) for line in logged] == [("web.too_many_connections", 5)]


async def test_a_new_connection_is_closed_if_all_others_are_busy() -> None:
    async with server(limit=ConnectionLimit(2)) as port, AsyncExitStack() as stack:
        for _ in range(2):
            busy = await stack.enter_async_context(visitor(port, b"/large"))
            await asyncio.get_running_loop().sock_recv(busy, 10)
        async with visitor(port, b"/") as another:
            assert await read_all(another) == b""


async def test_the_state_that_tells_idle_connections_is_where_we_look() -> None:
    async def respond(_request: web.BaseRequest) -> web.Response:
        return web.Response()

    connection = web.RequestHandler(web.Server(respond), loop=asyncio.get_running_loop())
    assert limits.is_idle(connection), "aiohttp changed: adapt exporter/web/limits.py"


POST = b"POST %s HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n"


@pytest.mark.parametrize("path", [b"/echo", b"/-/healthy"])
@pytest.mark.parametrize(
    ("framing", "body"),
    [(b"Content-Length: 100000000", b"x"), (b"Transfer-Encoding: chunked", b"1\r\nx\r\n")],
)
async def test_a_client_that_sends_an_endless_body_is_disconnected(
    path: bytes, framing: bytes, body: bytes
) -> None:
    loop, sent = asyncio.get_running_loop(), 0
    async with server() as port, visitor(port) as client:
        await loop.sock_sendall(client, POST % (path, framing))
        with suppress(ConnectionError):
            while sent < 100_000_000:
                await loop.sock_sendall(client, body * 10_000)
                sent += len(body) * 10_000
        assert await status_of(port) == 200
    assert sent < 20_000_000, "no more than the kernel's buffers hold"


async def test_a_client_that_sends_requests_without_end_is_served_while_it_reads() -> None:
    async with server() as port, visitor(port) as client:
        loop = asyncio.get_running_loop()
        for _ in range(100):
            await loop.sock_sendall(client, GET % b"/" * 50)
            received = b""
            while received.count(b"small") < 50:
                received += await loop.sock_recv(client, 100_000)


async def test_a_compressed_body_is_not_unpacked() -> None:
    bomb = gzip.compress(bytes(10_000_000))
    headers = b"Content-Encoding: gzip\r\nConnection: close\r\nContent-Length: %d" % len(bomb)
    async with server() as port, visitor(port) as client:
        await asyncio.get_running_loop().sock_sendall(client, POST % (b"/echo", headers) + bomb)
        assert (await read_all(client)).partition(b"\r\n\r\n")[2] == bomb
