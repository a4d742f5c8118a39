"""The schema of `tls_config`, for devices and for servers of targets."""

from dataclasses import fields
from pathlib import Path
from typing import Self

from pydantic import model_validator

from exporter.config.base import Section
from exporter.config.types import FilePath, Fingerprint, Name
from exporter.system.tls import TlsVersion
from exporter.vapix.tls import TlsSettings


class TlsConfig(Section):
    """`tls_config`: how a device proves its identity, and how we prove ours."""

    ca_file: FilePath | None = None
    cert_file: FilePath | None = None
    key_file: FilePath | None = None
    server_name: Name | None = None
    insecure_skip_verify: bool = False
    min_version: TlsVersion = "TLS12"
    fingerprint_sha256: Fingerprint | None = None

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.key_file is not None and self.cert_file is None:
            raise ValueError("key_file needs a cert_file")
        if self.fingerprint_sha256 is not None and self.ca_file is not None:
            raise ValueError("fingerprint_sha256 pins the certificate itself: remove ca_file")
        return self

    @property
    def files(self) -> dict[str, Path | None]:
        """The files that a TLS context is made from, by the path of their key."""
        keys = ("ca_file", "cert_file", "key_file")
        return {f"tls_config.{key}": getattr(self, key) for key in keys}

    def settings(self) -> TlsSettings:
        """Return what the TLS context is made from."""
        return TlsSettings(**{each.name: getattr(self, each.name) for each in fields(TlsSettings)})
