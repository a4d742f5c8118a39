"""Where the web side listens, as the command line says it; loads nothing that takes time."""

from __future__ import annotations

import argparse
from typing import Final

from exporter.system.addresses import LARGEST_PORT, split_address

DEFAULT_PORT: Final = 10123


def listen_address(text: str) -> tuple[str, int]:
    """`(host, port)` of an address to listen on; the host of `:10123` is empty.

    Port 0 lets the system choose. Raises `argparse.ArgumentTypeError`.
    """
    host, colon, port = text.rpartition(":")
    if not (colon and port.isascii() and port.isdigit() and int(port) <= LARGEST_PORT):
        raise argparse.ArgumentTypeError(f"{text!r} is not host:port, [v6]:port or :port")
    if not host:
        return "", int(port)
    try:
        name, extra_port = split_address(host)
    except ValueError as problem:
        raise argparse.ArgumentTypeError(str(problem)) from None
    if extra_port is not None or (":" in host and not host.startswith("[")):
        raise argparse.ArgumentTypeError(f"{text!r} is not host:port, [v6]:port or :port")
    return name, int(port)
