"""What a client keeps between two polls: nothing of the poll before. A fleet has ten thousand."""

import asyncio
import gc
import weakref

from exporter.vapix.connection import Exchange
from tests.vapix.raw_device import at_once, client_of, servers_max


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
