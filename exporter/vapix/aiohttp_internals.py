"""Every use of aiohttp's private parts on the device side. docs/decisions/0005 says why.

If a release of aiohttp changes one of them, tests/vapix/test_aiohttp_internals.py names it.
`constraints.txt` pins the release that the tests have run with; pyproject.toml excludes aiohttp 4.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from functools import partial
from typing import Any, Final

import aiohttp
from aiohttp import hdrs
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection

from exporter.system.addresses import without_zone

_NO_RESPONSES: Final[deque[Any]] = deque(maxlen=0)
"""The queue of every idle connection: a deque of its own takes 600 bytes."""

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


def set_connection_class(connector: aiohttp.TCPConnector, kind: type[ResponseHandler]) -> None:
    """Make a connector use `kind` for its connections."""
    connector._factory = partial(kind, loop=asyncio.get_running_loop())  # noqa: SLF001
