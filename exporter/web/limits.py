"""How much of the exporter visitors may use at once: connections and unread bytes."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Final

import structlog
from aiohttp import web

MAX_CONNECTIONS: Final = 512
"""Prometheus's default of `--web.max-connections`."""

UNREAD_SECONDS: Final = 60.0
"""How long a client may read nothing while bytes wait for it; Prometheus's own timeout is 10 s."""

READ_SECONDS: Final = 120.0
"""How long bytes may wait without a break: a byte a second must not keep a response for ever."""

_CHECK_SECONDS: Final = 10.0

_log = structlog.get_logger()


def has_left(request: web.Request) -> bool:
    """Return whether the client has disconnected."""
    return request.transport is None


def require_client(request: web.Request) -> None:
    """Raise `ConnectionError` if the client has disconnected.

    aiohttp does not cancel such a request: it would do its work for nobody.
    """
    if has_left(request):
        raise ConnectionError("the client has left")


@asynccontextmanager
async def turn(lock: asyncio.Lock, request: web.Request) -> AsyncIterator[None]:
    """Hold a lock for a request. Raises `ConnectionError` if its client has left meanwhile."""
    async with lock:
        require_client(request)
        yield


class UnreadWatch:
    """Ends a connection whose client reads nothing for `UNREAD_SECONDS`, or too little.

    Too little means that bytes have waited without a break for `READ_SECONDS`.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._waiting_bytes = 0
        self._waited_seconds = 0.0
        self._unread_seconds = 0.0
        self._plan()

    def _plan(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(_CHECK_SECONDS, self._check)

    def has_read(self) -> None:
        """Note that the client has read: bytes have left, even if as many wait again."""
        self._unread_seconds = 0.0

    def _check(self) -> None:
        waiting_bytes = self._transport.get_write_buffer_size()
        self._waited_seconds += _CHECK_SECONDS
        self._unread_seconds += _CHECK_SECONDS
        if waiting_bytes < self._waiting_bytes:
            self.has_read()
        if not waiting_bytes:
            self._waited_seconds = self._unread_seconds = 0.0
        self._waiting_bytes = waiting_bytes
        if self._unread_seconds < UNREAD_SECONDS and self._waited_seconds < READ_SECONDS:
            self._plan()
        else:
            _log.debug("web.client_reads_too_slowly", waited_seconds=self._waited_seconds)
            self._transport.abort()

    def stop(self) -> None:
        """Stop watching: the connection has ended."""
        self._timer.cancel()


class ConnectionLimit:
    """Keeps the number of connections at `most`: a new one replaces the oldest TLS handshake.

    Without one it replaces the oldest idle connection. So a visitor that opens connections and
    does nothing locks nobody out. If all are busy, the new one is closed.
    """

    def __init__(self, most: int = MAX_CONNECTIONS) -> None:
        self._most = most
        self._open: dict[asyncio.BaseProtocol, asyncio.Transport] = {}
        self._is_full = False

    def add(self, connection: asyncio.BaseProtocol, transport: asyncio.Transport) -> None:
        """Count a connection or a handshake, and close one if there are too many."""
        if len(self._open) >= self._most:
            self._warn_once()
            makes_way = next(self._replaceable(), None)
            if makes_way is None:
                transport.abort()
                return
            self._open.pop(makes_way).abort()
        self._open[connection] = transport

    def _replaceable(self) -> Iterator[asyncio.BaseProtocol]:
        """Yield the connections that a new one may replace, the first one first."""
        yield from (each for each in self._open if not isinstance(each, web.RequestHandler))
        for each in self._open:
            if isinstance(each, web.RequestHandler) and is_idle(each):
                yield each

    def remove(self, connection: asyncio.BaseProtocol) -> None:
        """Count a connection no longer."""
        self._open.pop(connection, None)
        if len(self._open) < self._most / 2:
            self._is_full = False

    def _warn_once(self) -> None:
        """Log that the limit is reached, once until half of it is free again."""
        if not self._is_full:
            self._is_full = True
            advice = "find out who opens them, or raise --web.max-connections"
            _log.warning("web.too_many_connections", limit=self._most, advice=advice)


def is_idle(connection: web.RequestHandler) -> bool:
    """Return whether a connection waits for a request. aiohttp has no public way to ask."""
    return connection._current_request is None  # noqa: SLF001
