"""HTTP discovery from a server whose address has a zone."""

import asyncio

import pytest

from exporter.config.schema import HttpSdConfig
from exporter.discovery.http_sd import HTTPSD
from tests.real.test_ipv6_zones import ADDRESSES


@pytest.mark.skipif("::1%1" not in ADDRESSES, reason="this machine has no IPv6")
async def test_the_zone_of_a_server_is_not_in_the_host_header() -> None:
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n"
        writer.write(head + b"[]")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "::1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        found = await HTTPSD(HttpSdConfig(url=f"http://[::1%1]:{port}/")).refresh()
    assert found[0].devices == ()
    assert f"\r\nHost: [::1]:{port}\r\n".encode() in heads[0]


@pytest.mark.parametrize("zone", ["a b", "%25eth0", "25eth0%", "a]b", "\x01"])
def test_a_url_with_an_invalid_zone_is_refused(zone: str) -> None:
    with pytest.raises(ValueError, match=r"must be a URL|zone after %|is not host"):
        HttpSdConfig(url=f"http://[fe80::1%{zone}]/")
