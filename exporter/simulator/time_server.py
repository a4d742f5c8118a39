"""A simulated NTP server: what a client asks over UDP (RFC 5905, section 7.3)."""

import asyncio
import struct
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

from exporter.simulator.clock import NANOSECONDS, HostNanoseconds
from exporter.simulator.server import format_address

_UNIX_EPOCH_SECONDS = 2_208_988_800
_HEADER_BYTES = 48
_MODE_SERVER = 4
_PRECISION = -20
_POLL = 6


@dataclass(slots=True)
class SimulatedTimeServer:
    """A time server whose clock is `offset_seconds` ahead of this host's.

    A dead one has `answers=False`. `kiss` is a code of four letters that it sends instead of the
    time. `requests` counts what it was asked.
    """

    offset_seconds: float = 0.0
    stratum: int = 2
    leap: int = 0
    root_delay_seconds: float = 0.001
    root_dispersion_seconds: float = 0.001
    answers: bool = True
    kiss: str = ""
    host_nanoseconds: HostNanoseconds = time.time_ns
    requests: int = 0

    def reply(self, request: bytes) -> bytes | None:
        """Return the response to one packet; `None` for no response."""
        self.requests += 1
        if not self.answers or len(request) < _HEADER_BYTES:
            return None
        version = request[0] >> 3 & 7
        now = _timestamp(self.host_nanoseconds() + round(self.offset_seconds * NANOSECONDS))
        return struct.pack(
            "!BBbbII4sQ8sQQ",
            (3 if self.kiss else self.leap) << 6 | version << 3 | _MODE_SERVER,
            0 if self.kiss else self.stratum % 16,
            _POLL,
            _PRECISION,
            round(self.root_delay_seconds * 2**16),
            round(self.root_dispersion_seconds * 2**16),
            self.kiss.encode("ascii"),
            now,
            request[40:48],
            now,
            now,
        )


def _timestamp(unix_nanoseconds: int) -> int:
    """Return a time in NTP's 32.32 bits of seconds since 1900."""
    seconds, rest = divmod(unix_nanoseconds, NANOSECONDS)
    return (seconds + _UNIX_EPOCH_SECONDS) % 2**32 << 32 | (rest << 32) // NANOSECONDS


class _TimeServerProtocol(asyncio.DatagramProtocol):
    def __init__(self, server: SimulatedTimeServer) -> None:
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        reply = self._server.reply(data)
        if reply is not None:
            self._transport.sendto(reply, addr)


@asynccontextmanager
async def serve_time_server(
    server: SimulatedTimeServer, host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[str]:
    """Serve a time server while the context lasts; yield its `host:port`. Port 0: a free port."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: _TimeServerProtocol(server), (host, port)
    )
    try:
        yield format_address(host, transport.get_extra_info("sockname")[1])
    finally:
        transport.close()
