"""Addresses: a host, perhaps with a port."""

from __future__ import annotations

import ipaddress
import re
from typing import Final

from yarl import URL

LARGEST_PORT: Final = 65_535

_HOST_PORT: Final = re.compile(
    r"(?:\[(?P<v6>[^\]]*)\]|(?P<host>[^\s/?#@\[\]:\\%]+))(?::(?P<port>\d+))?"
)


def split_address(address: str) -> tuple[str, int | None]:
    """Host and port of `host`, `host:port`, `[v6]:port`, `[v6]` or a bare IPv6 address.

    Raises `ValueError` with a sentence for a person.
    """
    match = _HOST_PORT.fullmatch(address)
    if match is None:
        return _bare_v6(address), None
    port = None if match["port"] is None else int(match["port"])
    if port is not None and not 0 < port <= LARGEST_PORT:
        raise ValueError(f"port {port} is not within 1 to {LARGEST_PORT}")
    return (_host_name(match["host"]) if match["host"] else _bare_v6(match["v6"])), port


def _host_name(name: str) -> str:
    """`name`, if a URL and a name server can have it."""
    try:
        URL.build(scheme="http", host=name)
        name.encode("idna")
    except (ValueError, UnicodeError):
        raise ValueError(f"{name!r} is no host name") from None
    return name


def _bare_v6(text: str) -> str:
    try:
        return str(ipaddress.IPv6Address(text))
    except ValueError:
        if "@" in text:
            # Not quoted: whoever writes one here writes a password with it.
            raise ValueError("must not hold a name or password: they belong into auth") from None
        hint = " (http or https is the module's scheme)" if "://" in text else ""
        raise ValueError(f"{text!r} is not host, host:port or [v6]:port{hint}") from None
