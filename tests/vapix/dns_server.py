"""A DNS server on a real socket."""

import asyncio
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, cast

from exporter.vapix.dns import AresDns

A, CNAME, AAAA = 1, 5, 28
SERVFAIL, NXDOMAIN, REFUSED = 2, 3, 5


@dataclass(frozen=True)
class Record:
    kind: int
    data: str
    ttl_seconds: int = 60

    def wire(self, owner: bytes) -> bytes:
        head = struct.pack("!HHIH", self.kind, 1, self.ttl_seconds, len(self._rdata()))
        return owner + head + self._rdata()

    def _rdata(self) -> bytes:
        if self.kind == CNAME:
            return wire_name(self.data)
        return socket.inet_pton(socket.AF_INET if self.kind == A else socket.AF_INET6, self.data)


@dataclass(frozen=True)
class Reply:
    """The answer for a name: its records of the requested kind and its aliases, or a code."""

    records: tuple[Record, ...] = ()
    code: int = 0
    silent_kinds: tuple[int, ...] = ()


SILENCE: Final = Reply(silent_kinds=(A, AAAA))


def at(*addresses: str, ttl_seconds: int = 60) -> Reply:
    kinds = [AAAA if ":" in address else A for address in addresses]
    pairs = zip(kinds, addresses, strict=True)
    return Reply(tuple(Record(kind, address, ttl_seconds) for kind, address in pairs))


def wire_name(name: str) -> bytes:
    labels = [label.encode() for label in name.split(".")]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


@dataclass
class DnsServer(asyncio.DatagramProtocol):
    """Answers from `zone`, or with NXDOMAIN; counts the queries in `asked`."""

    zone: dict[str, Reply] = field(default_factory=dict)
    asked: Counter[tuple[str, int]] = field(default_factory=Counter)
    address: str = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)
        self.address = "{}:{}".format(*transport.get_extra_info("sockname"))

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        labels, rest = [], data[12:]
        while rest[0]:
            labels.append(rest[1 : 1 + rest[0]].decode())
            rest = rest[1 + rest[0] :]
        name, kind = ".".join(labels), int.from_bytes(rest[1:3])
        self.asked[name, kind] += 1
        reply = self.zone.get(name, Reply(code=NXDOMAIN))
        if kind not in reply.silent_kinds:
            self._transport.sendto(answer_to(data[:2], name, kind, reply), addr)


def answer_to(query_id: bytes, name: str, kind: int, reply: Reply) -> bytes:
    records = [record for record in reply.records if record.kind in {kind, CNAME}]
    owner, wires = name, []
    for record in records:
        wires.append(record.wire(wire_name(owner)))
        owner = record.data if record.kind == CNAME else owner
    head = struct.pack("!HHHHH", 0x8180 | reply.code, 1, len(records), 0, 0)
    return query_id + head + wire_name(name) + struct.pack("!HH", kind, 1) + b"".join(wires)


@asynccontextmanager
async def dns_server(**zone: Reply) -> AsyncIterator[DnsServer]:
    server = DnsServer({f"{name.replace('_', '-')}.example": reply for name, reply in zone.items()})
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: server, ("127.0.0.1", 0))
    try:
        yield server
    finally:
        transport.close()


@asynccontextmanager
async def dns_of(server: DnsServer) -> AsyncIterator[AresDns]:
    dns = AresDns([server.address])
    try:
        yield dns
    finally:
        await dns.close()
