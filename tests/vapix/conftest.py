"""The event loops that the client's tests on real sockets run on."""

import asyncio
from collections.abc import Callable

import pytest
import uvloop

LoopFactories = dict[str, Callable[[], asyncio.AbstractEventLoop]]


def pytest_asyncio_loop_factories(item: pytest.Item) -> LoopFactories:
    """Python's own event loop; for TLS the daemon's too, as they differ most there."""
    loops: LoopFactories = {"asyncio": asyncio.new_event_loop}
    if item.path.stem == "test_tls":
        loops["uvloop"] = uvloop.new_event_loop
    return loops
