"""Certificates as devices have them: signed by themselves, or by a CA of the operator."""

from __future__ import annotations

import datetime as dt
import hashlib
import ssl
from dataclasses import dataclass
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Certificate:
    """A device's certificate: with its key for the device, and what a client needs of it.

    `trusted` is the file by which a client can believe it, `name` what it is issued to.
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
    """As factory-new devices have it: a common name, no name or address beside it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
        .not_valid_after(dt.datetime(9999, 12, 31, tzinfo=dt.UTC))
        .sign(key, hashes.SHA256())
    )
    trusted, with_key = folder / f"{name}.pem", folder / f"{name}.key.pem"
    trusted.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    with_key.write_bytes(_pem(key) + trusted.read_bytes())
    return Certificate(with_key, trusted, name)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def signed_by_a_ca(folder: Path, name: str = "lobby.cameras.example") -> Certificate:
    """As an operator installs it: a CA of their own, a DNS name."""
    authority = trustme.CA()
    trusted, with_key = folder / "ca.pem", folder / f"{name}.key.pem"
    authority.cert_pem.write_to_path(trusted)
    authority.issue_cert(name).private_key_and_cert_chain_pem.write_to_path(with_key)
    return Certificate(with_key, trusted, name)
