"""Hosts with an optional port: device addresses and listen addresses."""

import argparse
import ipaddress
import re
from typing import Final

from exporter.system.text import parse_digits

DEFAULT_PORT: Final = 10123
LARGEST_PORT: Final = 65_535

_HOST_PORT: Final = re.compile(
    r"(?:\[(?P<v6>[^\]]*)\]|(?P<host>[^\s/?#@\[\]:\\%]+))(?::(?P<port>[0-9]+))?"
)

LONGEST_ADDRESS: Final = 300
"""A host name has at most 253 characters. Encoding a text of 1 MB would take 3 s."""

_ZONE: Final = re.compile(r"[A-Za-z0-9_.~-]{1,15}")
"""A network interface, by its name or number: what RFC 6874 allows without escapes. Linux has
room for 15 characters."""


def split_address(address: str) -> tuple[str, int | None]:
    """Split `host`, `host:port`, `[v6]:port`, `[v6]` or a bare IPv6 address into host and port.

    Raises `ValueError` with a message for the user.
    """
    if len(address) > LONGEST_ADDRESS:
        raise ValueError(f"must have at most {LONGEST_ADDRESS} characters, not {len(address)}")
    match = _HOST_PORT.fullmatch(address)
    if match is None:
        return _bare_v6(address), None
    port = None if match["port"] is None else int(match["port"])
    if port is not None and not 0 < port <= LARGEST_PORT:
        raise ValueError(f"port {port} is not within 1 to {LARGEST_PORT}")
    return (_host_name(match["host"]) if match["host"] else _bare_v6(match["v6"])), port


def _host_name(name: str) -> str:
    """Return `name` if both URLs and DNS allow it."""
    from yarl import URL  # noqa: PLC0415 - would take half of the time of `healthcheck`

    try:
        in_url = URL.build(scheme="http", host=name).raw_host or ""
        name.encode("idna")
    except (ValueError, UnicodeError):
        raise ValueError(f"{name!r} is not a host name") from None
    if in_url.replace(".", "").isdigit():
        _check_v4(in_url, name)
    return name


def _check_v4(address: str, text: str) -> None:
    """Raise `ValueError` for digits and dots that are no address, which aiohttp refuses."""
    try:
        ipaddress.IPv4Address(address)
    except ValueError:
        raise ValueError(
            f"{text!r} is not an IPv4 address: four numbers from 0 to 255 without leading zeros"
        ) from None


def _bare_v6(text: str) -> str:
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        if "@" in text:
            # Don't quote the text: it probably contains a password.
            raise ValueError(
                "must not contain a user name or password: put them into auth"
            ) from None
        raise ValueError(f"{text!r} is not host, host:port or [v6]:port") from None
    if address.scope_id is not None:
        _check_zone(address.scope_id, text)
    return str(address)


def _check_zone(zone: str, text: str) -> None:
    if not _ZONE.fullmatch(zone):
        raise ValueError(
            f"{text!r}: the zone after % must be the name or number of a network interface"
        )
    # %253 may be the interface with the number 253 or 3, and yarl takes %25 for a lack of a zone.
    if zone.startswith("25"):
        right = "NAME" if zone.isdigit() else zone[2:]
        raise ValueError(
            f"{text!r}: %25 is how URLs write %: write %{right}, with the interface's name"
        )


def canonical_host(host: str) -> str:
    """Return one spelling for all spellings of a host.

    IPv6 addresses as in RFC 5952; names in lower case without the dot of a fully qualified one.
    """
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return host.lower().removesuffix(".")


def is_ip_address(host: str) -> bool:
    """Return whether a host is an address and no name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

_NO_OTHER_HOST: Final[tuple[IpNetwork, ...]] = tuple(
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8",  # with 0.0.0.0 a device says "none"; Linux takes it for this host
        "127.0.0.0/8",
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, with the broadcast address
        "::/96",  # with :: and the loopback address
        "::ffff:0:0/96",  # IPv4 addresses in the spelling of IPv6
        "fe80::/10",  # link-local: the zone is one of the device's
        "ff00::/8",  # multicast
    )
)


def is_other_host(address: IpAddress | IpNetwork) -> bool:
    """Return whether an address that another host names can be one host, and not this one.

    Of a network: whether some of its addresses can.
    """
    if "%" in str(address):
        return False
    network = ipaddress.ip_network(address)
    return not any(
        network.version == each.version and network.subnet_of(each)  # type: ignore[arg-type]
        for each in _NO_OTHER_HOST
    )


def format_address(host: str, port: int) -> str:
    """Return `host:port`, or `[v6]:port`."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def parse_network(text: str, example: str) -> IpNetwork:
    """Return the network of `10.0.0.0/24`, or of one address. Raises `ValueError`."""
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"{text!r} is not a network such as {example}") from None
    if ipaddress.ip_interface(text).ip != network.network_address:
        raise ValueError(f"{text!r} is an address within a network (did you mean {network}?)")
    return network


def is_loopback(host: str) -> bool:
    """Return whether a host is loopback (RFC 6761 §6.3 for names)."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        name = host.lower()
        return name == "localhost" or name.endswith(".localhost")


def without_zone(host: str) -> str:
    """Return `host` without the zone of an IPv6 address, which means nothing to another host.

    `fe80::1%eth0` becomes `fe80::1`, `[fe80::1%eth0]:80` becomes `[fe80::1]:80`. RFC 6874.
    """
    address, _percent, zone = host.partition("%")
    return address + zone[zone.find("]") :] if "]" in zone else address


def listen_address(text: str) -> tuple[str, int]:
    """Parse an address to listen on into host and port; the host of `:10123` is empty.

    Port 0 lets the system choose. Raises `argparse.ArgumentTypeError`.
    """
    invalid = argparse.ArgumentTypeError(f"{text!r} is not host:port, [v6]:port or :port")
    host, colon, digits = text.rpartition(":")
    port = parse_digits(digits, LARGEST_PORT)
    if not colon or port is None:
        raise invalid
    if not host:
        return "", port
    try:
        name, extra_port = split_address(host)
    except ValueError as problem:
        raise argparse.ArgumentTypeError(str(problem)) from None
    if extra_port is not None or (":" in host and not host.startswith("[")):
        raise invalid
    return name, port
