"""Send one query to a time server: the only I/O of this package.

Each query has a UDP socket of its own: a random port, and connected, so that the kernel drops what
comes from another address. One datagram is read. A second would only help a flood: a wrong one
that comes first may make the query fail, but not lie, and the next query has another port.
"""

import asyncio
import errno
import ipaddress
import os
import socket
import sys
from typing import Final

from exporter.clock.host import HostClock
from exporter.system.addresses import is_other_host
from exporter.system.files import NO_FILE_LEFT
from exporter.system.text import escaped
from exporter.time_servers.sntp import (
    NONCE_BYTES,
    PACKET_BYTES,
    QueryFailed,
    QueryTimes,
    TimeAnswer,
    decode_answer,
    encode_request,
)
from exporter.vapix.dns import Address, CachingResolver, LookupFailed

_OWN_FAULTS: Final = NO_FILE_LEFT | {errno.ENOBUFS, errno.ENOMEM, errno.EAGAIN}
"""This host has no file, memory or place in its queue left: not the server's fault."""

_RECEIVE_ERRORS: Final = {
    socket.AF_INET: (socket.IPPROTO_IP, 11),
    socket.AF_INET6: (socket.IPPROTO_IPV6, 25),
}
"""IP_RECVERR and IPV6_RECVERR (ip(7), ipv6(7)), which Python has no names for. Without them Linux
only passes on that a port is closed, and not that a router finds no such host."""


class NotSent(Exception):
    """This host could not send a query: it says nothing about the server."""


class NameLookupFailed(QueryFailed):
    """The server's name has no address. The operator (DNS or config) must act."""

    reason = "dns"


class NoAnswer(QueryFailed):
    """No datagram came within the timeout. Check the server and the firewalls."""

    reason = "timeout"


class Unreachable(QueryFailed):
    """The network has no route to the server, or nothing listens there (ICMP)."""

    reason = "unreachable"


class TimeServerClient:
    """Queries time servers, with the resolver of the devices' connections."""

    def __init__(self, resolver: CachingResolver, host_clock: HostClock) -> None:
        self._resolver = resolver
        self._host_clock = host_clock

    async def query(
        self,
        host: str,
        port: int,
        timeout_seconds: float,
        attempt: int = 0,
        *,
        is_configured: bool = True,
    ) -> TimeAnswer:
        """Ask a server once; the lookup of its name has the resolver's own timeout.

        `attempt` selects one of several addresses. A server of a device, not `is_configured`, must
        be another host. Raises `QueryFailed`, and `NotSent` if this host is at fault.
        """
        found = await self._resolve(host, port)
        if not is_configured:
            found = _only_other_hosts(found)
        address, family = found[attempt % len(found)]
        nonce = os.urandom(NONCE_BYTES)
        try:
            with _connect(address, port, family) as udp:
                packet, times = await self._exchange(udp, nonce, timeout_seconds)
        except TimeoutError:
            raise NoAnswer(f"no response from {address} within {timeout_seconds:g} s") from None
        except OSError as error:
            raise _translate(error, address) from None
        return decode_answer(packet, nonce, times)

    async def _resolve(self, host: str, port: int) -> list[Address]:
        try:
            found = await self._resolver.resolve(_ascii_name(host), port)
        except LookupFailed as failure:
            raise NameLookupFailed(f"cannot resolve: {escaped(str(failure))}") from None
        return [(each["host"], socket.AddressFamily(each["family"])) for each in found]

    async def _exchange(
        self, udp: socket.socket, nonce: bytes, timeout_seconds: float
    ) -> tuple[bytes, QueryTimes]:
        """Send the request and read one datagram. Raises `OSError`, `TimeoutError` included."""
        loop = asyncio.get_running_loop()
        received: asyncio.Future[tuple[bytes, int]] = loop.create_future()
        loop.add_reader(udp, self._read, udp, received)
        try:
            ahead_ns = self._host_clock.now().unix_minus_steady_ns
            sent_ns = self._host_clock.steady_ns()
            udp.send(encode_request(nonce))
            async with asyncio.timeout(timeout_seconds):
                packet, received_ns = await received
        finally:
            loop.remove_reader(udp)
        return packet, QueryTimes(sent_ns, received_ns, ahead_ns)

    def _read(self, udp: socket.socket, received: "asyncio.Future[tuple[bytes, int]]") -> None:
        if received.done():  # the timeout came first
            return
        received_ns = self._host_clock.steady_ns()
        try:
            packet = udp.recv(PACKET_BYTES)
        except BlockingIOError:
            return  # Linux wakes for a datagram whose checksum is wrong, and drops it
        except OSError as error:
            received.set_exception(error)
        else:
            received.set_result((packet, received_ns))
        asyncio.get_running_loop().remove_reader(udp)


def _only_other_hosts(found: list[Address]) -> list[Address]:
    """Return the addresses that a device's server may have. Raises `NameLookupFailed`."""
    others = [each for each in found if is_other_host(ipaddress.ip_address(each[0]))]
    if not others:
        raise NameLookupFailed(f"{found[0][0]} is no address of another host")
    return others


def _ascii_name(host: str) -> str:
    """Return a name as the DNS has it (`xn--`)."""
    return host if host.isascii() else host.encode("idna").decode("ascii")


def _connect(address: str, port: int, family: socket.AddressFamily) -> socket.socket:
    """Return a UDP socket for one server, without blocking. Raises `OSError`."""
    numeric = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    # Of an address no name is looked up; this finds the number of the zone of `fe80::1%eth0`.
    found = socket.getaddrinfo(address, port, family, socket.SOCK_DGRAM, flags=numeric)
    udp = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        if sys.platform == "linux":
            udp.setsockopt(*_RECEIVE_ERRORS[family], 1)
        udp.connect(found[0][4])
    except BaseException:
        udp.close()
        raise
    return udp


def _translate(error: OSError, address: str) -> Exception:
    if error.errno in _OWN_FAULTS:
        return NotSent(f"cannot send to {address}: {error.strerror}")
    return Unreachable(f"cannot reach {address}: {error.strerror}")
