"""The config file as a model: every key, its type, its default and its rules."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Annotated, Literal, Self

from annotated_types import Ge, Len
from pydantic import Field, field_validator, model_validator

from exporter.config.expect import Expect
from exporter.config.section import Section
from exporter.config.types import (
    Address,
    DeviceName,
    DurationSeconds,
    FilePattern,
    Fingerprint,
    HttpUrl,
    Labels,
    Name,
    ReadableFile,
    Secret,
    Username,
    account_name,
)
from exporter.system.files import read_regular
from exporter.system.tls_versions import TlsVersion
from exporter.vapix.http_auth import DeviceCredentials, Policy
from exporter.vapix.tls import TlsSettings, make_ssl_context

DEFAULT_MODULE = "default"


class GlobalConfig(Section):
    """`global`: what holds where a module does not say otherwise."""

    interval: DurationSeconds = 60.0
    timeout: DurationSeconds = 10.0
    concurrency: Annotated[int, Ge(1)] = 1000


class AuthConfig(Section):
    """`auth`: the account on the devices; each half inline or in a file."""

    scheme: Policy = "auto"
    username: Username | None = None
    username_file: ReadableFile | None = None
    password: Secret | None = None
    password_file: ReadableFile | None = None

    @model_validator(mode="after")
    def _is_one_account(self) -> Self:
        if self.username is not None and self.username_file is not None:
            raise ValueError("give username or username_file, not both")
        if self.password is not None and self.password_file is not None:
            raise ValueError("give password or password_file, not both")
        has_username = self.username is not None or self.username_file is not None
        has_password = self.password is not None or self.password_file is not None
        if has_username != has_password:
            raise ValueError("a username and a password belong together: one is missing")
        if has_username:
            self.credentials()
        return self

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that it names."""
        named = (self.username_file, self.password_file)
        return tuple(file for file in named if file is not None)

    def credentials(self) -> DeviceCredentials | None:
        """The account as it stands now, files read anew; `None` if there is none.

        Raises `ValueError`, naming the file, for one that cannot be read or is empty.
        """
        username = self.username
        if self.username_file is not None:
            username = _account_name_in(self.username_file)
        password = None if self.password is None else self.password.get_secret_value()
        if self.password_file is not None:
            password = _read_secret(self.password_file)
        return (
            None if username is None or password is None else DeviceCredentials(username, password)
        )


class TlsConfig(Section):
    """`tls_config`: how a device proves who it is, and we to it."""

    ca_file: ReadableFile | None = None
    cert_file: ReadableFile | None = None
    key_file: ReadableFile | None = None
    server_name: Name | None = None
    insecure_skip_verify: bool = False
    min_version: TlsVersion = "TLS12"
    fingerprint_sha256: Fingerprint | None = None

    @model_validator(mode="after")
    def _makes_a_context(self) -> Self:
        if self.key_file is not None and self.cert_file is None:
            raise ValueError("key_file needs a cert_file")
        if self.fingerprint_sha256 is not None and self.ca_file is not None:
            raise ValueError("fingerprint_sha256 pins the certificate itself: leave ca_file out")
        if not self.files:
            return self  # nothing that could be wrong, and a host's authorities take 30 ms to read
        try:
            make_ssl_context(self.settings())
        except OSError as problem:
            reason = problem.reason if isinstance(problem, ssl.SSLError) else problem.strerror
            raise ValueError(f"the certificate files cannot be used: {reason}") from None
        return self

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that it names."""
        named = (self.ca_file, self.cert_file, self.key_file)
        return tuple(file for file in named if file is not None)

    def settings(self) -> TlsSettings:
        """What the TLS context is made from."""
        return TlsSettings(
            ca_file=self.ca_file,
            cert_file=self.cert_file,
            key_file=self.key_file,
            insecure_skip_verify=self.insecure_skip_verify,
            min_version=self.min_version,
            fingerprint_sha256=self.fingerprint_sha256,
        )


class ModuleConfig(Section):
    """`modules.NAME`: how to talk to a kind of device."""

    scheme: Literal["http", "https"] = "https"
    auth: AuthConfig = AuthConfig()
    tls_config: TlsConfig = Field(default_factory=TlsConfig)
    interval: DurationSeconds | None = None
    timeout: DurationSeconds | None = None
    expect: Expect = Expect()

    @model_validator(mode="after")
    def _hides_the_password(self) -> Self:
        if self.scheme == "http" and self.auth.scheme == "basic":
            raise ValueError(
                "auth.scheme basic needs scheme https: over plain HTTP it shows the password"
            )
        return self


class DeviceConfig(Section):
    """One entry of `devices`."""

    address: Address
    name: DeviceName | None = None
    module: str = DEFAULT_MODULE
    labels: Labels = Field(default_factory=dict)
    expect: Expect = Expect()

    @property
    def label(self) -> str:
        """The value of the label `device`."""
        return self.name or self.address


class FileSdConfig(Section):
    """One entry of `file_sd_configs`: files of target groups, by pattern."""

    files: Annotated[tuple[FilePattern, ...], Len(1)]
    refresh_interval: DurationSeconds = 60.0


class HttpSdConfig(Section):
    """One entry of `http_sd_configs`: a server of target groups."""

    url: HttpUrl
    refresh_interval: DurationSeconds = 60.0


class Config(Section):
    """The whole file."""

    global_: GlobalConfig = Field(GlobalConfig(), alias="global")
    modules: dict[str, ModuleConfig] = Field(default_factory=dict, validate_default=True)
    devices: tuple[DeviceConfig, ...] = ()
    file_sd_configs: tuple[FileSdConfig, ...] = ()
    http_sd_configs: tuple[HttpSdConfig, ...] = ()

    @field_validator("modules")
    @classmethod
    def _default_exists(cls, modules: dict[str, ModuleConfig]) -> dict[str, ModuleConfig]:
        return modules if DEFAULT_MODULE in modules else {**modules, DEFAULT_MODULE: ModuleConfig()}

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file that the config refers to."""
        modules = self.modules.values()
        sections = (section for each in modules for section in (each.auth, each.tls_config))
        return tuple(file for section in sections for file in section.files)

    def module(self, name: str) -> ModuleConfig:
        """The module called `name`; `default` exists even where the file has none.

        Raises `KeyError` for a name that is not configured.
        """
        return self.modules[name]

    def expect(self, device: DeviceConfig) -> Expect:
        """What is expected of a device: its own `expect` laid over its module's, key by key."""
        under = self.module(device.module).expect
        return device.expect.laid_over(under) if device.expect.named() else under


def _account_name_in(file: Path) -> str:
    try:
        return account_name(_read_secret(file))
    except ValueError as problem:
        about = str(problem)
        raise ValueError(about if str(file) in about else f"{file}: the name {about}") from None


def _read_secret(file: Path) -> str:
    """A file's text without the one newline that editors put at its end."""
    try:
        text = read_regular(file).decode()
    except UnicodeDecodeError:
        raise ValueError(f"{file} is not UTF-8 text") from None
    except OSError as problem:
        raise ValueError(f"cannot read {file}: {problem.strerror}") from None
    secret = text.removesuffix("\n").removesuffix("\r")
    if not secret:
        raise ValueError(f"{file} is empty")
    return secret
