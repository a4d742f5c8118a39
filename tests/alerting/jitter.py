"""A network with jitter: relays before devices that hold back what they pass on, for a while."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace

from exporter.simulator.fleet import ServedFleet
from tests.support.programs import LOOPBACK


@asynccontextmanager
async def jittering(served: ServedFleet, most_seconds: float) -> AsyncIterator[ServedFleet]:
    """The fleet behind relays that hold everything for up to so long, either way; 0: as it is."""
    if not most_seconds:
        yield served
        return
    async with AsyncExitStack() as stack:
        relays = [_relaying(address, most_seconds) for address in served.addresses]
        yield replace(served, addresses=[await stack.enter_async_context(each) for each in relays])


@asynccontextmanager
async def _relaying(address: str, most_seconds: float) -> AsyncIterator[str]:
    """Relay to an address while the context lasts; gives the address to use instead."""
    host, _, port = address.rpartition(":")
    open_ones: set[asyncio.Task[None]] = set()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        device = await asyncio.open_connection(host, int(port))
        await _relay((reader, writer), device, most_seconds)

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(relay(reader, writer))
        open_ones.add(task)
        task.add_done_callback(open_ones.discard)

    server = await asyncio.start_server(accept, LOOPBACK, 0)
    try:
        yield "{}:{}".format(*server.sockets[0].getsockname())
    finally:
        server.close()
        for task in open_ones:
            task.cancel()
        await asyncio.gather(*open_ones, return_exceptions=True)


Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _relay(client: Connection, device: Connection, most_seconds: float) -> None:
    """Pass on both ways until either side closes."""
    ways = [
        asyncio.create_task(_pass_on(client[0], device[1], most_seconds)),
        asyncio.create_task(_pass_on(device[0], client[1], most_seconds)),
    ]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        await _close(client[1], device[1])


async def _pass_on(
    source: asyncio.StreamReader, sink: asyncio.StreamWriter, most_seconds: float
) -> None:
    while data := await source.read(65536):
        await asyncio.sleep(random.uniform(0, most_seconds))
        sink.write(data)


async def _close(*writers: asyncio.StreamWriter) -> None:
    for writer in writers:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
