"""TLS towards a device: which certificate is believed, and how old a protocol is put up with."""

from __future__ import annotations

import hmac
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from exporter.system.tls_versions import TlsVersion, allow_from
from exporter.vapix.certificate import fingerprint_shown


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """How a device is to prove who it is, and we to it.

    `fingerprint_sha256` (32 bytes) pins the certificate itself; then neither its issuer nor
    its names matter. `cert_file` and `key_file` are PEM files of a client certificate.
    """

    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    insecure_skip_verify: bool = False
    min_version: TlsVersion = "TLS12"
    fingerprint_sha256: bytes | None = None


def make_ssl_context(settings: TlsSettings) -> ssl.SSLContext:
    """A client context for `settings`.

    Raises `OSError` (`ssl.SSLError` included) for a file that cannot be read or used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_alpn_protocols(["http/1.1"])
    allow_from(context, settings.min_version)
    _set_verification(context, settings)
    if settings.cert_file is not None:
        context.load_cert_chain(settings.cert_file, settings.key_file)
    return context


def _set_verification(context: ssl.SSLContext, settings: TlsSettings) -> None:
    if settings.fingerprint_sha256 is not None or settings.insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif settings.ca_file is not None:
        context.load_verify_locations(settings.ca_file)
    else:
        context.load_default_certs()
    context.sslobject_class = _Explaining
    if settings.fingerprint_sha256 is not None:
        context.sslobject_class = _pinned(settings.fingerprint_sha256.hex())


class _Explaining(ssl.SSLObject):
    """Says of a certificate that is not believed what it takes to believe it."""

    def do_handshake(self) -> None:
        try:
            super().do_handshake()
        except ssl.SSLCertVerificationError as problem:
            another = "server_name" if problem.verify_code in _ANOTHER_NAME else "ca_file"
            why = problem.verify_message.rstrip(".")
            raise _not_believed(why, fingerprint_shown(self), f", or {another}") from None


_ANOTHER_NAME: Final = {62, 64}
"""OpenSSL's numbers for a certificate of another name, and of another IP address."""


def _pinned(fingerprint_sha256: str) -> type[ssl.SSLObject]:
    """An SSLObject whose handshake fails unless the peer shows the pinned certificate."""

    class PinnedSSLObject(ssl.SSLObject):
        def do_handshake(self) -> None:
            super().do_handshake()
            seen = fingerprint_shown(self) or ""
            if not hmac.compare_digest(seen, fingerprint_sha256):
                raise _not_believed(NOT_PINNED, seen)

    return PinnedSSLObject


NOT_PINNED: Final = "it has not the pinned fingerprint"
"""Why a certificate is not believed that is another than the pinned one."""


def _not_believed(why: str, seen: str | None, another: str = "") -> ssl.SSLCertVerificationError:
    remedy = f"to believe it: tls_config.fingerprint_sha256: {seen}{another}"
    error: Any = ssl.SSLCertVerificationError(1, f"{why}; {remedy}")
    error.verify_message = why
    return error  # type: ignore[no-any-return]
