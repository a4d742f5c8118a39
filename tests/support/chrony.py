"""chrony as a time server on a loopback port. It never touches this host's clock (`-x`)."""

from __future__ import annotations

import getpass
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.support.programs import LOOPBACK, Program, find_program, running

SYNCHRONIZED: Final = "local stratum 8"
"""The directive of a server that believes its own clock."""

UNSYNCHRONIZED: Final = ""

_CONFIG: Final = """\
port {port}
bindaddress {host}
allow {host}
cmdport 0
bindcmdaddress /
pidfile {folder}/{port}.pid
{source}
"""
_REQUEST: Final = b"\x23" + bytes(39) + b"a nonce!"
_LEAP_UNKNOWN: Final = 3


def follows(port: int, offset_seconds: float) -> str:
    """Return the directive of a server that is that much ahead of another one.

    Not by libfaketime: it does not change the kernel's timestamps of packets, which chrony uses
    if they are within a second of its clock.
    """
    return f"server {LOOPBACK} port {port} offset {offset_seconds} iburst minpoll -6 maxpoll -6"


@contextmanager
def chrony(
    folder: Path,
    source: str = SYNCHRONIZED,
    env: Mapping[str, str] | None = None,
    port: int | None = None,
) -> Iterator[int]:
    """Run chronyd until the context ends, on a free port unless one is given; yield its port."""
    port = port or free_udp_port()
    config = folder / f"chrony-{port}.conf"
    config.write_text(_CONFIG.format(port=port, host=LOOPBACK, folder=folder, source=source))
    program = find_program("chronyd", "chrony")
    command = [program, "-x", "-d", "-U", "-u", getpass.getuser(), "-f", str(config)]
    may_be_unsynchronized = source == UNSYNCHRONIZED

    def is_ready(_: Program) -> bool:
        leap = _ask(port)[0] >> 6
        return may_be_unsynchronized or leap != _LEAP_UNKNOWN

    with running(command, folder / f"chrony-{port}.log", is_ready, env=env):
        yield port


def free_udp_port() -> int:
    """Return a UDP port of loopback that is free now."""
    with socket.socket(type=socket.SOCK_DGRAM) as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def _ask(port: int) -> bytes:
    """Return the answer to one query. Raises `OSError` if there is none."""
    with socket.socket(type=socket.SOCK_DGRAM) as client:
        client.settimeout(1)
        client.connect((LOOPBACK, port))
        client.send(_REQUEST)
        return client.recv(48)
