"""Runs the TLS tests with both event loops, uvloop's and Python's: they differ most in TLS."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
import uvloop

from tests.support.certificates import Authority, authority

LoopFactories = dict[str, Callable[[], asyncio.AbstractEventLoop]]


def pytest_asyncio_loop_factories(item: pytest.Item) -> LoopFactories:
    loops: LoopFactories = {"uvloop": uvloop.new_event_loop}
    if item.path.stem.startswith("test_tls"):
        loops["asyncio"] = asyncio.new_event_loop
    return loops


@pytest.fixture
def ours(tmp_path: Path) -> Authority:
    made = authority(tmp_path)
    made.issue("client", "prometheus.example")
    return made


@pytest.fixture
def others(tmp_path: Path) -> Authority:
    made = authority(tmp_path / "others")
    made.issue("client", "prometheus.example")
    return made
