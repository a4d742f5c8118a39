"""HTTP discovery from servers whose address has a zone, or that flood."""

import asyncio
import gzip
import socket
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import trustme

from exporter.config.schema import HttpSdConfig
from exporter.discovery.http_sd import HTTPSD
from exporter.discovery.target_groups import RefreshFailed
from tests.real.test_ipv6_zones import ADDRESSES
from tests.support.empty_records import queue_empty_record
from tests.vapix.tls_device import device_that


@asynccontextmanager
async def sd_server(host: str, body: bytes, *fields: str) -> AsyncIterator[tuple[int, list[bytes]]]:
    """Serve a body with these further fields; yield the port and the heads of the requests."""
    heads: list[bytes] = []
    lines = ("HTTP/1.1 200 OK", "Content-Type: application/json", *fields)
    head = "\r\n".join((*lines, f"Content-Length: {len(body)}", "", "")).encode()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(head + body)
        with suppress(ConnectionError):
            await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, host, 0) as server:
        yield server.sockets[0].getsockname()[1], heads


async def test_a_compressed_response_is_refused_and_not_unpacked() -> None:
    bomb = gzip.compress(b" " * 30_000_000)
    async with sd_server("127.0.0.1", bomb, "Content-Encoding: gzip") as (port, heads):
        before = time.thread_time()
        with pytest.raises(RefreshFailed, match="compressed with gzip, which was not asked for"):
            await HTTPSD(HttpSdConfig(url=f"http://127.0.0.1:{port}/")).refresh()
        assert time.thread_time() - before < 0.1
    assert b"\r\nAccept-Encoding: identity\r\n" in heads[0]


async def test_a_response_that_says_it_is_not_compressed_is_read() -> None:
    async with sd_server("127.0.0.1", b"[]", "Content-Encoding: Identity") as (port, _heads):
        (found,) = await HTTPSD(HttpSdConfig(url=f"http://127.0.0.1:{port}/")).refresh()
    assert found.devices == ()


@pytest.mark.skipif("::1%1" not in ADDRESSES, reason="this machine has no IPv6")
async def test_the_zone_of_a_server_is_not_in_the_host_header() -> None:
    async with sd_server("::1", b"[]") as (port, heads):
        found = await HTTPSD(HttpSdConfig(url=f"http://[::1%1]:{port}/")).refresh()
    assert found[0].devices == ()
    assert f"\r\nHost: [::1]:{port}\r\n".encode() in heads[0]


@pytest.mark.parametrize("zone", ["a b", "%25eth0", "25eth0%", "a]b", "\x01"])
def test_a_url_with_an_invalid_zone_is_refused(zone: str) -> None:
    with pytest.raises(ValueError, match=r"must be a URL|zone after %|is not host"):
        HttpSdConfig(url=f"http://[fe80::1%{zone}]/")


async def test_a_server_that_sends_tls_records_without_data_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority, most, sent = trustme.CA(), 1_000_000, 0
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))

    def flood(plain: socket.socket) -> None:
        nonlocal sent
        with context.wrap_socket(plain, server_side=True) as tls:
            tls.recv(4096)
            while sent < most:
                queue_empty_record(tls, "keyupdate")
                sent += 1

    async with asyncio.timeout(30), device_that(flood) as address:
        with pytest.raises(RefreshFailed):
            await HTTPSD(HttpSdConfig(url=f"https://{address}/targets")).refresh()
    assert 0 < sent < most / 2
