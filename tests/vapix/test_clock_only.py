"""`clock_only`: a device without ntp.cgi is asked for nothing but an HTTP response."""

import asyncio

import pytest

from exporter.vapix.ntp_info import CLOCK_ONLY
from tests.vapix.raw_device import client_of, error_of

DATE = b"Date: Sun, 22 Nov 2026 12:00:00 GMT\r\n"


async def head_of(reader: asyncio.StreamReader) -> bytes:
    return await reader.readuntil(b"\r\n\r\n")


@pytest.mark.parametrize("status", [b"200 OK", b"401 Unauthorized", b"404 Not Found", b"500 Oh"])
async def test_any_response_is_a_success_and_shows_the_clock(status: bytes) -> None:
    heads = []

    async def device(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(2):
            heads.append(await head_of(reader))
            writer.write(b"HTTP/1.1 %s\r\n%sContent-Length: 9\r\n\r\n" % (status, DATE))

    async with client_of(device, clock_only=True) as client:
        for _ in range(2):
            reading, times = await client.get_info()
            assert reading is CLOCK_ONLY
            assert [each.date for each in times.responses] == ["Sun, 22 Nov 2026 12:00:00 GMT"]
    assert all(head.startswith(b"HEAD / HTTP/1.1\r\n") for head in heads)
    assert b"authorization" not in heads[1].lower()


async def test_no_response_is_a_failure() -> None:
    async def device(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await head_of(reader)

    async with client_of(device, clock_only=True) as client:
        assert (await error_of(client)).reason == "disconnected"
