"""A fleet of simulated devices: built from a scenario, served, written as an exporter config."""

import ipaddress
import itertools
import resource
import ssl
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Unpack

from exporter.simulator.certificates import make_identity
from exporter.simulator.clock import HostNanoseconds
from exporter.simulator.device import SimulatedDevice
from exporter.simulator.device_state import DEFAULT_PASSWORD, DEFAULT_USERNAME, Access
from exporter.simulator.scenarios import Member, MemberFactory, find_scenario
from exporter.simulator.server import DEFAULT_KEEPALIVE_SECONDS, DeviceServer, format_address
from exporter.simulator.time_server import SimulatedTimeServer, serve_time_server

SPREADS = {
    "port": "consecutive ports on one address",
    "address": "consecutive addresses 127.x.y.z on one port",
    "shared": "like address, with one socket for all (Linux): half the file descriptors",
}
"""How devices differ in their addresses, by name."""

OWN_CERTIFICATES = 200
"""Larger fleets share one certificate: a TLS context takes 20 KB and a millisecond per device."""

_LAST_PORT = 65_535
_SPARE_FILES = 64


class FleetError(Exception):
    """The fleet can't be served; the message says why."""


@dataclass(frozen=True, slots=True)
class SimulatedFleet:
    """Devices with their labels, the scheme, their shared account, and the time servers."""

    members: Sequence[Member]
    scheme: str
    username: str
    password: str = field(repr=False)
    time_servers: Sequence[SimulatedTimeServer] = ()

    @property
    def devices(self) -> list[SimulatedDevice]:
        """The devices, in order."""
        return [member.device for member in self.members]

    def device(self, name: str) -> SimulatedDevice:
        """Return the device of that name. Raises KeyError."""
        return {device.name: device for device in self.devices}[name]

    def servers_of(self, member: Member, addresses: Sequence[str]) -> list[str]:
        """Return those of the time servers' addresses that a device should use."""
        served = zip(self.time_servers, addresses, strict=True)
        return [address for server, address in served if server.answers != member.uses_dead_servers]


def build_fleet(
    count: int,
    scenario: str = "healthy",
    *,
    scheme: str = "http",
    host_nanoseconds: HostNanoseconds = time.time_ns,
    **access: Unpack[Access],
) -> SimulatedFleet:
    """Make the first `count` devices of a scenario; `access` is their account by default.

    Raises UnknownScenarioError, UnknownFaultError, or KeyError for an unknown policy.
    """
    found = find_scenario(scenario)
    members = found.members(MemberFactory(access, host_nanoseconds))
    return SimulatedFleet(
        members=tuple(itertools.islice(members, count)),
        time_servers=found.time_servers(host_nanoseconds),
        scheme=scheme,
        username=access.get("username", DEFAULT_USERNAME),
        password=access.get("password", DEFAULT_PASSWORD),
    )


@dataclass(frozen=True, slots=True)
class ServedFleet:
    """A fleet while it is served; `addresses` (`host:port`) are in the order of its members.

    So are `time_servers`, in the order of the fleet's.
    """

    fleet: SimulatedFleet
    addresses: Sequence[str]
    time_servers: Sequence[str] = ()

    def address(self, name: str) -> str:
        """Return the address of the device of that name. Raises KeyError."""
        names = (device.name for device in self.fleet.devices)
        return dict(zip(names, self.addresses, strict=True))[name]

    def exporter_config(self, *, interval: str = "10s", timeout: str = "5s") -> dict[str, Any]:
        """Return the exporter's config for this fleet; durations in Prometheus's format."""
        account = {"username": self.fleet.username, "password": self.fleet.password}
        module: dict[str, Any] = {"scheme": self.fleet.scheme, "auth": _escape_dollars(account)}
        if self.fleet.scheme == "https":
            module["tls_config"] = {"insecure_skip_verify": True}
        devices = [
            {
                "address": address,
                **_escape_dollars({"name": member.device.name}),
                "labels": _escape_dollars(member.labels),
                **self._expected(member),
            }
            for member, address in zip(self.fleet.members, self.addresses, strict=True)
        ]
        config = {
            "global": {"interval": interval, "timeout": timeout},
            "modules": {"default": module},
            "devices": devices,
        }
        if self.time_servers:
            config["time_servers"] = {"servers": [*self.time_servers], "interval": "16s"}
        return config

    def _expected(self, member: Member) -> dict[str, Any]:
        """Return the key `expect` of a device, if it has one."""
        expect = dict(member.expect)
        if member.expects_servers and self.time_servers:
            expect["static_servers"] = self.fleet.servers_of(member, self.time_servers)
        return {"expect": expect} if expect else {}


