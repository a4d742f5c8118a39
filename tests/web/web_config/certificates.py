"""Certificates of the web server and its clients, as files that a web-config names."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Authority:
    """A CA that writes the certificates that it issues into its folder."""

    folder: Path
    ca: trustme.CA

    @property
    def file(self) -> Path:
        return self.folder / "ca.pem"

    def issue(self, name: str, *sans: str) -> tuple[Path, Path]:
        """Write `NAME.crt` and `NAME.key` for these subject alternative names."""
        issued = self.ca.issue_cert(*(sans or (LOOPBACK,)))
        certificate, key = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        certificate.write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(key)
        return certificate, key

    def client_context(self, client: str | None = None) -> ssl.SSLContext:
        """Return the TLS context of a client that trusts this CA; `client` names its own."""
        context = ssl.create_default_context(cafile=self.file)
        if client is not None:
            context.load_cert_chain(self.folder / f"{client}.crt", self.folder / f"{client}.key")
        return context


def authority(folder: Path) -> Authority:
    """Create a CA with its certificate in `ca.pem`, and `server.crt` and `.key` for loopback."""
    folder.mkdir(exist_ok=True)
    made = Authority(folder, trustme.CA())
    made.ca.cert_pem.write_to_path(made.file)
    made.issue("server")
    return made


def encrypt(key: Path, encrypted: Path) -> None:
    """Write the same private key, encrypted with a passphrase."""
    private = load_pem_private_key(key.read_bytes(), None)
    encrypted.write_bytes(
        private.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"passphrase")
        )
    )
