"""Devices of a few lines on real sockets, byte by byte as a test wants them."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from yarl import URL

from exporter.vapix import errors
from exporter.vapix.client import Endpoint, NtpClient
from exporter.vapix.connection import open_session
from exporter.vapix.http_auth import Authenticator, DeviceCredentials
from exporter.vapix.ntp_info import Reading

ROOT = DeviceCredentials("root", "pass")

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def answer(servers_max: int = 5, head: bytes = b"") -> bytes:
    body = b'{"data":{"client":{"maxSupportedStaticServers":%d}}}' % servers_max
    return b"HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n%s" % (head, len(body), body)


async def read_request(reader: asyncio.StreamReader) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
    await reader.readexactly(length)


@asynccontextmanager
async def client_of(
    handler: Handler,
    tls: ssl.SSLContext | None = None,
    credentials: DeviceCredentials | None = ROOT,
    *,
    clock_only: bool = False,
) -> AsyncIterator[NtpClient]:
    """A client of a device that does not speak TLS, whatever the client wants."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client has gone, as it should
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    path = "/" if clock_only else "/axis-cgi/ntp.cgi"
    url = URL(f"{'http' if tls is None else 'https'}://127.0.0.1:{port}{path}")
    account = None if clock_only else credentials
    authenticator = Authenticator("auto", account, secure=tls is not None)
    async with server, open_session() as session:
        yield NtpClient(session, Endpoint(url, tls, clock_only=clock_only), authenticator)


async def servers_max(client: NtpClient) -> int | None:
    async with asyncio.timeout(5):
        reading: Reading = (await client.get_info()).value
    assert reading.client is not None
    return reading.client.settings.static_servers_max


async def error_of(client: NtpClient, deadline_seconds: float = 5) -> errors.DeviceError:
    async with asyncio.timeout(deadline_seconds):
        with pytest.raises(errors.DeviceError) as caught:
            await client.get_info()
    return caught.value


async def at_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        await read_request(reader)
        writer.write(answer())
