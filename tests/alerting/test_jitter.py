"""The relays of a network with jitter leave no connection behind."""

from __future__ import annotations

import asyncio
import gc

from tests.alerting.jitter import relaying
from tests.support.programs import LOOPBACK


async def test_a_relay_that_ends_while_clients_connect_closes_all_connections() -> None:
    async with await asyncio.start_server(_serve_nothing, LOOPBACK, 0) as device:
        address = "{}:{}".format(*device.sockets[0].getsockname())
        for turns in range(8):
            async with relaying(address, 0.01) as relay:
                host, _, port = relay.rpartition(":")
                clients = [asyncio.open_connection(host, int(port)) for _ in range(20)]
                streams = await asyncio.gather(*clients)
                for _ in range(turns):
                    await asyncio.sleep(0)
            for _, writer in streams:
                writer.close()
    gc.collect()  # an open stream that nothing refers to warns here, and a warning is an error


async def _serve_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()
