"""Certificates like the device identity that Axis installs at the factory (IEEE 802.1AR).

`cryptography` is an optional extra, so it is imported only when a certificate is made.
"""

import contextlib
import os
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.x509 import Certificate

_NOT_BEFORE = datetime(2020, 1, 1, tzinfo=UTC)
# "No well-defined expiration date" (RFC 5280, section 4.1.2.5).
_NOT_AFTER = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)


class MissingExtraError(Exception):
    """HTTPS devices need `cryptography`, which is optional and not installed."""

    def __init__(self) -> None:
        super().__init__(
            "simulated HTTPS devices need the package cryptography: "
            "pip install 'axis-ntp-exporter[simulator]'"
        )


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate and its private key, both PEM."""

    certificate_pem: bytes
    key_pem: bytes

    def server_context(self) -> ssl.SSLContext:
        """Return a server's TLS context with this identity; it offers HTTP/1.1."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with _as_file(self.certificate_pem + self.key_pem) as path:
            context.load_cert_chain(path)
        context.set_alpn_protocols(["http/1.1"])
        return context


def make_identity(mac: str) -> Identity:
    """Make a self-signed certificate for a MAC address (12 hex digits).

    It has no subject alternative name and never expires.

    Raises MissingExtraError without `cryptography`.
    """
    try:
        from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - optional extra
        from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415 - optional extra
    except ImportError:
        raise MissingExtraError from None
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _self_signed(mac, key).public_bytes(serialization.Encoding.PEM)
    key_pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return Identity(certificate, key_pem)


def _self_signed(mac: str, key: "EllipticCurvePrivateKey") -> "Certificate":
    from cryptography import x509  # noqa: PLC0415 - optional extra
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415 - optional extra
    from cryptography.x509.oid import NameOID  # noqa: PLC0415 - optional extra

    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, f"axis-{mac}-eccp256-1"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Axis Communications AB"),
            x509.NameAttribute(NameOID.SERIAL_NUMBER, mac.upper()),
        ]
    )
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name)
    builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(_NOT_BEFORE).not_valid_after(_NOT_AFTER)
    return builder.sign(key, SHA256())


@contextlib.contextmanager
def _as_file(content: bytes) -> Iterator[str]:
    """Yield the path of a file with `content`: the ssl module loads keys only from files.

    It lies in memory, and only this process has it: nothing is written to the file system, which is
    read-only in a container.
    """
    with open(os.memfd_create("identity.pem"), "wb") as file:  # noqa: PTH123 - it has no path yet
        file.write(content)
        file.flush()
        yield f"/proc/self/fd/{file.fileno()}"
