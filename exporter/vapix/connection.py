"""The HTTP session that all devices share: guarded connections, and the times of each exchange.

A device is assumed to be hostile. It may send bytes only while a request is open, and only a
limited number: docs/decisions/0005.
"""

import asyncio
import fcntl
import ssl
import struct
import termios
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import aiohttp
from aiohttp import hdrs

from exporter.clock.host import steady_ns
from exporter.clock.http_time import CallTimes, ResponseTimes
from exporter.clock.phase import hold_ns
from exporter.vapix import ntp
from exporter.vapix.aiohttp_internals import (
    HookedRequest,
    LeanConnector,
    LeanResponseHandler,
)
from exporter.vapix.dns import AresDns, CachingResolver
from exporter.vapix.errors import CertificateNotTrusted
from exporter.vapix.identity import UNKNOWN_IDENTITY, DeviceIdentity, find_serial
from exporter.vapix.tls import Pin, certificate_end, fingerprint_of

KEEPALIVE_SECONDS: Final = 180
"""How long an idle connection is kept: no device is known to keep its own longer."""

HEAD_BYTES: Final = 128 * 1024
"""The most bytes until the head of a response is complete.

They include interim responses (1xx) and what arrives of the body together with the head.
"""

BODY_BYTES: Final = 1024 * 1024
"""The most bytes after the head. The decoded body has a lower limit of its own."""

_HEADERS: Final = {
    # A compressed body could exceed the size limit when it is unpacked.
    hdrs.ACCEPT_ENCODING: "identity",
    hdrs.CONTENT_TYPE: "application/json",
    hdrs.USER_AGENT: "axis-ntp-exporter",
}

Session = aiohttp.ClientSession
"""The kept connections of all devices."""

_NOTHING_TO_READ: Final = struct.pack("i", 0)


class ResponseTooLong(aiohttp.ClientError):
    """The device sent more bytes than a response needs, or bytes without a request."""


class WrongCertificate(aiohttp.ClientError):
    """The device did not show its pinned certificate; nothing was sent to it.

    `kind` is what it is as an error of the call.
    """

    def __init__(self, refusal: str, kind: type[CertificateNotTrusted]) -> None:
        super().__init__(refusal)
        self.kind = kind


