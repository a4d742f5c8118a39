"""The socket on which systemd receives a service's notifications, in order."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.daemon_process import PATIENCE_SECONDS

WATCHDOG = "WATCHDOG=1"
READY = "READY=1"
STOPPING = "STOPPING=1"


class NotifySocket:
    """A listening socket; `name` is its value for `NOTIFY_SOCKET`."""

    def __init__(self, listening: socket.socket, name: str) -> None:
        self._listening = listening
        self.name = name

    def waiting(self) -> list[str]:
        """Return the messages that have arrived since the last call."""
        messages = []
        while True:
            try:
                messages.append(self._listening.recv(4096).decode())
            except BlockingIOError:
                return messages

    async def next(self) -> str:
        """Wait for the next message and return it."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(PATIENCE_SECONDS):
            return (await loop.sock_recv(self._listening, 4096)).decode()


@contextmanager
def notify_socket(folder: Path, *, abstract: bool = False) -> Iterator[NotifySocket]:
    """Listen at a path in `folder`, or at the abstract name with that text."""
    path = str(folder / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as listening:
        listening.bind(f"\0{path}" if abstract else path)
        yield NotifySocket(listening, f"@{path}" if abstract else path)
