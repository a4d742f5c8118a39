"""What hostile devices are made of: parts of a few lines that send bytes on a real socket."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from typing import Any, Final

from tests.support.empty_records import Kind, queue_empty_record

Reader = asyncio.StreamReader
Writer = asyncio.StreamWriter
Behaviour = Callable[[Reader, Writer], Awaitable[None]]
"""What a device does with one connection; `writer` is closed afterwards."""

DRIP_SECONDS: Final = 1.0
OK: Final = b"HTTP/1.1 200 OK\r\n"
CHUNKED: Final = OK + b"Transfer-Encoding: chunked\r\n\r\n"
RESET: Final = struct.pack("ii", 1, 0)
"""The value of SO_LINGER with which closing sends RST."""


def response(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


def info(**client: Any) -> bytes:
    """Return the body of getNTPInfo with these fields."""
    return json.dumps(
        {"apiVersion": "1.5", "data": {"client": {"enabled": True, **client}}}
    ).encode()


def raw_info(fields: str) -> bytes:
    return response(b'{"apiVersion":"1.5","data":{"client":{%s}}}' % fields.encode())


GOOD: Final = response(info())


async def request_head(reader: Reader) -> str:
    """Read one request; return its head."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]
    await reader.readexactly(int(length))
    return head.decode("latin-1")


async def is_silent(reader: Reader, _writer: Writer) -> None:
    await reader.read(-1)


def replies(*whole: bytes) -> Behaviour:
    """Send these bytes after each request."""

    async def behave(reader: Reader, writer: Writer) -> None:
        while True:
            await request_head(reader)
            writer.writelines(whole)

    return behave


def replies_with(make: Callable[[], bytes]) -> Behaviour:
    """Send other bytes after each request."""

    async def behave(reader: Reader, writer: Writer) -> None:
        while True:
            await request_head(reader)
            writer.write(make())

    return behave


def sends_and_closes(data: bytes) -> Behaviour:
    async def behave(reader: Reader, writer: Writer) -> None:
        await reader.read(1)
        writer.write(data)
        await writer.drain()
        await reader.read(65_536)  # closing with unread bytes would send RST and lose the data

    return behave


async def flood(writer: Writer, data: bytes) -> None:
    """Send without end. Over TLS, `drain` does not notice that the client has gone."""
    while not writer.is_closing():
        writer.write(data)
        await writer.drain()
        await asyncio.sleep(0)


def never_ends(start: bytes, endless: bytes) -> Behaviour:
    """Send without end, as fast as the client reads."""

    async def behave(reader: Reader, writer: Writer) -> None:
        await reader.read(1)
        writer.write(start)
        await flood(writer, endless)

    return behave


def drips(start: bytes, byte: bytes) -> Behaviour:
    """Send a byte a second without end."""

    async def behave(reader: Reader, writer: Writer) -> None:
        await reader.read(1)
        writer.write(start)
        while not writer.is_closing():
            writer.write(byte)
            await writer.drain()
            await asyncio.sleep(DRIP_SECONDS)

    return behave


def replies_then(unasked: bytes, *, endless: bool = False) -> Behaviour:
    """Reply, and send more when the connection is idle."""

    async def behave(reader: Reader, writer: Writer) -> None:
        while True:
            await request_head(reader)
            writer.write(GOOD)
            await asyncio.sleep(DRIP_SECONDS / 4)
            if endless:
                await flood(writer, unasked)
            writer.write(unasked)

    return behave


def reset(writer: Writer) -> None:
    """Send RST instead of an orderly end."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.transport.abort()


class MemoryTls:
    """TLS of a device, with the SSL object at hand: the streams of asyncio hide it."""

    def __init__(self, context: ssl.SSLContext, reader: Reader, writer: Writer) -> None:
        self._received, self._to_send = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._received, self._to_send, server_side=True)
        self._reader, self._writer = reader, writer

    async def _until_done(self, step: Callable[[], bytes | None]) -> bytes:
        while True:
            try:
                result = step() or b""
            except ssl.SSLWantReadError:
                await self._flush()
                if not (received := await self._reader.read(65_536)):
                    raise ConnectionResetError from None
                self._received.write(received)
            else:
                await self._flush()
                return result

    async def _flush(self) -> None:
        self._writer.write(self._to_send.read())
        await self._writer.drain()

    async def handshake(self) -> None:
        await self._until_done(self._tls.do_handshake)

    async def receive(self) -> bytes:
        return await self._until_done(lambda: self._tls.read(65_536))

    async def send(self, data: bytes) -> None:
        self._tls.write(data)
        await self._flush()

    async def flood(self, kind: Kind) -> None:
        """Send records without data until the client ends the connection."""
        while True:
            for _ in range(100):
                queue_empty_record(self._tls, kind)
            await self._flush()


def floods_with_records(context: ssl.SSLContext, kind: Kind, *, replying: bool) -> Behaviour:
    """Send TLS records without data, after a response or instead of it."""

    async def behave(reader: Reader, writer: Writer) -> None:
        tls = MemoryTls(context, reader, writer)
        await tls.handshake()
        await tls.receive()
        if replying:
            await tls.send(GOOD)
        await tls.flood(kind)

    return behave
