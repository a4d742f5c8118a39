"""The event loops of the tests on real sockets, and the certificates of the TLS tests."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme
import uvloop

from tests.support.certificates import Certificate, self_signed

LoopFactories = dict[str, Callable[[], asyncio.AbstractEventLoop]]


def pytest_asyncio_loop_factories(item: pytest.Item) -> LoopFactories:
    """Use Python's event loop; for TLS also the daemon's, as they differ most there."""
    loops: LoopFactories = {"asyncio": asyncio.new_event_loop}
    if item.path.stem.startswith("test_tls"):
        loops["uvloop"] = uvloop.new_event_loop
    return loops


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="session")
def trusted(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("authority") / "ca.pem"
    authority.cert_pem.write_to_path(file)
    return file


@pytest.fixture(scope="session")
def factory(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return self_signed(tmp_path_factory.mktemp("factory"))
