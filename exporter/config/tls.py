"""The schema of `tls_config`, for servers of targets and for devices."""

from dataclasses import fields
from pathlib import Path
from typing import Self

from pydantic import model_validator

from exporter.config.base import Section
from exporter.config.types import FilePath, Fingerprint, Name
from exporter.system.tls import TlsVersion
from exporter.vapix.tls import PINS_FILE, TlsSettings


class TlsConfig(Section):
    """`tls_config`: how the other side proves its identity, and how we prove ours."""

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
    def has_anchor(self) -> bool:
        """Whether it says itself what is trusted, instead of the CAs of this system."""
        return self.ca_file is not None or self.fingerprint_sha256 is not None

    @property
    def files(self) -> dict[str, Path | None]:
        """The files that it names, by the path of their key."""
        keys = ("ca_file", "cert_file", "key_file")
        return {f"tls_config.{key}": getattr(self, key) for key in keys}

    def settings(self) -> TlsSettings:
        """Return what the TLS context is made from."""
        return TlsSettings(**{each.name: getattr(self, each.name) for each in fields(TlsSettings)})


class DeviceTlsConfig(TlsConfig):
    """`tls_config` of a module: `pins_file` has the fingerprint of each device's certificate."""

    pins_file: FilePath | None = None

    @model_validator(mode="after")
    def _trusts_pins_only(self) -> Self:
        others = ("ca_file", "fingerprint_sha256", "insecure_skip_verify")
        if self.pins_file is not None and (
            found := [each for each in others if getattr(self, each)]
        ):
            raise ValueError(f"pins_file says which certificates are trusted: remove {found[0]}")
        return self

    @property
    def has_pins(self) -> bool:
        """Whether each device must show a certain certificate."""
        return self.fingerprint_sha256 is not None or self.pins_file is not None

    @property
    def has_anchor(self) -> bool:
        """Whether it says itself what is trusted, instead of the CAs of this system."""
        return super().has_anchor or self.has_pins

    @property
    def files(self) -> dict[str, Path | None]:
        """The files that it names, by the path of their key."""
        return {**super().files, PINS_FILE: self.pins_file}
