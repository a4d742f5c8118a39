"""Every use of aiohttp's private parts on the device side. docs/decisions/0005 says why.

If a release of aiohttp changes one of them, tests/vapix/test_aiohttp_internals.py names it.
`constraints.txt` pins the release that the tests have run with; pyproject.toml excludes aiohttp 4.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from functools import partial
from time import monotonic
from typing import Any, Final

import aiohttp
from aiohttp import hdrs
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection

from exporter.system.addresses import without_zone

_NO_RESPONSES: Final[deque[Any]] = deque(maxlen=0)
"""The queue of every idle connection: a deque of its own takes 600 bytes."""

CLOSED_AT_ONCE: Final = 1000
"""The most idle connections that are closed without a pause, which takes some milliseconds."""

_NEXT_SECONDS: Final = 1.0
"""When to look again after some were closed."""

before_send: ContextVar[Callable[[object], Awaitable[None]]] = ContextVar("before_send")
"""What to await once a request has its connection, before its first byte is written."""


class ZonelessRequest(aiohttp.ClientRequest):
    """A request that shows the server no zone: not in `Host`, not in SNI or certificate names.

    The zone of `fe80::1%eth0` is for the connection only; Apache answers 400 to such a `Host`.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - passed on
        super().__init__(*args, **kwargs)
        if "%" in self.host:
            self.headers[hdrs.HOST] = without_zone(self.headers[hdrs.HOST])
            self.server_hostname = self.server_hostname or without_zone(self.host)


class HookedRequest(ZonelessRequest):
    """A request that awaits `before_send`: neither tracing nor middleware gets the connection."""

    async def send(self, conn: Connection) -> aiohttp.ClientResponse:
        """Await the hook, then send; aiohttp calls this once there is a connection."""
        await before_send.get()(conn.protocol)
        return await super().send(conn)


class LeanResponseHandler(ResponseHandler):
    """A connection that can drop what aiohttp keeps of the last response, and can fail at once."""

    __slots__ = ()

    def drop_last_response(self) -> None:
        """Free the parser and the queue, some KB for each idle connection."""
        self._parser = None
        self._payload = None
        self._buffer = _NO_RESPONSES

    def expect_response(self) -> None:
        """Make room for the next response."""
        if self._buffer is _NO_RESPONSES:
            self._buffer = deque()

    def fail(self, problem: aiohttp.ClientError) -> None:
        """End the connection and raise `problem` in the task that waits for the response."""
        self.set_exception(problem)
        if self._payload is not None:
            self._payload.set_exception(problem)
        if self.transport is not None:
            self.transport.abort()


class _IdleConnections(list[tuple[ResponseHandler, float]]):
    """The idle connections to one device, the oldest first, each since when (monotonic seconds).

    A deque, as aiohttp uses, takes 760 bytes; this takes 88.
    """

    __slots__ = ()

    def popleft(self) -> tuple[ResponseHandler, float]:
        """Remove the oldest one, and return it."""
        return self.pop(0)


class LeanConnector(aiohttp.TCPConnector):
    """A connector that makes connections of a class of ours, and keeps many idle ones cheaply.

    aiohttp copies all of them every `idle_seconds`, to find those to close: with 50,000, that holds
    up the event loop for 140 ms.
    """

    def __init__(self, kind: type[ResponseHandler], idle_seconds: float, **settings: Any) -> None:  # noqa: ANN401 - passed on
        super().__init__(keepalive_timeout=idle_seconds, **settings)
        self._factory = partial(kind, loop=asyncio.get_running_loop())
        self._conns = defaultdict(_IdleConnections)  # type: ignore[arg-type]
        self._idle_seconds = idle_seconds

    def _cleanup(self) -> None:
        """Close connections that are idle for too long, a limited number at once.

        aiohttp calls this for the first time, and cancels `_cleanup_handle` at the end.
        """
        last = monotonic() - self._idle_seconds
        old = [key for key, idle in self._conns.items() if idle[0][1] < last]
        for key in old[:CLOSED_AT_ONCE]:
            idle = self._conns[key]
            idle.popleft()[0].close()
            if not idle:
                del self._conns[key]
        wait_seconds = _NEXT_SECONDS if old else self._idle_seconds
        self._cleanup_handle = self._loop.call_later(wait_seconds, self._cleanup)
