"""Certificates for tests: from a CA of their own, or self-signed as on a factory-new device."""

from __future__ import annotations

import datetime as dt
import hashlib
import ssl
from dataclasses import dataclass
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from tests.support.programs import LOOPBACK


@dataclass(frozen=True)
class Authority:
    """A CA that signs certificates into a folder of its own."""

    folder: Path
    ca: trustme.CA

    @property
    def file(self) -> Path:
        return self.folder / "ca.pem"

    def issue(self, name: str, *sans: str) -> tuple[Path, Path]:
        """Write and return `NAME.crt` and `NAME.key`; `sans`: subject alternative names."""
        issued = self.ca.issue_cert(*(sans or (LOOPBACK,)))
        certificate, key = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        certificate.write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(key)
        return certificate, key

    def client_context(self, client: str | None = None) -> ssl.SSLContext:
        """Return the TLS context of a client that trusts this CA, with `client`'s certificate."""
        context = ssl.create_default_context(cafile=self.file)
        if client is not None:
            context.load_cert_chain(self.folder / f"{client}.crt", self.folder / f"{client}.key")
        return context


def authority(folder: Path) -> Authority:
    """Make a CA; write `ca.pem`, and `server.crt` and `server.key` for loopback."""
    folder.mkdir(exist_ok=True)
    made = Authority(folder, trustme.CA())
    made.ca.cert_pem.write_to_path(made.file)
    made.issue("server")
    return made


def encrypt(key: Path, encrypted: Path) -> None:
    """Write the same private key with a passphrase."""
    private = load_pem_private_key(key.read_bytes(), None)
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    encrypted.write_bytes(_key_pem(private, BestAvailableEncryption(b"passphrase")))


@dataclass(frozen=True)
class Certificate:
    """A device's certificate: `with_key` is for the device, the rest for its clients.

    `trusted` is the CA file that verifies it, `name` the name that it is issued to.
    """

    with_key: Path
    trusted: Path
    name: str

    @property
    def fingerprint(self) -> bytes:
        text = self.with_key.read_text()
        pem = text[text.index("-----BEGIN CERTIFICATE") :]
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).digest()


def self_signed(folder: Path, name: str = "axis-accc8e012345-eccp256-1") -> Certificate:
    """Make the certificate of a factory-new device: a common name, no subject alternative name."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
        .not_valid_after(dt.datetime(9999, 12, 31, tzinfo=dt.UTC))
        .sign(key, hashes.SHA256())
    )
    trusted, with_key = folder / f"{name}.pem", folder / f"{name}.key.pem"
    trusted.write_bytes(certificate.public_bytes(Encoding.PEM))
    with_key.write_bytes(_key_pem(key, NoEncryption()) + trusted.read_bytes())
    return Certificate(with_key, trusted, name)


def _key_pem(key: ec.EllipticCurvePrivateKey, encryption: KeySerializationEncryption) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


def signed_by_a_ca(folder: Path, name: str = "lobby.cameras.example") -> Certificate:
    """Make a certificate from the operator's own CA, for a DNS name."""
    issuer = authority(folder)
    certificate, key = issuer.issue(name, name)
    with_key = folder / f"{name}.key.pem"
    with_key.write_bytes(key.read_bytes() + certificate.read_bytes())
    return Certificate(with_key, issuer.file, name)
