"""The HTTP session that all devices share: a guard on each connection, the times of each exchange.

A device is assumed to be hostile. Its bytes are taken only while a request is out, and only so
many of them: docs/decisions/0005-guard-and-time-in-subclasses.md.
"""

from __future__ import annotations

import asyncio
import fcntl
import ssl
import struct
import termios
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any, Final

import aiohttp
from aiohttp import hdrs
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from multidict import CIMultiDict

from exporter.clock.host import steady_ns
from exporter.vapix import ntp
from exporter.vapix.dns import AresDns, CachingResolver
from exporter.vapix.hold import Hold

KEEPALIVE_SECONDS: Final = 180
"""How long an idle connection is kept: the longest that devices were seen to keep theirs."""

HEAD_BYTES: Final = 512 * 1024
"""What may come until we know that an answer's head is complete.

That is interim answers (1xx), the head, and as much of the body as comes in the same reads.
"""

BODY_BYTES: Final = 1024 * 1024
"""What may come after it. The limit on a body is lower: this one is on what encodes it."""

_HEADERS: Final = CIMultiDict(
    {
        hdrs.ACCEPT: "*/*",
        # A body that grows when it is unpacked would get past the limit on its size.
        hdrs.ACCEPT_ENCODING: "identity",
        hdrs.CONTENT_TYPE: "application/json",
        hdrs.USER_AGENT: "axis-ntp-exporter",
    }
)
"""What every request has, beside its host, length and authorization."""

Session = aiohttp.ClientSession
"""What all devices share: the connections that are kept."""


_NO_BYTES: Final = struct.pack("i", 0)
"""What ioctl says of a socket on which nothing waits to be read."""


_NO_ANSWERS: Final[deque[Any]] = deque(maxlen=0)
"""What waits on every connection that rests."""


class ResponseTooLong(aiohttp.ClientError):
    """The device has sent more than any answer needs, or sent without having been asked."""


class GuardedConnection(ResponseHandler):
    """A connection on which a device may send only what it was asked for.

    `last_received_ns` is the steady time when the last bytes came; `tls_error` what ended the
    connection, if that was TLS: aiohttp does not always pass it on.
    """

    __slots__ = ("_file", "_room", "last_received_ns", "requests", "tls_error")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.requests = 0
        self.last_received_ns = 0
        self.tls_error: ssl.SSLError | None = None
        self.rest()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note the socket's file; aiohttp's loop calls this."""
        self._file = transport.get_extra_info("socket").fileno()
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Note why it ended; aiohttp's loop calls this."""
        if isinstance(exc, ssl.SSLError):
            self.tls_error = exc
        super().connection_lost(exc)

    def allow(self, room: int) -> None:
        """Take that many more bytes."""
        self._room = room
        if self._buffer is _NO_ANSWERS:
            self._buffer = deque()

    def rest(self) -> None:
        """Take nothing until the next request, and let the last answer go.

        aiohttp keeps the parser with the answer's head until then, and room for more answers:
        some KB for each connection.
        """
        self._room = 0
        self._parser = None
        self._payload = None
        self._buffer = _NO_ANSWERS

    def is_quiet(self) -> bool:
        """Whether nothing has come since the last answer, not even what was not read yet."""
        if not self.is_connected() or self.writing_paused:
            return False
        return fcntl.ioctl(self._file, termios.FIONREAD, _NO_BYTES) == _NO_BYTES

    def data_received(self, data: bytes) -> None:
        """Pass bytes on within the room there is; beyond it the connection ends."""
        self.last_received_ns = steady_ns()
        self._room -= len(data)
        if self._room >= 0:
            super().data_received(data)
        else:
            self._cut()

    def _cut(self) -> None:
        problem = ResponseTooLong("the device sends more than it was asked for")
        self.set_exception(problem)
        if self._payload is not None:
            self._payload.set_exception(problem)
        if self.transport is not None:
            self.transport.abort()


