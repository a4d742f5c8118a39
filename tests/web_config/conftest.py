"""The event loops of these tests: the daemon's, and Python's; they differ most in TLS."""

import asyncio
from collections.abc import Callable

import pytest
import uvloop

LoopFactories = dict[str, Callable[[], asyncio.AbstractEventLoop]]


def pytest_asyncio_loop_factories(item: pytest.Item) -> LoopFactories:
    loops: LoopFactories = {"uvloop": uvloop.new_event_loop}
    if item.path.stem == "test_tls":
        loops["asyncio"] = asyncio.new_event_loop
    return loops
