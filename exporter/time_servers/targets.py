"""Which time servers to ask: the configured ones, and those of devices that are allowed. Pure.

A device names its servers, and a hostile one may name any host. So `allowed` limits them, their
number is limited, and they are asked at NTP's own port only.
"""

import ipaddress
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final, NamedTuple

from exporter.config import TimeServersConfig
from exporter.config.schema import NTP_PORT, time_server_key
from exporter.system.addresses import (
    IpAddress,
    IpNetwork,
    canonical_host,
    is_other_host,
    split_address,
)

_MAX_COUNTED: Final = 1000
"""The most new servers whose devices are counted: devices choose them, but the memory is ours."""

_MAX_SPELLINGS: Final = 16
"""The most spellings of a server that are kept, for the same reason."""

Key = tuple[str, int]
"""A host in its canonical spelling, and a port."""


class TimeServerTarget(NamedTuple):
    """A server to ask; `label` is its first spelling, in the config or by a device."""

    label: str
    host: str
    port: int
    is_configured: bool

    @property
    def key(self) -> Key:
        """What distinguishes servers."""
        return self.host, self.port


_PAIR_PREFIX: Final = 31
"""A network of two hosts, without a broadcast address (RFC 3021)."""

_NAMED: Final = re.compile(r"(?:\[([^\]]+)\]|([^:\[\]]+))(?::(\d{1,5}))?", re.ASCII)


@lru_cache(maxsize=4096)  # a fleet names the same few servers at every poll
def find_key(server: str) -> Key | None:
    """Return the key of a server as a device names it; `None` for what is not host or host:port.

    A name is only compared with those in the config, so it is not checked: to encode a long one
    for the DNS takes 8 ms.
    """
    if _address(server) is not None:
        return canonical_host(server), NTP_PORT
    if (match := _NAMED.fullmatch(server)) is None:
        return None
    bracketed, name, port = match.groups()
    return canonical_host(bracketed or name), NTP_PORT if port is None else int(port)


@lru_cache(maxsize=256)
def _find_keys(servers: tuple[str, ...]) -> tuple[tuple[Key, str], ...]:
    """Return each server of a device once, by its key, with its spelling."""
    found = {key: server for server in servers if (key := find_key(server)) is not None}
    return tuple(found.items())


class TargetRules:
    """What a config says about time servers."""

    def __init__(self, config: TimeServersConfig) -> None:
        self.configured = {
            time_server_key(server): TimeServerTarget(
                server, split_address(server)[0], time_server_key(server)[1], is_configured=True
            )
            for server in config.servers
        }
        self._adds_devices_servers = config.used_by_devices
        # By their size: an address is looked up once per size, however many networks there are.
        self._networks: dict[int, set[IpNetwork]] = {}
        for each in config.allowed:
            if (network := _network(each)) is not None:
                self._networks.setdefault(network.prefixlen, set()).add(network)
        names = [canonical_host(each) for each in config.allowed if _network(each) is None]
        self._names = {spelling for name in names for spelling in _spellings(name)}

    @property
    def asks_any(self) -> bool:
        """Whether the config can lead to any query."""
        return bool(self.configured) or self._adds_devices_servers

    def counts(self, key: Key) -> bool:
        """Return whether a server that a device uses is one that may be asked."""
        return key in self.configured or (self._adds_devices_servers and self._allows(key))

    def _allows(self, key: Key) -> bool:
        host, port = key
        if port != NTP_PORT:
            return False
        address = _address(host)
        if address is None:
            return host in self._names
        return is_other_host(address) and self._lies_within(address)

    def _lies_within(self, address: IpAddress) -> bool:
        for length, networks in self._networks.items():
            if length <= address.max_prefixlen:
                network = ipaddress.ip_network((address, length), strict=False)
                if network in networks and not _is_broadcast(address, network):
                    return True
        return False


def _network(text: str) -> IpNetwork | None:
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        return None


def _address(host: str) -> IpAddress | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _is_broadcast(address: IpAddress, network: IpNetwork) -> bool:
    """Whether an address is that of all hosts of an allowed network.

    Of networks within it nobody knows. Linux sends nothing to all hosts of its own networks
    unless a socket asks for it, and routers pass nothing on to all hosts (RFC 2644).
    """
    has_broadcast = isinstance(network, ipaddress.IPv4Network) and network.prefixlen < _PAIR_PREFIX
    return has_broadcast and address in (network.network_address, network.broadcast_address)


def _spellings(name: str) -> Iterable[str]:
    """Return a name as it may be written: as the DNS has it (`xn--`), and as people do."""
    in_dns = name.encode("idna")
    try:
        return name, in_dns.decode("ascii"), in_dns.decode("idna")
    except UnicodeError:  # a name that only newer rules than Python's allow (IDNA 2008)
        return name, in_dns.decode("ascii")


class Usage:
    """How many devices use each server, counted anew at each pass through the devices.

    `known` are servers that are counted however many others there are, as are configured ones.
    `labels` has the first spelling of each other server, `spellings` those of all.
    """

    def __init__(self, rules: TargetRules, known: Iterable[Key] = ()) -> None:
        self.rules = rules
        self.devices: dict[Key, int] = dict.fromkeys((*rules.configured, *known), 0)
        self.labels: dict[Key, str] = {}
        self.spellings: dict[Key, set[str]] = {key: set() for key in self.devices}
        self._others: set[Key] = set()
        self._most = len(self.devices) + _MAX_COUNTED

    def add(self, servers: tuple[str, ...]) -> None:
        """Count one device with its active servers."""
        for key, label in _find_keys(servers):
            if (count := self.devices.get(key)) is not None:
                self.devices[key] = count + 1
                if len(spellings := self.spellings[key]) < _MAX_SPELLINGS:
                    spellings.add(label)
            elif key not in self._others:
                self._add_first(key, label)

    def _add_first(self, key: Key, label: str) -> None:
        if len(self.devices) < self._most and self.rules.counts(key):
            self.devices[key] = 1
            self.labels[key] = label
            self.spellings[key] = {label}
        elif len(self._others) < _MAX_COUNTED:
            self._others.add(key)

    def most_used(self) -> list[Key]:
        """Return the servers that are neither configured nor known, by their number of devices."""
        return sorted(self.labels, key=lambda key: (-self.devices[key], key))
