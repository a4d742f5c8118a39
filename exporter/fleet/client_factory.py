"""Makes the clients of a module's devices, which share one account and one TLS context."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from yarl import URL

from exporter.config.errors import Problem
from exporter.config.files import file_problems, read_credentials
from exporter.config.loader import file_errors
from exporter.config.schema import AuthConfig, ModuleConfig
from exporter.config.tls import TlsConfig
from exporter.system.addresses import split_address
from exporter.system.files import digest
from exporter.system.tls import BoundedSSLContext
from exporter.vapix import ntp
from exporter.vapix.client import Endpoint, NtpClient
from exporter.vapix.connection import Session
from exporter.vapix.http_auth import Authenticator, DeviceCredentials
from exporter.vapix.tls import Notice, make_ssl_context, notice_certificates


class ClientSettings(NamedTuple):
    """What a client factory is made from, with the content of the files that the module names."""

    scheme: str
    auth: AuthConfig
    credentials: DeviceCredentials | None
    tls: TlsConfig
    tls_digests: tuple[bytes, ...]
    clock_only: bool = False


def read_client_settings(module: ModuleConfig) -> ClientSettings:
    """Return the settings of a module, its files read now. Raises `OSError` or `ValueError`."""
    tls = module.tls_config
    files = (tls.ca_file, tls.cert_file, tls.key_file)
    digests = tuple(digest(file) for file in files if file is not None)
    # Without the API there is nothing to log in to.
    credentials = None if module.clock_only else read_credentials(module.auth)
    return ClientSettings(module.scheme, module.auth, credentials, tls, digests, module.clock_only)


class ClientFactory:
    """Makes clients with one account and one TLS context. Raises `OSError` or `ValueError`."""

    def __init__(self, settings: ClientSettings) -> None:
        self.settings = settings
        self._tls: BoundedSSLContext | None = None
        self._notice: Notice | None = None
        # Files that http does not need are checked all the same.
        if settings.scheme == "https" or settings.tls_digests:
            self._context()

    def _context(self) -> BoundedSSLContext:
        """Return the context of all clients; making it takes 20 ms."""
        if self._tls is None:
            self._tls = make_ssl_context(self.settings.tls.settings())
            if self._notice is not None:
                notice_certificates(self._tls, self._notice)
        return self._tls

    def notice_certificates(self, notice: Notice) -> None:
        """Call `notice` with each certificate that a device shows, in the connecting task."""
        self._notice = notice
        if self._tls is not None:
            notice_certificates(self._tls, notice)

    def client(self, address: str, session: Session, scheme: str | None = None) -> NtpClient:
        """Return a new client of one device, which has sent nothing yet.

        `scheme`: the device's, if it is not the module's.
        """
        settings, scheme = self.settings, scheme or self.settings.scheme
        tls = self._context() if scheme == "https" else None
        host, port = split_address(address)
        path = "/" if settings.clock_only else ntp.PATH
        url = URL.build(scheme=scheme, host=host, port=port, path=path)
        endpoint = Endpoint(url, tls, settings.tls.server_name, settings.clock_only)
        authenticator = Authenticator(
            settings.auth.scheme, settings.credentials, secure=tls is not None
        )
        return NtpClient(session, endpoint, authenticator)


ClientFactories = Mapping[str, ClientFactory]
"""The factories of a config, by the name of their module."""


def build_client_factories(
    modules: Mapping[str, ModuleConfig], existing: ClientFactories, source: Path | None = None
) -> ClientFactories:
    """Return a factory for each module: the existing one if its settings are unchanged.

    Raises `ConfigError` with every file that cannot be used, and its key's line in `source`.
    """
    factories, problems = rebuild_changed_factories(modules, existing)
    if problems:
        raise file_errors(
            (
                (f"modules.{name}.{path}".removesuffix("."), problem)
                for name, found in problems.items()
                for path, problem in found
            ),
            source,
        )
    return factories


def rebuild_changed_factories(
    modules: Mapping[str, ModuleConfig], existing: ClientFactories
) -> tuple[ClientFactories, Mapping[str, tuple[Problem, ...]]]:
    """Return factories for the files as they are now, and the problems of files by module.

    A module whose files cannot be used keeps its factory; the other modules don't wait for it.
    """
    factories = {name: factory for name, factory in existing.items() if name in modules}
    problems: dict[str, tuple[Problem, ...]] = {}
    for name, module in modules.items():
        try:
            settings = read_client_settings(module)
            if name not in existing or existing[name].settings != settings:
                factories[name] = ClientFactory(settings)
        except (OSError, ValueError) as error:
            problems[name] = tuple(file_problems(module).items()) or (("", str(error)),)
    return factories, problems
