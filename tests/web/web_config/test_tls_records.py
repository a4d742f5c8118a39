"""A visitor that sends TLS records without data."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import TYPE_CHECKING

import pytest

from tests.support.empty_records import queue_empty_record
from tests.support.programs import LOOPBACK
from tests.support.web_config import TLS
from tests.web.web_config.clients import REQUIRED
from tests.web.web_config.site import site

if TYPE_CHECKING:
    from tests.support.certificates import Authority

MANY_RECORDS = 1_000_000


def _flood(port: int, context: ssl.SSLContext, start: bytes) -> int:
    """Send KeyUpdates after `start` until the connection ends; return how many."""
    with (
        socket.create_connection((LOOPBACK, port)) as plain,
        context.wrap_socket(plain, server_hostname=LOOPBACK) as tls,
    ):
        tls.sendall(start)
        for count in range(MANY_RECORDS):
            try:
                queue_empty_record(tls, "keyupdate")
            except OSError:
                return count
    return MANY_RECORDS


@pytest.mark.parametrize("start", [b"", b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n", b"GET / HT"])
@pytest.mark.parametrize("config", [TLS, REQUIRED])
async def test_a_flood_without_data_ends_the_visitors_connection(
    ours: Authority, config: dict[str, object], start: bytes
) -> None:
    tls = ours.client_context("client")
    async with site(ours.folder, config) as served:
        sent = await asyncio.to_thread(_flood, served.port, tls, start)
        status, _ = await served.get("/-/healthy", tls=tls)
    assert status == 200
    assert sent < MANY_RECORDS / 2
