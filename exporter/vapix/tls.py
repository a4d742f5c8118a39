"""TLS towards a device: which certificate is believed, and how old a protocol is put up with."""

from __future__ import annotations

import hashlib
import hmac
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exporter.tls_versions import TlsVersion, allow_from


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
    if settings.fingerprint_sha256 is not None:
        context.sslobject_class = _pinned(settings.fingerprint_sha256)


def _pinned(fingerprint_sha256: bytes) -> type[ssl.SSLObject]:
    """An SSLObject whose handshake fails unless the peer shows the pinned certificate."""

    class PinnedSSLObject(ssl.SSLObject):
        def do_handshake(self) -> None:
            super().do_handshake()
            seen = hashlib.sha256(self.getpeercert(binary_form=True) or b"").digest()
            if not hmac.compare_digest(seen, fingerprint_sha256):
                raise _mismatch(seen)

    return PinnedSSLObject


def _mismatch(seen: bytes) -> ssl.SSLCertVerificationError:
    error: Any = ssl.SSLCertVerificationError(
        1,
        f"the device's certificate has the SHA-256 fingerprint {seen.hex(':')}, another is pinned",
    )
    return error  # type: ignore[no-any-return]
