"""Visitors that connect and do not complete their TLS handshake."""

from __future__ import annotations

import asyncio
import socket
import ssl
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
import structlog

from exporter.web import handshake
from exporter.web.limits import ConnectionLimit
from tests.support.programs import LOOPBACK
from tests.support.web_config import TLS
from tests.web.web_config.site import Site, site

if TYPE_CHECKING:
    from tests.support.certificates import Authority

HALF_A_HELLO = b"\x16\x03\x01\x02\x00\x01"
MOST = 5


def half_open(served: Site, start: bytes) -> socket.socket:
    connection = socket.create_connection((LOOPBACK, served.port))
    connection.settimeout(0)
    connection.sendall(start)
    return connection


async def is_closed(connection: socket.socket) -> bool:
    try:
        return not await asyncio.get_running_loop().sock_recv(connection, 1000)
    except ConnectionResetError:
        return True


@pytest.mark.parametrize("start", [b"", HALF_A_HELLO])
async def test_handshakes_count_as_connections_and_the_oldest_makes_way(
    ours: Authority, start: bytes
) -> None:
    tls, limit = ours.client_context(), ConnectionLimit(MOST)
    with structlog.testing.capture_logs() as logged, ExitStack() as stack:
        async with asyncio.timeout(20), site(ours.folder, TLS, limit=limit) as served:
            visitors = [stack.enter_context(half_open(served, start)) for _ in range(4 * MOST)]
            assert (await served.get("/-/healthy", tls=tls))[0] == 200
            for each in visitors[: -MOST + 1]:
                assert await is_closed(each)
            assert len(limit._open) <= MOST
    assert [(line["event"], line["limit"]) for line in logged] == [
        ("web.too_many_connections", MOST)
    ]


async def test_handshakes_do_not_push_out_established_connections(ours: Authority) -> None:
    tls, limit = ours.client_context(), ConnectionLimit(MOST)
    with ExitStack() as stack:
        async with asyncio.timeout(20), site(ours.folder, TLS, limit=limit) as served:
            reader, writer = await asyncio.open_connection(LOOPBACK, served.port, ssl=tls)
            visitors = [stack.enter_context(half_open(served, b"")) for _ in range(4 * MOST)]
            assert await is_closed(visitors[0])
            writer.write(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
            writer.close()


@pytest.mark.parametrize("start", [b"", HALF_A_HELLO])
async def test_a_handshake_that_takes_too_long_ends(
    ours: Authority, start: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handshake, "HANDSHAKE_SECONDS", 0.05)
    limit = ConnectionLimit()
    async with asyncio.timeout(20), site(ours.folder, TLS, limit=limit) as served:
        with half_open(served, start) as visitor:
            assert await is_closed(visitor)
        while limit._open:
            await asyncio.sleep(0.001)


async def test_a_request_in_the_packet_that_ends_the_handshake_is_answered(
    ours: Authority,
) -> None:
    """It arrives before the handshake's task has its turn."""
    tls = ours.client_context()
    async with asyncio.timeout(20), site(ours.folder, TLS) as served:
        answer = await asyncio.to_thread(_request_with_the_last_packet, served.port, tls)
    assert answer.startswith(b"HTTP/1.1 200")


def _request_with_the_last_packet(port: int, context: ssl.SSLContext) -> bytes:
    received, to_send = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(received, to_send, server_hostname=LOOPBACK)
    with socket.create_connection((LOOPBACK, port), timeout=15) as plain:
        while True:
            try:
                client.do_handshake()
                break
            except ssl.SSLWantReadError:
                plain.sendall(to_send.read())
                received.write(plain.recv(100_000))
        client.write(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        plain.sendall(to_send.read())
        while True:
            try:
                return client.read(1000)
            except ssl.SSLWantReadError:
                received.write(plain.recv(100_000))


async def test_a_connection_that_ends_with_its_handshake_is_not_counted_any_more(
    ours: Authority,
) -> None:
    tls, limit = ours.client_context(), ConnectionLimit()
    async with asyncio.timeout(20), site(ours.folder, TLS, limit=limit) as served:
        await asyncio.to_thread(_handshake_and_reset, served.port, tls)
        assert (await served.get("/-/healthy", tls=tls))[0] == 200
        while limit._open:
            await asyncio.sleep(0.001)


def _handshake_and_reset(port: int, context: ssl.SSLContext) -> None:
    with (
        socket.create_connection((LOOPBACK, port)) as plain,
        context.wrap_socket(plain, server_hostname=LOOPBACK) as tls,
    ):
        # No lingering: closing sends RST.
        tls.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
