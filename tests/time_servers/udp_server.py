"""A time server on a real socket that answers what a test wants."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, cast

from tests.time_servers.packets import Reply

Respond = Callable[[bytes], Iterable[bytes]]
"""Returns the datagrams to answer a request with."""


class UdpServer(asyncio.DatagramProtocol):
    """Answers each request with what `respond` returns; `requests` are those it got, and from
    which ports.
    """

    def __init__(self, respond: Respond) -> None:
        self._respond = respond
        self.requests: list[bytes] = []
        self.client_ports: list[int] = []
        self.port = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        self.requests.append(data)
        self.client_ports.append(addr[1])
        for packet in self._respond(data):
            self._transport.sendto(packet, addr)


@asynccontextmanager
async def udp_server(respond: Respond, host: str = "127.0.0.1") -> AsyncIterator[UdpServer]:
    transport, server = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: UdpServer(respond), (host, 0)
    )
    try:
        yield server
    finally:
        transport.close()


def right_time(request: bytes) -> list[bytes]:
    """Answer as a good server does."""
    return [answer_to(request)]


def answer_to(request: bytes, **changes: Any) -> bytes:
    now_ns = time.time_ns()
    return Reply(now_ns, now_ns)._replace(**changes).packet(request[40:48])


def silent(_request: bytes) -> list[bytes]:
    return []