class Exchange:
    """One request and its answer: how far it got, and when. Steady nanoseconds, 0 until known.

    `sent_ns`: there was a connection and nothing was sent on it yet; `received_ns`: the head of
    the answer had come. `reused`: the connection had served a request before.
    """

    __slots__ = ("_connection", "_hold", "_number", "received_ns", "reused", "sent_ns", "stage")

    def __init__(self, hold: Hold) -> None:
        self.stage = "connecting"
        self.reused = False
        self._hold = hold
        self.sent_ns = 0
        self.received_ns = 0
        self._connection: GuardedConnection | None = None
        self._number = 0

    async def wait_to_send(self) -> None:
        """A connection is there: wait for the moment to send."""
        self.stage = "connected, waiting for the moment to ask"
        await self._hold.wait()

    def begin(self, connection: GuardedConnection) -> None:
        """The request is to be sent now.

        Raises `ClientConnectionResetError` for a connection that is not clean.
        """
        self._connection = connection
        self.reused = connection.requests > 0
        if self.reused and not connection.is_quiet():
            raise aiohttp.ClientConnectionResetError("the device has sent what nobody asked for")
        connection.requests += 1
        self._number = connection.requests
        connection.allow(HEAD_BYTES)
        self.stage = "waiting for the answer"
        self.sent_ns = steady_ns()

    async def tls_refusal(self) -> ssl.SSLError | None:
        """The TLS error behind a connection that was lost; `None` if it was another.

        In TLS 1.3 a device refuses a client after the handshake; the refusal may be read only
        after writing has failed, one turn of the loop later.
        """
        await asyncio.sleep(0)
        return None if self._connection is None else self._connection.tls_error

    def head_came(self) -> None:
        """The head of the answer is complete."""
        if self._connection is not None:
            self.received_ns = self._connection.last_received_ns
            self._connection.allow(BODY_BYTES)
        self.stage = "reading the answer"

    def end(self) -> None:
        """The exchange is over; the connection may be used again."""
        if (connection := self._own_connection()) is not None:
            connection.rest()

    def close_connection(self) -> None:
        """End the connection, if there was one."""
        if (connection := self._own_connection()) is not None:
            connection.close()

    def _own_connection(self) -> GuardedConnection | None:
        """The connection, unless another device at the same address has taken it already.

        aiohttp gives it back when the last byte has come: before whoever reads the answer goes on.
        """
        connection = self._connection
        is_own = connection is not None and connection.requests == self._number
        return connection if is_own else None


class _OnePiece(asyncio.Transport):
    """Stands in for a transport while a request's head is written to it: the body goes with it."""

    __slots__ = ("_body", "_transport")

    def __init__(self, transport: asyncio.Transport, body: bytes) -> None:
        self._transport = transport
        self._body = body

    def is_closing(self) -> bool:
        """As the transport says."""
        return self._transport.is_closing()

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """Write the head, and the body after it."""
        self._transport.write(b"".join((data, self._body)))


current_exchange: ContextVar[Exchange] = ContextVar("current_exchange")
"""The exchange of the running poll, for the request that aiohttp makes of it."""


class _GuardedRequest(aiohttp.ClientRequest):
    """A request that waits for its moment and then leaves in one piece.

    aiohttp makes a task for each body, since a long one may still be written while the answer
    comes. Ours are short: 45 bytes for a poll, some KB of server names for `configure`.
    """

    _short_body = b""

    def update_auto_headers(self, _skip_auto_headers: object) -> None:
        """Add our headers, and none of aiohttp's."""
        self.headers.extend(_HEADERS)

    def update_body_from_data(self, body: Any, _stacklevel: int = 3) -> None:  # noqa: ANN401 - aiohttp's
        """Keep the body, JSON as bytes, from aiohttp."""
        self._short_body = body
        self.headers[hdrs.CONTENT_LENGTH] = str(len(body))

    async def send(self, conn: Connection) -> aiohttp.ClientResponse:
        connection = conn.protocol
        if isinstance(connection, GuardedConnection):
            exchange = current_exchange.get()
            await exchange.wait_to_send()
            exchange.begin(connection)
        if connection is None or (transport := connection.transport) is None:
            raise aiohttp.ClientConnectionResetError("the connection has ended")
        connection.transport = _OnePiece(transport, self._short_body)
        try:
            return await super().send(conn)
        finally:
            connection.transport = transport


class _GuardedConnector(aiohttp.TCPConnector):
    def __init__(self, **settings: Any) -> None:  # noqa: ANN401 - aiohttp's own settings
        super().__init__(**settings)
        connection: type[ResponseHandler] = GuardedConnection
        self._factory = partial(connection, loop=asyncio.get_running_loop())


@asynccontextmanager
async def open_session() -> AsyncIterator[Session]:
    """A session that holds connections and names' addresses, and nothing else.

    No cookies, no proxies from the environment, no limit of its own on connections (the
    poller has one) and no timeouts (a poll has one deadline over everything).
    """
    resolver = CachingResolver(AresDns())
    connector = _GuardedConnector(
        limit=0, keepalive_timeout=KEEPALIVE_SECONDS, resolver=resolver, use_dns_cache=False
    )
    session = Session(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        request_class=_GuardedRequest,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
        auto_decompress=False,
        read_bufsize=ntp.LARGEST_BODY_BYTES,
        trust_env=False,
    )
    try:
        async with session:
            yield session
    finally:
        await resolver.close()