class GuardedConnection(LeanResponseHandler):
    """A connection on which a device may send only the response to an open request.

    `last_received_ns` is the steady time of the last bytes; `tls_error` is the TLS error that
    ended the connection, which aiohttp does not always pass on. `fingerprint` is the SHA-256 of
    the device's certificate, known if a pin was ever compared with it.
    """

    __slots__ = (
        "_budget_bytes",
        "_file",
        "fingerprint",
        "last_received_ns",
        "requests",
        "tls_error",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.requests = 0
        self.fingerprint: bytes | None = None
        self.last_received_ns = 0
        self.tls_error: ssl.SSLError | None = None
        self.rest()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note the socket's file number."""
        self._file = transport.get_extra_info("socket").fileno()
        super().connection_made(transport)

    @property
    def tls(self) -> ssl.SSLObject | None:
        """The connection's TLS; `None` for plain HTTP."""
        return None if self.transport is None else self.transport.get_extra_info("ssl_object")

    def connection_lost(self, exc: BaseException | None) -> None:
        """Note the TLS error that ended the connection."""
        if isinstance(exc, ssl.SSLError):
            self.tls_error = exc
        super().connection_lost(exc)

    def allow(self, budget_bytes: int) -> None:
        """Accept this many more bytes."""
        self._budget_bytes = budget_bytes
        self.expect_response()

    def rest(self) -> None:
        """Accept nothing until the next request."""
        self._budget_bytes = 0
        self.drop_last_response()

    def is_quiet(self) -> bool:
        """Return whether the device sent nothing since the last response, read or unread."""
        if not self.is_connected() or self.writing_paused:
            return False
        return fcntl.ioctl(self._file, termios.FIONREAD, _NOTHING_TO_READ) == _NOTHING_TO_READ

    def data_received(self, data: bytes) -> None:
        """Pass bytes on within the budget; end the connection beyond it."""
        self.last_received_ns = steady_ns()
        self._budget_bytes -= len(data)
        if self._budget_bytes >= 0:
            super().data_received(data)
        else:
            self.fail(ResponseTooLong("the device sent more than a response needs"))


@dataclass(slots=True, eq=False)
class NtpCall:
    """A client's call of the API: when to send its first request, and what its responses showed.

    A request that has its connection before `send_at_ns` (steady) waits until then; `held_ns` is
    how long it waited. `stage` describes the progress, for the message of a timeout. A client has
    one for all its calls: an idle connection keeps it alive. So `identity` is what the device has
    shown of itself in all of them.
    """

    send_at_ns: int = 0
    held_ns: int = 0
    responses: tuple[ResponseTimes, ...] = ()
    stage: str = ""
    deadline: asyncio.Timeout | None = None
    identity: DeviceIdentity = UNKNOWN_IDENTITY

    def begin(self, send_at_ns: int, deadline: asyncio.Timeout) -> None:
        """Begin another call."""
        self.send_at_ns = send_at_ns
        self.held_ns = 0
        self.responses = ()
        self.stage = "connecting"
        self.deadline = deadline

    async def hold(self) -> None:
        """Wait until it is time to send; the wait does not count against the deadline."""
        ready_ns = steady_ns()
        wait_ns = hold_ns(self.send_at_ns, ready_ns)
        if not wait_ns:
            return
        if self.deadline is not None and (due := self.deadline.when()) is not None:
            self.deadline.reschedule(due + wait_ns / 1e9)
        self.stage = "connected, waiting for the time to send"
        await asyncio.sleep(wait_ns / 1e9)
        self.held_ns += steady_ns() - ready_ns

    def note_certificate(self, tls: ssl.SSLObject | None) -> None:
        """Note when the certificate of a new connection ends."""
        ends = None if tls is None else certificate_end(tls)
        if ends != self.identity.certificate_not_after:
            self.identity = self.identity._replace(certificate_not_after=ends)

    def note_challenges(self, challenges: Iterable[str]) -> None:
        """Note the serial number in the challenges of a response."""
        serial = find_serial(challenges)
        if serial and serial != self.identity.serial:
            self.identity = self.identity._replace(serial=serial)

    @property
    def times(self) -> CallTimes:
        """What the call showed so far."""
        return CallTimes(self.responses, self.held_ns)


@dataclass(slots=True, eq=False)
class Exchange:
    """An HTTP request of a call and its response. Times are steady nanoseconds, 0 until known.

    A client has one for all its requests: an idle connection keeps it alive. With a pin, nothing is
    sent on a connection without the pinned certificate.

    `sent_ns`: just before the first byte was written. `received_ns`: the head of the response was
    complete. `reused`: the connection had served a request before.
    """

    _call: NtpCall
    _pin: Pin | None = None
    _connection: GuardedConnection | None = None
    _number: int = 0
    reused: bool = False
    sent_ns: int = 0
    received_ns: int = 0

    def prepare(self) -> None:
        """Forget the last request and its response: another one follows."""
        self._connection, self._number, self.reused = None, 0, False
        self.sent_ns = self.received_ns = 0

    async def begin(self, connection: object) -> None:
        """Wait until it is time to send, then open the connection's budget.

        Raises `WrongCertificate`, and `ClientConnectionResetError` if a kept connection may not be
        used any more.
        """
        if not isinstance(connection, GuardedConnection):
            if self._pin is not None:
                problem = "the certificate of this connection cannot be checked"
                raise WrongCertificate(problem, CertificateNotTrusted)
            return
        await self._call.hold()
        self._connection = connection
        self.reused = connection.requests > 0
        if self.reused and not connection.is_quiet():
            raise aiohttp.ClientConnectionResetError("the device sent bytes without a request")
        if self._pin is not None:
            self._require(self._pin, connection)
        if not self.reused:
            self._call.note_certificate(connection.tls)
        connection.requests += 1
        self._number = connection.requests
        connection.allow(HEAD_BYTES)
        self._call.stage = "waiting for the response"
        self.sent_ns = steady_ns()

    def _require(self, pin: Pin, connection: GuardedConnection) -> None:
        """Raise unless the connection's certificate is the pinned one."""
        if connection.fingerprint is None and connection.tls is not None:
            connection.fingerprint = fingerprint_of(connection.tls)
        if refusal := pin.refuse(connection.fingerprint):
            if self.reused:  # kept by another device at the same address, with another pin
                raise aiohttp.ClientConnectionResetError(refusal)
            raise WrongCertificate(refusal, pin.failure)

    async def find_tls_refusal(self) -> ssl.SSLError | None:
        """Return the TLS error that ended the connection, if one did.

        In TLS 1.3 a device refuses a client's certificate after the handshake. The alert may be
        read one turn of the event loop after writing has failed.
        """
        await asyncio.sleep(0)
        return None if self._connection is None else self._connection.tls_error

    def note_head(self) -> None:
        """The head of the response is complete: allow the body."""
        if self._connection is not None:
            self.received_ns = self._connection.last_received_ns
            self._connection.allow(BODY_BYTES)
        self._call.stage = "reading the response"

    def end(self) -> None:
        """The response is complete: the connection may be used again."""
        if (connection := self._own_connection()) is not None:
            connection.rest()

    def close_connection(self) -> None:
        """Close the connection, if there is one."""
        if (connection := self._own_connection()) is not None:
            connection.close()

    def _own_connection(self) -> GuardedConnection | None:
        """Return the connection, unless another device at the same address uses it already.

        aiohttp makes a connection available when the last byte has arrived, before the reader of
        the response continues.
        """
        connection = self._connection
        is_own = connection is not None and connection.requests == self._number
        return connection if is_own else None


@asynccontextmanager
async def open_session(resolver: CachingResolver | None = None) -> AsyncIterator[Session]:
    """Open a session that keeps connections and resolved names, and nothing else.

    It closes `resolver` at its end.

    It has no cookies, no proxies from the environment, no limit on connections (the poller has
    one) and no timeouts (a call has one deadline over everything).
    """
    resolver = resolver or CachingResolver(AresDns())
    connector = LeanConnector(
        GuardedConnection, KEEPALIVE_SECONDS, limit=0, resolver=resolver, use_dns_cache=False
    )
    session = Session(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers=_HEADERS,
        request_class=HookedRequest,
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
