"""Notifications to the service manager, sd_notify(3): one datagram per message. Decision 0011.

systemd names a socket in `NOTIFY_SOCKET`; without it nothing is sent.
"""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Final

import structlog

from exporter.system.background import in_background
from exporter.system.text import parse_digits

_READY: Final = "READY=1"

_log = structlog.get_logger()


class ServiceManager:
    """The service manager named by the environment, if any.

    A notification that cannot be sent is logged once and otherwise ignored.
    """

    def __init__(self, environment: Mapping[str, str], process_id: int) -> None:
        self._address = socket_address(environment.get("NOTIFY_SOCKET", ""))
        self._limit_seconds = watchdog_seconds(environment, process_id)
        self._socket: socket.socket | None = None
        self._has_failed = False

    @asynccontextmanager
    async def supervising(self) -> AsyncIterator[None]:
        """Notify that the daemon is ready, feed the watchdog, and in the end notify the stop.

        Nothing is sent outside of this context.
        """
        if not self._address:
            yield
            return
        # Opened once: a daemon that runs out of open files must not look stuck.
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as opened:
            self._socket = opened
            self._notify(_READY)
            try:
                async with in_background(self._feed_watchdog()):
                    yield
            finally:
                self._notify("STOPPING=1")
                self._socket = None

    @contextmanager
    def reloading(self) -> Iterator[None]:
        """Notify that a config reload starts, and that it ended, successful or not."""
        self._notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
        try:
            yield
        finally:
            self._notify(_READY)

    async def _feed_watchdog(self) -> None:
        """Runs on the event loop, so that the messages stop when the loop is stuck."""
        while self._limit_seconds is not None:
            self._notify("WATCHDOG=1")
            await asyncio.sleep(self._limit_seconds / 2)

    def _notify(self, message: str) -> None:
        if self._socket is None:
            return
        try:
            self._socket.sendto(message.encode(), self._address)
        except OSError as error:
            if not self._has_failed:
                _log.warning("service_manager.notify_failed", message=message, error=str(error))
            self._has_failed = True
        else:
            self._has_failed = False


def socket_address(notify_socket: str) -> str:
    """Return the address for a `NOTIFY_SOCKET`: a path, or an abstract name (written with an @)."""
    return f"\0{notify_socket[1:]}" if notify_socket.startswith("@") else notify_socket


def watchdog_seconds(environment: Mapping[str, str], process_id: int) -> float | None:
    """Return the watchdog's limit; `None` without one, or if it is for another process."""
    if environment.get("WATCHDOG_PID", str(process_id)) != str(process_id):
        return None
    microseconds = parse_digits(environment.get("WATCHDOG_USEC", ""), largest=2**64 - 1)
    return microseconds / 1e6 if microseconds else None


NO_SERVICE_MANAGER: Final = ServiceManager({}, 0)
"""For a daemon that was started by hand."""
