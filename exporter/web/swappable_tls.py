"""A server's TLS that changes while it listens: each connection gets what holds as it arrives."""

from __future__ import annotations

import ssl
from typing import Any, Self


class SwappableTls(ssl.SSLContext):
    """Stands for `current` with whoever listens; nothing of its own is ever used.

    An event loop calls `wrap_bio` for each connection that it accepts, uvloop's and Python's
    alike. So everything can change, which `sni_callback` could not: it leaves alone who is asked
    for a certificate, and which versions are spoken.
    """

    def __new__(cls, _current: ssl.SSLContext) -> Self:
        """As any context is made: its protocol is given here."""
        return super().__new__(cls, ssl.PROTOCOL_TLS_SERVER)

    def __init__(self, current: ssl.SSLContext) -> None:
        self.current = current

    def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:  # noqa: ANN401 - passed on
        """A connection's TLS, by the context that is current."""
        return self.current.wrap_bio(*args, **kwargs)
