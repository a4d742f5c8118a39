"""Fixtures and event loops of the tests against real programs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import uvloop

from tests.support.apache import Apache, running_apache
from tests.support.apache_config import ApacheSettings
from tests.support.programs import enter_on_free_ports

StartApache = Callable[[ApacheSettings], Apache]


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Use the daemon's event loop and Python's: they differ most in TLS."""
    return {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}


@pytest.fixture
def start_apache(tmp_path: Path) -> Iterator[StartApache]:
    """Return a function that starts devices, which run until the end of the test."""
    with ExitStack() as stack:
        yield lambda settings: enter_on_free_ports(
            stack, lambda: running_apache(settings, tmp_path)
        )
