"""Makes the clients of a module's devices, which share one account and its TLS contexts."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from yarl import URL

from exporter.config.errors import Problem
from exporter.config.files import file_problems, read_credentials
from exporter.config.loader import file_errors
from exporter.config.pins import NO_PINS, Pins, read_pins
from exporter.config.schema import FINGERPRINT_LABEL, AuthConfig, DeviceConfig, ModuleConfig
from exporter.config.tls import DeviceTlsConfig
from exporter.system.addresses import split_address
from exporter.system.files import digest
from exporter.system.tls import BoundedSSLContext
from exporter.vapix import ntp
from exporter.vapix.client import Endpoint, NtpClient
from exporter.vapix.connection import Session
from exporter.vapix.http_auth import Authenticator, DeviceCredentials
from exporter.vapix.tls import PINS_FILE, Notice, Pin, make_ssl_context, notice_certificates


class ClientSettings(NamedTuple):
    """What a client factory is made from, with the content of the files that the module names."""

    scheme: str
    auth: AuthConfig
    credentials: DeviceCredentials | None
    tls: DeviceTlsConfig
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
    """Makes clients with one account. Raises `OSError` or `ValueError`.

    Devices with a pin share one TLS context, which verifies nothing, and the others another one.
    """

    def __init__(self, settings: ClientSettings) -> None:
        self.settings = settings
        self._contexts: dict[bool, BoundedSSLContext] = {}
        self._notice: Notice | None = None
        # Files that http does not need are checked all the same.
        if settings.scheme == "https" or settings.tls_digests:
            self._context(has_pin=settings.tls.has_pins)

    def _context(self, *, has_pin: bool) -> BoundedSSLContext:
        """Return the context of clients with a pin, or without; making it takes 20 ms."""
        if has_pin not in self._contexts:
            settings = self.settings.tls.settings()
            if has_pin:
                settings = replace(
                    settings, insecure_skip_verify=True, ca_file=None, fingerprint_sha256=None
                )
            context = self._contexts[has_pin] = make_ssl_context(settings)
            if self._notice is not None:
                notice_certificates(context, self._notice)
        return self._contexts[has_pin]

    def notice_certificates(self, notice: Notice) -> None:
        """Call `notice` with each certificate that a device shows, in the connecting task."""
        self._notice = notice
        for context in self._contexts.values():
            notice_certificates(context, notice)

    def client(
        self, address: str, session: Session, scheme: str | None = None, pin: Pin | None = None
    ) -> NtpClient:
        """Return a new client of one device, which has sent nothing yet.

        `scheme`: the device's, if it is not the module's. `pin`: the certificate that it must show.
        """
        settings, scheme = self.settings, scheme or self.settings.scheme
        tls = self._context(has_pin=pin is not None) if scheme == "https" else None
        host, port = split_address(address)
        path = "/" if settings.clock_only else ntp.PATH
        url = URL.build(scheme=scheme, host=host, port=port, path=path)
        endpoint = Endpoint(url, tls, settings.tls.server_name, settings.clock_only, pin)
        authenticator = Authenticator(
            settings.auth.scheme, settings.credentials, secure=tls is not None
        )
        return NtpClient(session, endpoint, authenticator)


class ModuleClients(NamedTuple):
    """What makes the clients of a module's devices: its factory, and the pins of its file."""

    factory: ClientFactory
    pins: Pins = NO_PINS

    def find_pin(self, device: DeviceConfig) -> Pin | None:
        """Return the certificate that a device must show; `None` if its issuer is verified."""
        tls = self.factory.settings.tls
        if (own := device.settings_of_its_own.fingerprint_sha256) is not None:
            return Pin(own, f"the label {FINGERPRINT_LABEL}")
        if device.fingerprint_sha256 is not None:
            return Pin(device.fingerprint_sha256, "the device's fingerprint_sha256")
        if tls.pins_file is not None:
            return Pin(self.pins.find(device.address), PINS_FILE)
        if tls.fingerprint_sha256 is not None:
            return Pin(tls.fingerprint_sha256, "tls_config.fingerprint_sha256")
        return None


ClientFactories = Mapping[str, ModuleClients]
"""The factories of a config, with their pins, by the name of their module."""


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
    factories = {name: clients for name, clients in existing.items() if name in modules}
    problems: dict[str, tuple[Problem, ...]] = {}
    for name, module in modules.items():
        try:
            factories[name] = _read_clients(module, existing.get(name))
        except (OSError, ValueError) as error:
            problems[name] = tuple(file_problems(module).items()) or (("", str(error)),)
    return factories, problems


def _read_clients(module: ModuleConfig, before: ModuleClients | None) -> ModuleClients:
    """Read a module's files; keep of `before` what is the same. Raises `OSError`, `ValueError`."""
    settings, file = read_client_settings(module), module.tls_config.pins_file
    pins = NO_PINS if file is None else read_pins(file, NO_PINS if before is None else before.pins)
    if before is not None and before.factory.settings == settings:
        return before._replace(pins=pins)
    return ModuleClients(ClientFactory(settings), pins)
