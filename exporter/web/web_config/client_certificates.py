"""What a handshake makes of a client's certificate: which names will do, and what is told of it."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Iterable
from typing import Any


class TellingSSLObject(ssl.SSLObject):
    """Lets a client know why its certificate is refused.

    An event loop drops the connection as soon as a handshake fails, and the alert with it: all
    that Prometheus could say were "EOF". Asked to wait for more, it sends the alert first; then
    the client hangs up, or the loop's limit on handshakes ends it.
    """

    _refusal: ssl.SSLError | None = None

    def do_handshake(self) -> None:
        """As `ssl.SSLObject`; a refusal comes up once the client can have been told."""
        if self._refusal is not None:
            raise self._refusal
        try:
            super().do_handshake()
        except ssl.SSLError as problem:
            if not _is_refusal(problem):
                raise
            self._refusal = problem
            raise ssl.SSLWantReadError from None


def _is_refusal(problem: ssl.SSLError) -> bool:
    missing = problem.reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE"
    return missing or isinstance(problem, ssl.SSLCertVerificationError)


def allowing(allowed: frozenset[str]) -> type[ssl.SSLObject]:
    """An SSLObject whose handshake fails unless the client's certificate has one of these names."""

    class NamedSSLObject(TellingSSLObject):
        def do_handshake(self) -> None:
            super().do_handshake()
            if allowed.isdisjoint(_alternative_names(self.getpeercert() or {})):
                raise ssl.SSLCertVerificationError("the client has none of the allowed names")

    return NamedSSLObject


def _alternative_names(certificate: Any) -> Iterable[str]:  # noqa: ANN401 - ssl's own odd shape
    """Names, addresses and URIs of a certificate, spelled as Go spells them."""
    for kind, name in certificate.get("subjectAltName", ()):
        if kind == "IP Address":
            yield str(ipaddress.ip_address(name))
        elif kind in ("DNS", "email", "URI"):
            yield name
