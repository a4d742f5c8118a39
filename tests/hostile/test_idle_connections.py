"""Closing what is idle for too long does not hold up the event loop, however many there are."""

from time import monotonic, thread_time
from typing import Any

import pytest
from aiohttp.client_proto import ResponseHandler

from exporter.vapix.aiohttp_internals import LeanConnector
from tests.hostile.hold_ups import DEVICES, LIMIT_MS

IDLE_SECONDS = 180.0


class StubConnection:
    def close(self) -> None:
        pass


@pytest.mark.parametrize("idle_seconds", [IDLE_SECONDS - 60, IDLE_SECONDS + 1])
async def test_looking_for_old_ones_among_100_000_takes_less_than_100_ms(
    idle_seconds: float,
) -> None:
    connector: Any = LeanConnector(ResponseHandler, IDLE_SECONDS, limit=0)
    since = monotonic() - idle_seconds
    for device in range(DEVICES):
        connector._conns[device].append((StubConnection(), since))
    taken_ms = []
    for _ in range(3):
        before = thread_time()
        connector._cleanup()
        taken_ms.append(1e3 * (thread_time() - before))
        connector._cleanup_handle.cancel()
    assert min(taken_ms) < LIMIT_MS, taken_ms
    connector._conns.clear()
    await connector.close()
