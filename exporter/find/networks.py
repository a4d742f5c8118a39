"""Which addresses to ask. Pure."""

import ipaddress
from collections.abc import Iterable, Sequence
from typing import Final

from exporter.system.addresses import LARGEST_PORT
from exporter.system.text import parse_digits

MAX_ADDRESSES: Final = 65_536
MAX_PORTS: Final = 16

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def parse_network(text: str) -> Network:
    """Return the network of `10.0.0.0/24`, or of one address. Raises `ValueError`."""
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        pass
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"{text!r} is not a network such as 10.0.0.0/24") from None
    raise ValueError(f"{text!r} is an address within a network (did you mean {network}?)")


def list_addresses(networks: Sequence[Network]) -> list[str]:
    """Return every address of the networks once, without those of a network itself.

    Raises `ValueError` for more than `MAX_ADDRESSES`.
    """
    count = sum(network.num_addresses for network in networks)
    if count > MAX_ADDRESSES:
        raise ValueError(f"{count:,} addresses are more than {MAX_ADDRESSES:,}, which is the limit")
    return list(dict.fromkeys(str(each) for network in networks for each in network.hosts()))


def parse_ports(text: str) -> tuple[int, ...]:
    """Return the ports in `80,443`. Raises `ValueError`."""
    ports = [parse_digits(part.strip(), LARGEST_PORT) for part in text.split(",")]
    if not all(ports) or len(ports) > MAX_PORTS:
        raise ValueError(f"{text!r} is not a list of at most {MAX_PORTS} ports such as 80,443")
    return tuple(dict.fromkeys(_known(ports)))


def _known(ports: Iterable[int | None]) -> Iterable[int]:
    return (port for port in ports if port)
