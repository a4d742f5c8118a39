"""A TLS device on real sockets, configured by each test, and a client for it."""

import asyncio
import socket
import socketserver
import ssl
import threading
import warnings
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

import pytest
import trustme
from yarl import URL

from exporter.vapix import errors, ntp
from exporter.vapix.client import Endpoint, NtpClient
from exporter.vapix.connection import open_session
from exporter.vapix.http_auth import Authenticator
from exporter.vapix.tls import TlsSettings, make_ssl_context
from tests.support.certificates import Certificate

PATIENCE_SECONDS = 30.0

LOBBY = "lobby.cameras.example"
GATE = "gate.cameras.example"

INFO = b'{"apiVersion": "1.0", "data": {"client": {"enabled": true}}}'

TLS12, TLS13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


@dataclass
class Seen:
    """What a device received; complete once it is closed. `http` is decrypted."""

    server_names: list[str | None] = field(default_factory=list)
    versions: list[str | None] = field(default_factory=list)
    client_names: list[str | None] = field(default_factory=list)
    http: bytes = b""


Behaviour = Callable[[socket.socket], None]
"""What a device does with a connection, in a thread, until the connection ends."""


@asynccontextmanager
async def device_that(behave: Behaviour) -> AsyncIterator[str]:
    """Run a device on plain sockets, which share no code with the client; yield its address."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.settimeout(PATIENCE_SECONDS)
            with suppress(OSError):
                behave(self.request)

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        await asyncio.to_thread(server.shutdown)
        await asyncio.to_thread(server.server_close)
        await asyncio.to_thread(thread.join)


def serves_tls(context: ssl.SSLContext, seen: Seen) -> Behaviour:
    """Return a healthy device: it records its clients and answers every request."""

    def note_name(_connection: object, name: str | None, _context: object) -> None:
        seen.server_names.append(name)

    def behave(connection: socket.socket) -> None:
        with context.wrap_socket(
            connection, server_side=True, do_handshake_on_connect=False
        ) as secured:
            try:
                secured.do_handshake()
            except ssl.SSLError:
                # The alert is sent. Closing with unread data would discard it.
                drain(lambda: socket.socket.recv(secured, 65_536))
                return
            seen.versions.append(secured.version())
            seen.client_names.append(common_name(secured.getpeercert()))
            answer_requests(secured, seen)

    context.sni_callback = note_name
    return behave


def serves_one_request(contexts: Iterable[ssl.SSLContext], seen: Seen) -> Behaviour:
    """Return a device that answers once a connection, each with the next of these certificates."""
    following = iter(contexts)

    def behave(connection: socket.socket) -> None:
        with next(following).wrap_socket(connection, server_side=True) as secured:
            with secured.makefile("rwb") as stream:
                if read_request(stream, seen):
                    head = f"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {len(INFO)}"
                    stream.write(head.encode() + b"\r\n\r\n" + INFO)
                    stream.flush()
            drain(lambda: secured.recv(65_536))

    return behave


def common_name(certificate: Any) -> str | None:
    parts = dict(part[0] for part in (certificate or {}).get("subject", ()))
    name: str | None = parts.get("commonName")
    return name


def drain(receive: Callable[[], bytes]) -> None:
    while receive():
        pass


def answer_requests(connection: socket.socket, seen: Seen) -> None:
    with connection.makefile("rwb") as stream:
        while read_request(stream, seen):
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(INFO)}\r\n\r\n"
            stream.write(head.encode() + INFO)
            stream.flush()


class Readable(Protocol):
    def readline(self) -> bytes: ...
    def read(self, size: int) -> bytes: ...


def read_request(stream: Readable, seen: Seen) -> bool:
    """Record one request byte for byte; return whether it was complete."""
    length = 0
    for line in iter(stream.readline, b""):
        seen.http += line
        if line.lower().startswith(b"content-length:"):
            length = int(line.partition(b":")[2])
        if line == b"\r\n":
            body = stream.read(length)
            seen.http += body
            return len(body) == length
    return False


def issued_to(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context


def context_with(factory: Certificate) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(factory.with_key)
    return context


def only(version: ssl.TLSVersion, context: ssl.SSLContext) -> ssl.SSLContext:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = version
    if version < TLS12:
        context.set_ciphers("ALL:@SECLEVEL=0")
    return context


@asynccontextmanager
async def client_of(
    address: str, settings: TlsSettings, server_name: str | None = None
) -> AsyncIterator[NtpClient]:
    endpoint = Endpoint(
        URL(f"https://{address}{ntp.PATH}"), make_ssl_context(settings), server_name
    )
    async with open_session() as session:
        yield NtpClient(session, endpoint, Authenticator("auto", None, secure=True))


async def is_read(address: str, settings: TlsSettings, server_name: str | None = None) -> bool:
    async with client_of(address, settings, server_name) as client:
        return (await client.get_info()).value.client is not None


async def failure_of(
    address: str, settings: TlsSettings, server_name: str | None = None
) -> errors.DeviceError:
    async with client_of(address, settings, server_name) as client:
        with pytest.raises(errors.DeviceError) as caught:
            await client.get_info()
    return caught.value


def explanation(error: errors.DeviceError) -> str:
    return str(error).partition(":")[2].strip()
