"""The certificate that a device shows, believed or not."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from exporter.vapix.errors import printable

_DER: Final = 2
"""The form without a text around it, as the ssl module numbers them."""

_SHORT_NAMES: Final = {
    "commonName": "CN",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "localityName": "L",
    "stateOrProvinceName": "ST",
    "countryName": "C",
}


class Certificate(NamedTuple):
    """What stands in it: whose it says it is, and its SHA-256 fingerprint as 64 hex digits.

    `refusal` is why it was not believed, `None` if it was, or any would have been.
    """

    subject: str
    fingerprint_sha256: str
    refusal: str | None = None


Notice = Callable[[Certificate], None]


def notice_certificates(context: ssl.SSLContext, notice: Notice) -> None:
    """Call `notice` at the end of each handshake of `context`.

    That is in the contextvars of who connects: they tell whose certificate it is.
    """
    base = context.sslobject_class or ssl.SSLObject

    class NoticingSSLObject(base):  # type: ignore[misc, valid-type]
        def do_handshake(self) -> None:
            try:
                super().do_handshake()
            except ssl.SSLCertVerificationError as problem:
                _tell(self, notice, printable(problem.verify_message.rstrip(".")))
                raise
            _tell(self, notice, None)

    context.sslobject_class = NoticingSSLObject


def _tell(tls: ssl.SSLObject, notice: Notice, refusal: str | None) -> None:
    if (shown := _shown(tls)) is not None:
        notice(Certificate(_subject(shown), _fingerprint(shown), refusal))


def fingerprint_shown(tls: ssl.SSLObject) -> str | None:
    """The SHA-256 fingerprint of the certificate that came, 64 hex digits; `None` if none did."""
    shown = _shown(tls)
    return None if shown is None else _fingerprint(shown)


def _shown(tls: ssl.SSLObject) -> Any:  # noqa: ANN401 - the ssl module names no type for it
    # Before Python 3.13 a certificate that is not believed is to be had here only.
    inner: Any = tls
    chain = inner._sslobj.get_unverified_chain()  # noqa: SLF001
    return chain[0] if chain else None


def _fingerprint(certificate: Any) -> str:  # noqa: ANN401 - the ssl module names no type for it
    return hashlib.sha256(certificate.public_bytes(_DER)).hexdigest()


def _subject(certificate: Any) -> str:  # noqa: ANN401 - the ssl module names no type for it
    try:
        parts = certificate.get_info()["subject"]
    except (OSError, ValueError):
        return "unreadable"
    return printable(", ".join(_spelled(parts))) or "empty"


def _spelled(parts: tuple[tuple[tuple[str, str], ...], ...]) -> Iterator[str]:
    for kind, value in (pair for part in parts for pair in part):
        yield f"{_SHORT_NAMES.get(kind, kind)}={value}"
