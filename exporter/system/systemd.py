"""What the service manager that runs us is told: sd_notify(3), one datagram a message.

systemd names a socket in `NOTIFY_SOCKET`; where nobody does, nothing is told. Decision 0011.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Final

import structlog

from exporter.system.background import in_background

_READY: Final = "READY=1"

_log = structlog.get_logger()


class ServiceManager:
    """Who runs the daemon, as the environment names it; nobody where that says nothing.

    What cannot be told is logged once, and stops nothing.
    """

    def __init__(self, environment: Mapping[str, str], process_id: int) -> None:
        self._address = socket_address(environment.get("NOTIFY_SOCKET", ""))
        self._limit_seconds = watchdog_seconds(environment, process_id)
        self._socket: socket.socket | None = None
        self._is_heard = True

    @asynccontextmanager
    async def supervising(self) -> AsyncIterator[None]:
        """Tell that we are ready, then again and again that we live, at the end that we stop.

        Outside of it nothing is told.
        """
        if not self._address:
            yield
            return
        # One for the whole life: who runs out of open files shall not be taken for stuck.
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as opened:
            self._socket = opened
            self._tell(_READY)
            try:
                async with in_background(self._show_life()):
                    yield
            finally:
                self._tell("STOPPING=1")
                self._socket = None

    @contextmanager
    def reloading(self) -> Iterator[None]:
        """Tell that the config is loaded anew, and when that is over, well or not."""
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
        try:
            yield
        finally:
            self._tell(_READY)

    async def _show_life(self) -> None:
        """From the event loop itself: one that is stuck falls silent."""
        while self._limit_seconds is not None:
            self._tell("WATCHDOG=1")
            await asyncio.sleep(self._limit_seconds / 2)

    def _tell(self, message: str) -> None:
        if self._socket is None:
            return
        try:
            self._socket.sendto(message.encode(), self._address)
        except OSError as problem:
            if self._is_heard:
                _log.warning("service_manager.unheard", message=message, error=str(problem))
            self._is_heard = False
        else:
            self._is_heard = True


def socket_address(notify_socket: str) -> str:
    """The address of a `NOTIFY_SOCKET`: a path, or an abstract name, which it begins with an @."""
    return f"\0{notify_socket[1:]}" if notify_socket.startswith("@") else notify_socket


def watchdog_seconds(environment: Mapping[str, str], process_id: int) -> float | None:
    """For how long we may be silent; `None` where that is meant for no one, or for another."""
    if environment.get("WATCHDOG_PID", str(process_id)) != str(process_id):
        return None
    microseconds = environment.get("WATCHDOG_USEC", "")
    is_number = microseconds.isascii() and microseconds.isdigit()
    return int(microseconds) / 1e6 if is_number and int(microseconds) else None


NO_SERVICE_MANAGER: Final = ServiceManager({}, 0)
"""Who runs a daemon that was started by hand."""
