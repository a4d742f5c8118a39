"""The way into a module's devices: the account and the TLS context that they share."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import NamedTuple

from yarl import URL

from exporter.config import AuthConfig, ModuleConfig, TlsConfig
from exporter.system.addresses import split_address
from exporter.system.files import digest
from exporter.vapix import ntp
from exporter.vapix.client import Endpoint, NtpClient
from exporter.vapix.connection import Session
from exporter.vapix.http_auth import Authenticator, DeviceCredentials
from exporter.vapix.tls import Notice, make_ssl_context, notice_certificates


class ClientSettings(NamedTuple):
    """All that a door is made of, its files as they stand: equal material, the same door."""

    scheme: str
    auth: AuthConfig
    credentials: DeviceCredentials | None
    tls: TlsConfig
    tls_digests: tuple[bytes, ...]


def read_client_settings(module: ModuleConfig) -> ClientSettings:
    """What the door of a module is made of now.

    Raises `OSError` or `ValueError`, naming the file, for one that cannot be read.
    """
    tls = module.tls_config
    digests = tuple(digest(file) for file in tls.files)
    return ClientSettings(module.scheme, module.auth, module.auth.credentials(), tls, digests)


class ClientFactory:
    """One account, one TLS context.

    Raises `OSError` or `ValueError`, naming the file, for certificates that cannot be used.
    """

    def __init__(self, material: ClientSettings) -> None:
        self.material = material
        secure = material.scheme == "https"
        self._tls = _tls_context(material.tls) if secure else None

    def notice_certificates(self, notice: Notice) -> None:
        """From now on, tell of each certificate shown, in the contextvars of who connects."""
        if self._tls is not None:
            notice_certificates(self._tls, notice)

    def client(self, address: str, session: Session) -> NtpClient:
        """A client of one device, that has not spoken to it yet."""
        made_of = self.material
        host, port = split_address(address)
        url = URL.build(scheme=made_of.scheme, host=host, port=port, path=ntp.PATH)
        endpoint = Endpoint(url, self._tls, made_of.tls.server_name)
        secure = self._tls is not None
        authenticator = Authenticator(made_of.auth.scheme, made_of.credentials, secure=secure)
        return NtpClient(session, endpoint, authenticator)


ClientFactories = Mapping[str, ClientFactory]
"""The doors of a config's modules, by name."""


def build_client_factories(
    modules: Mapping[str, ModuleConfig], there: ClientFactories
) -> ClientFactories:
    """A door for each module: the one that is there where its material is still the same.

    Raises `OSError` or `ValueError`, naming the file, for one that cannot be read or used.
    """
    return {name: _door(module, there.get(name)) for name, module in modules.items()}


def rebuild_changed_factories(
    modules: Mapping[str, ModuleConfig], there: ClientFactories
) -> tuple[ClientFactories, Mapping[str, str]]:
    """The doors with their files as they are now, and what is wrong with them, by module.

    A door whose files cannot be used stays as it was: the others do not wait for it.
    """
    doors, problems = dict(there), {}
    for name, module in modules.items():
        try:
            doors[name] = _door(module, there[name])
        except (OSError, ValueError) as problem:
            problems[name] = str(problem)
    return doors, problems


def _door(module: ModuleConfig, there: ClientFactory | None) -> ClientFactory:
    material = read_client_settings(module)
    return there if there is not None and there.material == material else ClientFactory(material)


def _tls_context(tls: TlsConfig) -> ssl.SSLContext:
    try:
        return make_ssl_context(tls.settings())
    except ssl.SSLError as problem:
        # It names no file, and knows not which of them it is.
        files = ", ".join(str(file) for file in tls.files)
        raise ValueError(f"{files}: cannot be used: {problem.reason or problem}") from None
