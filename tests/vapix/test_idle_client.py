"""What a client keeps between two polls: little, and nothing of the poll before.

A fleet has ten thousand of them.
"""

import asyncio
import gc
import sys
import weakref
from time import monotonic
from typing import Any, Final

import pytest
from aiohttp.client_proto import ResponseHandler

from exporter.vapix import aiohttp_internals, connection
from exporter.vapix.aiohttp_internals import LeanConnector
from exporter.vapix.connection import Exchange
from tests.vapix.raw_device import answer, at_once, client_of, read_request, servers_max

IDLE_SECONDS: Final = 180.0


async def test_a_kept_connection_keeps_no_task_of_a_poll_that_has_ended() -> None:
    async with client_of(at_once) as client:
        poll = asyncio.create_task(servers_max(client))
        await poll
        ended = weakref.ref(poll)
        del poll
        await asyncio.sleep(0)  # until then, the event loop has it
        gc.collect()
        assert ended() is None


async def test_a_kept_connection_keeps_only_the_last_exchange() -> None:
    gc.collect()
    before = count_exchanges()
    async with client_of(at_once) as client:
        for _ in range(3):
            await asyncio.create_task(servers_max(client))
        gc.collect()
        assert count_exchanges() - before == 1


def count_exchanges() -> int:
    return sum(isinstance(each, Exchange) for each in gc.get_objects())


async def test_the_list_of_a_devices_idle_connections_takes_100_bytes() -> None:
    async with client_of(at_once) as client:
        await servers_max(client)
        connector: Any = client._session.connector
        [idle] = connector._conns.values()
        assert sys.getsizeof(idle) <= 100


async def test_a_connection_that_is_idle_for_too_long_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    closed = asyncio.Event()

    async def device(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(answer())
        assert await reader.read() == b""
        closed.set()

    monkeypatch.setattr(connection, "KEEPALIVE_SECONDS", 0.05)
    async with client_of(device) as client:
        await servers_max(client)
        async with asyncio.timeout(10):
            await closed.wait()


class StubConnection:
    """A connection that tells when it is closed."""

    def __init__(self, closed: list[str], name: str) -> None:
        self._closed, self._name = closed, name

    def close(self) -> None:
        self._closed.append(self._name)


async def test_some_are_closed_at_once_the_oldest_of_each_device_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(aiohttp_internals, "CLOSED_AT_ONCE", 2)
    connector: Any = LeanConnector(ResponseHandler, IDLE_SECONDS, limit=0)
    closed: list[str] = []
    for device, idle_seconds in (("a", 200), ("a", 190), ("b", 190), ("c", 190), ("d", 100)):
        idle = (StubConnection(closed, f"{device} {idle_seconds}"), monotonic() - idle_seconds)
        connector._conns[device].append(idle)
    waits = []
    for _ in range(3):
        connector._cleanup()
        waits.append(round(connector._cleanup_handle.when() - connector._loop.time()))
        connector._cleanup_handle.cancel()
    assert closed == ["a 200", "b 190", "a 190", "c 190"]
    assert list(connector._conns) == ["d"]
    assert waits == [1, 1, IDLE_SECONDS]
    connector._conns.clear()
    await connector.close()
