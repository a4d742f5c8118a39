"""Which addresses and ports to ask. Pure."""

from collections.abc import Sequence
from typing import Final

from exporter.system.addresses import LARGEST_PORT, IpNetwork
from exporter.system.text import parse_digits

MAX_ADDRESSES: Final = 65_536
MAX_PORTS: Final = 16


def list_addresses(networks: Sequence[IpNetwork]) -> list[str]:
    """Return every address of the networks once, without those of a network itself.

    Raises `ValueError` for more than `MAX_ADDRESSES`.
    """
    count = sum(network.num_addresses for network in networks)
    if count > MAX_ADDRESSES:
        raise ValueError(f"{count:,} addresses are more than {MAX_ADDRESSES:,}, which is the limit")
    return list(dict.fromkeys(str(each) for network in networks for each in network.hosts()))


def parse_ports(text: str) -> tuple[int, ...]:
    """Return the ports in `80,443`, each once. Raises `ValueError`."""
    parts = text.split(",")
    ports = [port for part in parts if (port := parse_digits(part.strip(), LARGEST_PORT))]
    if len(ports) < len(parts) or len(ports) > MAX_PORTS:
        raise ValueError(f"{text!r} is not a list of at most {MAX_PORTS} ports such as 80,443")
    return tuple(dict.fromkeys(ports))
