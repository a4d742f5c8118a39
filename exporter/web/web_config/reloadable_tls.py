"""A server's TLS that changes while it listens: each connection gets what holds as it arrives."""

from __future__ import annotations

import ssl
from asyncio import BaseTransport
from typing import Any, Self
from weakref import WeakSet

from exporter.web.web_config.tls import Clients, TlsServer


class SwappableTls(ssl.SSLContext):
    """Stands for what is current with whoever listens; nothing of its own is ever used.

    An event loop calls `wrap_bio` for each connection that it accepts, uvloop's and Python's
    alike. So everything can change, which `sni_callback` could not: it leaves alone who is asked
    for a certificate, and which versions are spoken.
    """

    def __new__(cls, _first: TlsServer) -> Self:
        """As any context is made: its protocol is given here."""
        return super().__new__(cls, ssl.PROTOCOL_TLS_SERVER)

    def __init__(self, first: TlsServer) -> None:
        self._current = first.context
        self._clients: Clients = first.clients
        # Those whose clients were verified as the current one verifies them.
        self._like_current = WeakSet([first.context])

    def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:  # noqa: ANN401 - passed on
        """A connection's TLS, by the context that is current."""
        return self._current.wrap_bio(*args, **kwargs)

    def swap(self, to: TlsServer) -> None:
        """Let all connections that are yet to come be made so."""
        if to.clients != self._clients:
            self._like_current.clear()
        self._current, self._clients = to.context, to.clients
        self._like_current.add(to.context)

    def is_outdated(self, transport: BaseTransport | None) -> bool:
        """Whether a connection was made before the last swap."""
        made_by = _context_of(transport)
        return made_by is not None and made_by is not self._current

    def shuts_out(self, transport: BaseTransport | None) -> bool:
        """Whether the client was verified otherwise than one is now."""
        made_by = _context_of(transport)
        return made_by is not None and made_by not in self._like_current


def _context_of(transport: BaseTransport | None) -> ssl.SSLContext | None:
    connection = None if transport is None else transport.get_extra_info("ssl_object")
    return None if connection is None else connection.context
