"""Ask an address whether it is an Axis device: one request of the NTP API, without a password."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from exporter.config import ModuleConfig
from exporter.config.tls import DeviceTlsConfig
from exporter.discovery.target_file import FoundTarget
from exporter.fleet.client_factory import ClientFactory, read_client_settings
from exporter.system.addresses import format_address
from exporter.vapix.client import NtpClient
from exporter.vapix.connection import Session
from exporter.vapix.errors import (
    ApiError,
    ConnectionReset,
    DeviceError,
    Disconnected,
    FactoryNew,
    Forbidden,
    InvalidResponse,
    TlsFailed,
    Unsupported,
)

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}

_LOWEST_API_CODE: Final = 1000
"""Codes below are those of HTTP."""

_NO_ANSWER: Final = ("connect", "timeout", "dns")
"""Reasons of errors that say nothing listens at a port."""

_NO_TLS: Final = (TlsFailed, ConnectionReset, Disconnected, InvalidResponse)
"""What a port that speaks plain HTTP does with a TLS handshake. A closed port is asked once."""


class FoundDevice(NamedTuple):
    """An Axis device; `serial` is empty if it does not show it."""

    host: str
    port: int
    scheme: str
    serial: str

    @property
    def address(self) -> str:
        """The address as a config has it: with a port only if it is not the scheme's usual one."""
        if self.port == _DEFAULT_PORTS[self.scheme]:
            return self.host
        return format_address(self.host, self.port)


@dataclass(slots=True)
class Question:
    """A port of an address to ask, and the device that answered there, if one did.

    `answered`: anything did, a device or not.
    """

    host: str
    port: int
    found: FoundDevice | None = None
    asked: bool = False
    answered: bool = False


class Scanner:
    """Asks ports. It has no account, so it can send no password; certificates do not matter."""

    def __init__(self, session: Session, timeout_seconds: float) -> None:
        self._session = session
        self._timeout_seconds = timeout_seconds
        module = ModuleConfig(tls_config=DeviceTlsConfig(insecure_skip_verify=True))
        self._clients = ClientFactory(read_client_settings(module))

    async def ask(self, question: Question) -> None:
        """Ask a port, and note the device that answers. Port 80 is asked in plain HTTP only."""
        schemes = ("http",) if question.port == _DEFAULT_PORTS["http"] else ("https", "http")
        for scheme in schemes:
            error = await self._ask(question, scheme)
            question.answered |= error is None or error.reason not in _NO_ANSWER
            if not isinstance(error, _NO_TLS):
                break
        question.asked = True

    async def _ask(self, question: Question, scheme: str) -> DeviceError | None:
        """Return the error, if the port is not that of a device."""
        place = FoundDevice(question.host, question.port, scheme, "")
        client = self._clients.client(place.address, self._session, scheme)
        try:
            await client.get_info(self._timeout_seconds)
        except DeviceError as error:
            if not _is_of_an_axis_device(client, error):
                return error
        finally:
            client.close()
        question.found = place._replace(serial=client.identity.serial)
        return None


def _is_of_an_axis_device(client: NtpClient, error: DeviceError) -> bool:
    """Return whether an error shows an Axis device: by its realm, or by an answer of its API."""
    if client.identity.serial or isinstance(error, ApiError | FactoryNew):
        return True
    is_api_code = (error.code or 0) >= _LOWEST_API_CODE
    return is_api_code and isinstance(error, Unsupported | Forbidden)


def choose_devices(found: Iterable[FoundDevice]) -> tuple[list[FoundDevice], list[FoundDevice]]:
    """Return each device once, and the other addresses of devices that have several.

    Of the ports of one device at one address, https comes first. Several devices may be behind
    one address: they differ in their serial numbers.
    """
    of_host: dict[tuple[str, str], FoundDevice] = {}
    for device in found:
        before = of_host.setdefault((device.host, device.serial), device)
        if (before.scheme, device.scheme) == ("http", "https"):
            of_host[device.host, device.serial] = device
    chosen: dict[str | tuple[str, str], FoundDevice] = {}
    others: list[FoundDevice] = []
    for place, device in of_host.items():
        if chosen.setdefault(device.serial or place, device) is not device:
            others.append(device)
    return [*chosen.values()], others


def as_targets(devices: Sequence[FoundDevice], labels: Mapping[str, str]) -> Iterator[FoundTarget]:
    """Yield a target for each device, named by its serial number, with further labels."""
    for device in devices:
        own = {"__scheme__": device.scheme}
        if device.serial:
            own = {"device": f"axis-{device.serial.lower()}", "serial": device.serial, **own}
        yield FoundTarget(device.address, {**own, **labels})
