"""The resolver in an aiohttp session like the exporter's."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest
import uvloop

from exporter.vapix.dns import (
    MAX_ADDRESSES_OF_FAMILY,
    MIN_TTL_SECONDS,
    AresDns,
    CachingResolver,
)
from tests.vapix.dns_server import SILENCE, A, at, dns_of, dns_server


@asynccontextmanager
async def session_over(
    dns: AresDns, monotonic: Callable[[], float] = time.monotonic
) -> AsyncIterator[aiohttp.ClientSession]:
    resolver = CachingResolver(dns, monotonic)
    connector = aiohttp.TCPConnector(
        limit=0, resolver=resolver, use_dns_cache=False, force_close=True
    )
    try:
        async with aiohttp.ClientSession(connector=connector) as session:
            yield session
    finally:
        await resolver.close()


@asynccontextmanager
async def device() -> AsyncIterator[int]:
    """Serve HTTP on all loopback addresses, responding with the one used; yield the port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = writer.get_extra_info("sockname")[0].encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "0.0.0.0", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def poll(session: aiohttp.ClientSession, name: str, port: int) -> str:
    async with session.get(f"http://{name}.example:{port}/") as response:
        return await response.text()


async def poll_beside_dead_names() -> float:
    """Poll a new name every 50 ms while 20 others hang; return the slowest poll's seconds."""
    healthy = {f"cam{number}": at("127.0.0.1") for number in range(20)}
    dead = {f"dead{number}": SILENCE for number in range(20)}
    slowest = 0.0
    async with (
        dns_server(**healthy, **dead) as server,
        dns_of(server) as dns,
        session_over(dns) as session,
        device() as port,
        asyncio.TaskGroup() as group,
    ):
        hanging = [group.create_task(poll(session, name, port)) for name in dead]
        for name in healthy:
            await asyncio.sleep(0.05)
            started = time.monotonic()
            assert await poll(session, name, port) == "127.0.0.1"
            slowest = max(slowest, time.monotonic() - started)
            assert not any(waiting.done() for waiting in hanging)
            assert server.asked[f"{name}.example", A] == 1
        for waiting in hanging:
            waiting.cancel()
    return slowest


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_names_that_are_never_answered_do_not_delay_other_lookups(
    new_loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    with asyncio.Runner(loop_factory=new_loop) as runner:
        slowest_seconds = runner.run(poll_beside_dead_names())
    # With a pool of four threads it would be as long as the dead names take: over five seconds.
    assert slowest_seconds < 1


async def test_a_name_that_does_not_exist_raises_aiohttps_dns_error() -> None:
    async with dns_server() as server, dns_of(server) as dns, session_over(dns) as session:
        with pytest.raises(aiohttp.ClientConnectorDNSError) as caught:
            await poll(session, "nobody", 80)
    assert str(caught.value.os_error) == "Domain name not found"
    assert "[Domain name not found]" in str(caught.value)


@pytest.mark.parametrize("host", ["a..b", "a" * 64 + ".example", ".a"])
async def test_an_invalid_name_raises_aiohttps_dns_error(host: str) -> None:
    async with dns_server() as server, dns_of(server) as dns, session_over(dns) as session:
        with pytest.raises(aiohttp.ClientConnectorDNSError) as caught:
            await session.get(f"http://{host}/")
    assert str(caught.value.os_error).startswith("not a DNS name: ")
    assert not server.asked


async def test_a_device_with_a_new_address_is_reached_as_soon_as_the_resolver_knows_it() -> None:
    # aiohttp's own cache would use the old address for ten more seconds.
    seconds = 0.0
    reached = []
    async with (
        dns_server(cam=at("127.0.0.1", ttl_seconds=0)) as server,
        dns_of(server) as dns,
        session_over(dns, lambda: seconds) as session,
        device() as port,
    ):
        reached.append(await poll(session, "cam", port))
        server.zone["cam.example"] = at("127.0.0.2")
        seconds = MIN_TTL_SECONDS
        reached.append(await poll(session, "cam", port))
        while server.asked["cam.example", A] < 2 or reached[-1] == "127.0.0.1":
            reached.append(await poll(session, "cam", port))
    assert reached[:2] == ["127.0.0.1", "127.0.0.1"]
    assert reached[-1] == "127.0.0.2"
    assert server.asked["cam.example", A] == 2


async def test_a_name_with_many_addresses_makes_few_connection_attempts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    many = at(*(f"127.0.1.{number}" for number in range(1, 41)))
    tried: list[str] = []

    async def refuse(_loop: object, _socket: object, address: tuple[str, int]) -> None:
        tried.append(address[0])
        raise ConnectionRefusedError

    monkeypatch.setattr(type(asyncio.get_running_loop()), "sock_connect", refuse)
    async with dns_server(cam=many) as server, dns_of(server) as dns, session_over(dns) as session:
        with pytest.raises(aiohttp.ClientConnectorError):
            await poll(session, "cam", 80)
    assert len(set(tried)) == MAX_ADDRESSES_OF_FAMILY
    assert len(tried) <= MAX_ADDRESSES_OF_FAMILY**2
