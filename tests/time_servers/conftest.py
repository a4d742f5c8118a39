"""The event loops of the tests on real sockets."""

import asyncio
from collections.abc import Callable

import pytest
import uvloop


def pytest_asyncio_loop_factories(
    item: pytest.Item,
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Use Python's event loop; for the client also the daemon's, as only they have sockets."""
    loops: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop}
    if item.path.stem == "test_client":
        loops["uvloop"] = uvloop.new_event_loop
    return loops