def _escape_dollars(texts: Mapping[str, str]) -> dict[str, str]:
    """Double every dollar: in the exporter's config a single one starts a variable."""
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

    Port 0: free ports. `spread` is a name in `SPREADS`. Raises FleetError if there are too few
    ports, addresses or file descriptors, OSError if an address can't be used, MissingExtraError for
    https without `cryptography`.
    """
    places = _plan_addresses(len(fleet.members), host, port, spread)
    raise_file_limit(1 if spread == "shared" else len(fleet.members))
    server = DeviceServer(keepalive_seconds=keepalive_seconds)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(server.stop)
        addresses = await _listen(server, fleet, places, spread)
        time_servers = [
            await stack.enter_async_context(serve_time_server(each, host))
            for each in fleet.time_servers
        ]
        _configure_time_servers(fleet, time_servers)
        yield ServedFleet(fleet, addresses, time_servers)


def _configure_time_servers(fleet: SimulatedFleet, addresses: Sequence[str]) -> None:
    """Configure each device that has time servers with those of the fleet, if there are any.

    A device whose servers are dead synchronized with them before they died.
    """
    for member in fleet.members if addresses else ():
        client = member.device.client
        if client.configuration.static_servers:
            client.configuration.static_servers = fleet.servers_of(member, addresses)
        if member.uses_dead_servers:
            client.synchronize(member.device.clock.host_nanoseconds())
            client.servers_answer = False


async def _listen(
    server: DeviceServer, fleet: SimulatedFleet, places: Sequence[tuple[str, int]], spread: str
) -> list[str]:
    """Open the sockets; return the addresses, in the order of the members."""
    contexts = _contexts(fleet)
    if spread == "shared":
        by_host = {host: device for (host, _), device in zip(places, fleet.devices, strict=True)}
        port = await server.listen_shared(by_host, places[0][1], next(contexts))
        return [format_address(host, port) for host in by_host]
    addresses = []
    port = 0
    for device, (host, wanted) in zip(fleet.devices, places, strict=True):
        # "address" uses one port for all devices; with port 0 that is the first device's free port.
        chosen = wanted or (port if spread == "address" else 0)
        _, port = await server.listen(device, host, chosen, next(contexts))
        addresses.append(format_address(host, port))
    return addresses


def _plan_addresses(count: int, host: str, port: int, spread: str) -> list[tuple[str, int]]:
    """Return host and port of each device. Raises FleetError if there are too few."""
    if count < 1:
        raise FleetError("a fleet needs at least one device")
    if spread == "port":
        if port and port + count - 1 > _LAST_PORT:
            raise FleetError(f"{count} devices from port {port} on go beyond port {_LAST_PORT}")
        return [(host, port and port + index) for index in range(count)]
    first = ipaddress.ip_address(host)
    if not (first.is_loopback and (first + count - 1).is_loopback):
        raise FleetError(f"{count} addresses from {host} on are not all loopback addresses")
    return [(str(first + index), port) for index in range(count)]


def raise_file_limit(sockets: int) -> None:
    """Raise the soft limit of open files to the hard limit; each socket needs a file descriptor.

    Raises FleetError if the hard limit is too low for `sockets`.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = sockets + _SPARE_FILES
    if hard != resource.RLIM_INFINITY and needed > hard:
        raise FleetError(f"{sockets} devices need {needed} open files, the limit is {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _contexts(fleet: SimulatedFleet) -> Iterator[ssl.SSLContext | None]:
    """Yield the TLS context of each device in turn; None over plain HTTP."""
    if fleet.scheme != "https":
        return itertools.repeat(None)
    if len(fleet.members) > OWN_CERTIFICATES:
        return itertools.repeat(make_identity(fleet.devices[0].mac).server_context())
    return (make_identity(device.mac).server_context() for device in fleet.devices)
