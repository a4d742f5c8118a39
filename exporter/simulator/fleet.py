"""A fleet of simulated devices: built from a scenario, served, written as an exporter's config."""

import ipaddress
import itertools
import ssl
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Unpack

from exporter.simulator.certificates import make_identity
from exporter.simulator.clock import HostClock
from exporter.simulator.device import SimulatedDevice
from exporter.simulator.device_state import DEFAULT_PASSWORD, DEFAULT_USERNAME, Access
from exporter.simulator.file_limit import raise_file_limit
from exporter.simulator.scenarios import Maker, Member, find_scenario
from exporter.simulator.server import DEFAULT_KEEPALIVE_SECONDS, DeviceServer, format_address

SPREADS = {
    "port": "consecutive ports on one address",
    "address": "consecutive addresses 127.x.y.z on one port",
    "shared": "as address, but one socket for all (Linux): half the file descriptors",
}
"""The ways in which devices are told apart, by name."""

OWN_CERTIFICATES = 200
"""Larger fleets share one certificate: a TLS context each costs 20 KB and a millisecond."""

_LAST_PORT = 65_535


class FleetError(Exception):
    """The fleet can't be served as asked; the message tells why."""


@dataclass(frozen=True, slots=True)
class SimulatedFleet:
    """Devices with their labels, the scheme they are served by, and the account that they share."""

    members: Sequence[Member]
    scheme: str
    username: str
    password: str = field(repr=False)

    @property
    def devices(self) -> list[SimulatedDevice]:
        """The devices, in order."""
        return [member.device for member in self.members]

    def device(self, name: str) -> SimulatedDevice:
        """Find a device by its name. Raises KeyError."""
        return {device.name: device for device in self.devices}[name]


def build_fleet(
    count: int,
    scenario: str = "healthy",
    *,
    scheme: str = "http",
    host_nanoseconds: HostClock = time.time_ns,
    **access: Unpack[Access],
) -> SimulatedFleet:
    """Make the first `count` devices of a scenario; `access` holds for all that have no own.

    Raises UnknownScenarioError, UnknownFaultError, or KeyError for an unknown policy.
    """
    members = find_scenario(scenario).members(Maker(access, host_nanoseconds))
    return SimulatedFleet(
        members=tuple(itertools.islice(members, count)),
        scheme=scheme,
        username=access.get("username", DEFAULT_USERNAME),
        password=access.get("password", DEFAULT_PASSWORD),
    )


@dataclass(frozen=True, slots=True)
class ServedFleet:
    """A fleet that is being served; `addresses` (`host:port`) are in the order of its members."""

    fleet: SimulatedFleet
    addresses: Sequence[str]

    def address(self, name: str) -> str:
        """Tell where the device of that name is. Raises KeyError."""
        names = (device.name for device in self.fleet.devices)
        return dict(zip(names, self.addresses, strict=True))[name]

    def exporter_config(self, *, interval: str = "10s", timeout: str = "5s") -> dict[str, Any]:
        """Give the exporter's config for this fleet, ready for YAML; durations as Prometheus's."""
        account = {"username": self.fleet.username, "password": self.fleet.password}
        module: dict[str, Any] = {"scheme": self.fleet.scheme, "auth": _literal(account)}
        if self.fleet.scheme == "https":
            module["tls_config"] = {"insecure_skip_verify": True}
        devices = [
            {
                "address": address,
                **_literal({"name": member.device.name}),
                "labels": _literal(member.labels),
            }
            for member, address in zip(self.fleet.members, self.addresses, strict=True)
        ]
        return {
            "global": {"interval": interval, "timeout": timeout},
            "modules": {"default": module},
            "devices": devices,
        }


def _literal(texts: Mapping[str, str]) -> dict[str, str]:
    """Write texts for the exporter's config, where a dollar starts a variable and two are one."""
    return {name: text.replace("$", "$$") for name, text in texts.items()}


@asynccontextmanager
async def serve_fleet(
    fleet: SimulatedFleet,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    spread: str = "port",
    keepalive_seconds: float = DEFAULT_KEEPALIVE_SECONDS,
) -> AsyncIterator[ServedFleet]:
    """Serve a fleet while the context lasts, the first device at `host` and `port`.

    Port 0 takes free ones. `spread` is a name in `SPREADS`. Raises FleetError if ports, addresses
    or file descriptors don't suffice, OSError if an address can't be had, MissingExtraError for
    https without `cryptography`.
    """
    places = _places(len(fleet.members), host, port, spread)
    try:
        raise_file_limit(1 if spread == "shared" else len(fleet.members))
    except ValueError as error:
        raise FleetError(str(error)) from None
    server = DeviceServer(keepalive_seconds=keepalive_seconds)
    try:
        yield ServedFleet(fleet, await _listen(server, fleet, places, spread))
    finally:
        await server.stop()


async def _listen(
    server: DeviceServer, fleet: SimulatedFleet, places: Sequence[tuple[str, int]], spread: str
) -> list[str]:
    """Open the sockets and give the addresses, in the order of the members."""
    contexts = _contexts(fleet)
    if spread == "shared":
        by_host = {host: device for (host, _), device in zip(places, fleet.devices, strict=True)}
        port = await server.listen_shared(by_host, places[0][1], next(contexts))
        return [format_address(host, port) for host in by_host]
    addresses = []
    port = 0
    for device, (host, wanted) in zip(fleet.devices, places, strict=True):
        # With one port for all and none asked for, the port that the first gets is everybody's.
        chosen = wanted or (port if spread == "address" else 0)
        _, port = await server.listen(device, host, chosen, next(contexts))
        addresses.append(format_address(host, port))
    return addresses


def _places(count: int, host: str, port: int, spread: str) -> list[tuple[str, int]]:
    """Work out where each device goes. Raises FleetError if there aren't so many places."""
    if count < 1:
        raise FleetError("a fleet needs at least one device")
    if spread == "port":
        if port and port + count - 1 > _LAST_PORT:
            raise FleetError(f"{count} devices from port {port} on go beyond port {_LAST_PORT}")
        return [(host, port and port + index) for index in range(count)]
    first = ipaddress.ip_address(host)
    if not (first.is_loopback and (first + count - 1).is_loopback):
        raise FleetError(f"{count} addresses from {host} on aren't all loopback addresses")
    return [(str(first + index), port) for index in range(count)]


def _contexts(fleet: SimulatedFleet) -> Iterator[ssl.SSLContext | None]:
    """Give the TLS contexts of the devices in turn; None for each over plain HTTP."""
    if fleet.scheme != "https":
        return itertools.repeat(None)
    if len(fleet.members) > OWN_CERTIFICATES:
        return itertools.repeat(make_identity(fleet.devices[0].mac).server_context())
    return (make_identity(device.mac).server_context() for device in fleet.devices)
