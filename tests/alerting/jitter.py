"""A network with jitter: relays that delay all data to and from devices."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import replace

from exporter.simulator.fleet import ServedFleet
from tests.support.programs import LOOPBACK


@asynccontextmanager
async def jittering(served: ServedFleet, most_seconds: float) -> AsyncIterator[ServedFleet]:
    """Yield the fleet behind relays that delay up to that long in each direction; 0: no relays."""
    if not most_seconds:
        yield served
        return
    async with AsyncExitStack() as stack:
        relays = [relaying(address, most_seconds) for address in served.addresses]
        yield replace(served, addresses=[await stack.enter_async_context(each) for each in relays])


@asynccontextmanager
async def relaying(address: str, most_seconds: float) -> AsyncIterator[str]:
    """Relay to an address while the context lasts; yield the relay's address."""
    host, _, port = address.rpartition(":")
    tasks: set[asyncio.Task[None]] = set()

    async def relay(client: Streams) -> None:
        device = await asyncio.open_connection(host, int(port))
        with closing(device[1]):
            await _relay(client, device, most_seconds)

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(relay((reader, writer)))
        tasks.add(task)
        # Not in the task: one that is cancelled before its first step closes nothing.
        task.add_done_callback(lambda _: writer.close())
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, LOOPBACK, 0)
    try:
        yield "{}:{}".format(*server.sockets[0].getsockname())
    finally:
        server.close()
        # Accepted connections may still get their tasks meanwhile.
        while tasks:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _relay(client: Streams, device: Streams, most_seconds: float) -> None:
    """Forward in both directions until either side closes."""
    directions = [
        asyncio.create_task(_forward(client[0], device[1], most_seconds)),
        asyncio.create_task(_forward(device[0], client[1], most_seconds)),
    ]
    try:
        await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for direction in directions:
            direction.cancel()
        await asyncio.gather(*directions, return_exceptions=True)


async def _forward(
    source: asyncio.StreamReader, sink: asyncio.StreamWriter, most_seconds: float
) -> None:
    while data := await source.read(65536):
        await asyncio.sleep(random.uniform(0, most_seconds))
        sink.write(data)
