"""A server's TLS context whose settings change while the server listens."""

import ssl
from asyncio import BaseTransport
from typing import Any, Self
from weakref import WeakSet

from exporter.web.web_config.tls import TlsServerConfig


class ReloadableTls(ssl.SSLContext):
    """The context that a server listens with; each new connection uses the current one behind it.

    The event loops, uvloop's and Python's, call `wrap_bio` for every connection that they accept.
    This way all settings can change. `sni_callback` could not do that: client verification and
    TLS versions are fixed before it is called.
    """

    def __new__(cls, _first: TlsServerConfig) -> Self:
        """Create the context; `SSLContext` takes its protocol here and not in `__init__`."""
        return super().__new__(cls, ssl.PROTOCOL_TLS_SERVER)

    def __init__(self, first: TlsServerConfig) -> None:
        self._current = first.context
        self._client_rules = first.client_rules
        # The contexts that verify clients as the current one does.
        self._same_client_rules = WeakSet([first.context])

    def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:  # noqa: ANN401 - passed on
        """Start a connection's TLS with the current context."""
        return self._current.wrap_bio(*args, **kwargs)

    def replace(self, new: TlsServerConfig) -> None:
        """Use other settings for all new connections."""
        if new.client_rules != self._client_rules:
            self._same_client_rules.clear()
        self._current, self._client_rules = new.context, new.client_rules
        self._same_client_rules.add(new.context)

    def is_outdated(self, transport: BaseTransport | None) -> bool:
        """Return whether a connection was made before the last `replace`."""
        context = _context_of(transport)
        return context is not None and context is not self._current

    def has_outdated_client(self, transport: BaseTransport | None) -> bool:
        """Return whether a connection's client was verified by other rules than the current."""
        context = _context_of(transport)
        return context is not None and context not in self._same_client_rules


def _context_of(transport: BaseTransport | None) -> ssl.SSLContext | None:
    connection = None if transport is None else transport.get_extra_info("ssl_object")
    return None if connection is None else connection.context
