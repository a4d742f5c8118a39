"""What a TLS handshake does with a client's certificate: alerts, and the names that are allowed."""

import ipaddress
import ssl
from collections.abc import Iterable
from typing import Any

from exporter.system.tls import BoundedSSLObject


class AlertSendingSSLObject(BoundedSSLObject):
    """Sends the client a TLS alert with the reason why its certificate was refused.

    An event loop closes the connection as soon as a handshake fails, before the alert is sent, and
    Prometheus could only report "EOF". Asked to wait for more data, the loop sends the alert; then
    the client closes the connection, or the loop's handshake timeout does.
    """

    _refusal: ssl.SSLError | None = None

    def do_handshake(self) -> None:
        """Continue the handshake; raise a refusal only after the alert could be sent."""
        if self._refusal is not None:
            raise self._refusal
        try:
            super().do_handshake()
        except ssl.SSLError as problem:
            is_missing = problem.reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE"
            if not is_missing and not isinstance(problem, ssl.SSLCertVerificationError):
                raise
            self._refusal = problem
            raise ssl.SSLWantReadError from None


def ssl_object_class(allowed: frozenset[str]) -> type[AlertSendingSSLObject]:
    """Return a class whose handshake fails unless the client's certificate has an allowed name."""

    class AllowedNamesSSLObject(AlertSendingSSLObject):
        def do_handshake(self) -> None:
            super().do_handshake()
            if allowed.isdisjoint(_alternative_names(self.getpeercert() or {})):
                raise ssl.SSLCertVerificationError("the client has none of the allowed names")

    return AllowedNamesSSLObject


def _alternative_names(certificate: Any) -> Iterable[str]:  # noqa: ANN401 - ssl's own type
    """Yield the names, addresses and URIs of a certificate, spelled as Go spells them."""
    for kind, name in certificate.get("subjectAltName", ()):
        if kind == "IP Address":
            yield str(ipaddress.ip_address(name))
        elif kind in ("DNS", "email", "URI"):
            yield name
