"""TLS handshakes of visitors: counted as connections, and ended if they take too long."""

import asyncio
from collections.abc import Callable
from ssl import SSLContext
from typing import Final, cast

from exporter.web.limits import ConnectionLimit

HANDSHAKE_SECONDS: Final = 5.0
"""A handshake takes one or two round trips."""


class Handshake(asyncio.Protocol):
    """Establishes TLS on a connection, and hands it over to the protocol that `make` returns.

    A server that is given the TLS context does so itself, but does not say which connections have
    only begun: nobody could count or end them.
    """

    def __init__(
        self, tls: SSLContext, limit: ConnectionLimit, make: Callable[[], asyncio.Protocol]
    ) -> None:
        self._tls = tls
        self._limit = limit
        self._make = make
        self._successor: asyncio.Protocol | None = None
        self._early: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to count the connection, and start the handshake."""
        # uvloop's transports are no instances of asyncio's classes.
        raw = cast("asyncio.Transport", transport)
        self._limit.add(self, raw)
        self._task = asyncio.get_running_loop().create_task(self._establish(raw))

    async def _establish(self, raw: asyncio.Transport) -> None:
        try:
            transport = None if raw.is_closing() else await self._start_tls(raw)
        except OSError:
            return  # the connection is closed already
        finally:
            self._limit.remove(self)
        if transport is not None and not raw.is_closing():
            self._hand_over(transport)

    async def _start_tls(self, raw: asyncio.Transport) -> asyncio.Transport | None:
        """Return the encrypted transport; `None` if the connection was closed meanwhile."""
        loop = asyncio.get_running_loop()
        handshake = loop.create_task(
            loop.start_tls(
                raw, self, self._tls, server_side=True, ssl_handshake_timeout=HANDSHAKE_SECONDS
            )
        )
        await asyncio.sleep(0)
        if not raw.is_closing():
            self._pass_on(cast("asyncio.BufferedProtocol", raw.get_protocol()))
        return await handshake

    def _pass_on(self, tls: asyncio.BufferedProtocol) -> None:
        """Give TLS what was received before it began: uvloop reads at once."""
        for data in self._early:
            memoryview(tls.get_buffer(len(data)))[: len(data)] = data
            tls.buffer_updated(len(data))
        self._early.clear()

    def _hand_over(self, transport: asyncio.Transport) -> None:
        self._successor = successor = self._make()
        transport.set_protocol(successor)
        successor.connection_made(transport)
        for data in self._early:
            successor.data_received(data)

    def data_received(self, data: bytes) -> None:
        """Keep what arrives before the handshake's task has its turn, at its begin and its end."""
        self._early.append(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the successor, if the loop had planned this call before the connection was its."""
        if self._successor is not None:
            self._successor.connection_lost(exc)
