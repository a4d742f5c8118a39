"""The sockets of simulated devices: HTTP and HTTPS on aiohttp's low-level server."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from exporter.simulator.api import MAXIMUM_BODY_BYTES
from exporter.simulator.device import SimulatedDevice
from exporter.simulator.wire import Request, deliver

DEFAULT_KEEPALIVE_SECONDS = 180.0
"""How long an idle connection stays open, as on devices."""

_BACKLOG = 128
_ALL_ADDRESSES = ("0.0.0.0", "::")  # noqa: S104 - looked up, not bound
_SHUTDOWN_SECONDS = 1.0


class _SentResponse(web.StreamResponse):
    """Makes aiohttp send nothing, and keep or close the connection.

    `wire.deliver` has already written the reply: aiohttp would repair faulty replies (it adds a
    missing Date) and can't send half of one.
    """

    def __init__(self, *, keep_alive: bool) -> None:
        super().__init__()
        self._kept_alive = keep_alive

    @property
    def keep_alive(self) -> bool:
        """Whether the connection stays open for another request."""
        return self._kept_alive

    async def prepare(self, _request: web.BaseRequest) -> None:
        """Send no headers."""

    async def write_eof(self, _data: bytes | bytearray | memoryview = b"") -> None:
        """Send no body."""


class DeviceServer(web.Server):
    """Serves any number of devices with one handler, usually each on its own socket.

    `keepalive_seconds`: how long an idle connection stays open.
    """

    def __init__(self, *, keepalive_seconds: float = DEFAULT_KEEPALIVE_SECONDS) -> None:
        super().__init__(
            self._handle,
            handler_cancellation=True,  # when a client disconnects, its endless reply ends
            keepalive_timeout=keepalive_seconds,
            access_log=None,
        )
        self._devices: dict[tuple[str, int], SimulatedDevice] = {}
        self._open: dict[Any, tuple[SimulatedDevice, asyncio.Transport]] = {}
        self._listeners: list[asyncio.Server] = []
        self._stopping = asyncio.Event()
        self._no_connections = asyncio.Event()
        self._no_connections.set()
        self._responses = {kept: _SentResponse(keep_alive=kept) for kept in (True, False)}

    async def listen(
        self, device: SimulatedDevice, host: str, port: int, tls: ssl.SSLContext | None = None
    ) -> tuple[str, int]:
        """Open a device's socket (port 0: a free port) and return its address.

        Raises OSError, which names the address, if it can't be used.
        """
        bound = _bind(host, port)
        address: tuple[str, int] = bound.getsockname()[:2]
        self._devices[address] = device
        await self._accept(bound, tls)
        return address

    async def listen_shared(
        self,
        devices: Mapping[str, SimulatedDevice],
        port: int,
        tls: ssl.SSLContext | None = None,
    ) -> int:
        """Open one socket for devices at many addresses 127.x.y.z; return its port. Linux only.

        Ten thousand devices need half the file descriptors of one socket per device. Raises
        OSError if the port can't be used.
        """
        bound = _bind("0.0.0.0", port, interface="lo")  # noqa: S104 - tied to the loopback
        shared_port = int(bound.getsockname()[1])
        self._devices |= {(host, shared_port): device for host, device in devices.items()}
        await self._accept(bound, tls)
        return shared_port

    async def _accept(self, bound: socket.socket, tls: ssl.SSLContext | None) -> None:
        loop = asyncio.get_running_loop()
        shutdown = None if tls is None else _SHUTDOWN_SECONDS
        listener = await loop.create_server(
            self, sock=bound, backlog=_BACKLOG, ssl=tls, ssl_shutdown_timeout=shutdown
        )
        self._listeners.append(listener)

    async def stop(self) -> None:
        """Close everything and end endless replies. Returns when no connection is left."""
        self._stopping.set()
        for listener in self._listeners:
            listener.close()
        self.pre_shutdown()
        await self.shutdown(_SHUTDOWN_SECONDS)
        for _, transport in self._open.values():
            transport.abort()
        await self._no_connections.wait()

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        """Find the device at the local address, or on all addresses; aiohttp calls this."""
        super().connection_made(handler, transport)
        host, port = transport.get_extra_info("sockname")[:2]
        found = (self._devices.get((name, port)) for name in (host, *_ALL_ADDRESSES))
        device = next(filter(None, found), None)
        if device is None:  # a shared socket also accepts connections to addresses without a device
            transport.abort()
            return
        device.requests.connections += 1
        self._open[handler] = (device, transport)
        self._no_connections.clear()

    def connection_lost(
        self, handler: web.RequestHandler, exc: BaseException | None = None
    ) -> None:
        """Remove the connection; aiohttp calls this."""
        super().connection_lost(handler, exc)
        self._open.pop(handler, None)
        if not self._open:
            self._no_connections.set()

    async def _handle(self, incoming: web.BaseRequest) -> web.StreamResponse:
        """Read a request, let its device handle it, send the reply."""
        connection = self._open.get(incoming.protocol)
        if connection is None:
            return self._responses[False]
        device, transport = connection
        read_at = device.clock.host_nanoseconds()
        body = await _read_body(incoming)
        headers = incoming.headers
        request = Request(
            method=incoming.method,
            target=incoming.raw_path,
            body=body,
            host_nanoseconds=read_at,
            authorization=headers.get("Authorization"),
            content_type=headers.get("Content-Type"),
            secure=incoming.secure,
        )
        keep_alive = incoming.keep_alive and not self._stopping.is_set()
        reply = device.handle(request)
        kept = await deliver(reply, transport, self._stopping, keep_alive=keep_alive)
        return self._responses[kept]


@dataclass(frozen=True, slots=True)
class ServedDevice:
    """A device while it is served, and its address."""

    device: SimulatedDevice
    host: str
    port: int
    secure: bool

    @property
    def address(self) -> str:
        """The address as `host:port`."""
        return format_address(self.host, self.port)


@asynccontextmanager
async def serve(
    device: SimulatedDevice,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    tls: ssl.SSLContext | None = None,
    keepalive_seconds: float = DEFAULT_KEEPALIVE_SECONDS,
) -> AsyncIterator[ServedDevice]:
    """Serve one device while the context lasts; port 0: a free port.

    Raises OSError if the address can't be used.
    """
    server = DeviceServer(keepalive_seconds=keepalive_seconds)
    try:
        bound_host, bound_port = await server.listen(device, host, port, tls)
        yield ServedDevice(device, bound_host, bound_port, tls is not None)
    finally:
        await server.stop()


def format_address(host: str, port: int) -> str:
    """Return an address as in URLs and configs: `host:port` or `[v6]:port`."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _bind(host: str, port: int, *, interface: str | None = None) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.settimeout(0)
        if interface is not None:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        reason = f"{format_address(host, port)}: {error.strerror}"
        raise OSError(error.errno, reason) from error
    return bound


async def _read_body(incoming: web.BaseRequest) -> bytes:
    """Read the body until it is longer than ntp.cgi accepts."""
    body = bytearray()
    while len(body) <= MAXIMUM_BODY_BYTES:
        chunk = await incoming.content.readany()
        if not chunk:
            break
        body += chunk
    return bytes(body)
