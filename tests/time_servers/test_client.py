"""Queries on real sockets: what is read, what is refused, and whose fault a failure is."""

import asyncio
import os
import socket
import struct
import time
from unittest.mock import patch

import pytest

from exporter.clock.host import HostClock
from exporter.time_servers.client import (
    NameLookupFailed,
    NoAnswer,
    NotSent,
    TimeServerClient,
    Unreachable,
)
from exporter.time_servers.sntp import InvalidAnswer, KissOfDeath
from exporter.vapix.dns import CachingResolver, DnsAnswer, LookupFailed
from tests.real.test_ipv6_zones import zoned_addresses
from tests.support.chrony import free_udp_port
from tests.time_servers.udp_server import answer_to, right_time, silent, udp_server
from tests.vapix.stub_dns import StubDns
from tests.vapix.test_open_files import no_file_left

LOOPBACK = "127.0.0.1"
SHORT_SECONDS = 0.05


def client_with(answer: DnsAnswer | Exception) -> TimeServerClient:
    return TimeServerClient(CachingResolver(StubDns(answer)), HostClock())


@pytest.fixture
async def client() -> TimeServerClient:
    return client_with(LookupFailed("no DNS in this test"))


@pytest.mark.parametrize("host", [LOOPBACK, *(["::1"] if zoned_addresses() else [])])
async def test_a_server_is_asked_and_its_answer_holds_the_truth(
    client: TimeServerClient, host: str
) -> None:
    async with udp_server(right_time, host) as server:
        answer = await client.query(host, server.port, 5)
        now = HostClock().now()
    [request] = server.requests
    assert (len(request), request[:40]) == (48, b"\x23" + bytes(39))
    low_ns, high_ns, *_ = answer.estimate.at(now.steady_ns)
    assert low_ns - 1_000 <= now.unix_minus_steady_ns <= high_ns + 1_000
    assert 0 < answer.round_trip_ns < 1_000_000_000


@pytest.mark.parametrize("address", zoned_addresses())
async def test_an_address_with_a_zone_is_asked(client: TimeServerClient, address: str) -> None:
    async with udp_server(right_time, address) as server:
        answer = await client.query(address, server.port, 5)
    assert answer.is_selectable


async def test_a_zone_that_is_no_interface_is_unreachable(client: TimeServerClient) -> None:
    with pytest.raises(Unreachable, match="fe80::1%none"):
        await client.query("fe80::1%none", 123, 5)


async def test_each_query_has_its_own_port_and_random_number(client: TimeServerClient) -> None:
    async with udp_server(right_time) as server:
        for _ in range(5):
            await client.query(LOOPBACK, server.port, 5)
    assert len(set(server.client_ports)) > 1
    assert len({request[40:] for request in server.requests}) == 5


async def test_names_are_resolved_and_another_address_is_used_at_the_next_attempt() -> None:
    client = client_with(DnsAnswer(((LOOPBACK, socket.AF_INET), ("::1", socket.AF_INET6)), 60))
    async with udp_server(right_time) as server:
        await client.query("ntp.example", server.port, 5)
        await client.query("ntp.example", server.port, 5, attempt=2)
        with pytest.raises(Unreachable, match="::1"):
            await client.query("ntp.example", server.port, 5, attempt=1)
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    "address", [LOOPBACK, "0.0.0.0", "::1", "::", "255.255.255.255", "224.0.1.1", "ff02::101"]
)
async def test_the_name_of_a_devices_server_does_not_lead_to_this_host_or_to_many(
    address: str,
) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    client = client_with(DnsAnswer(((address, family),), 60))
    async with udp_server(right_time) as server:
        with pytest.raises(NameLookupFailed, match="is no address of another host"):
            await client.query("ntp.example", server.port, 5, is_configured=False)
    assert server.requests == []


async def test_an_international_name_is_resolved_in_its_ascii_form() -> None:
    dns = StubDns(DnsAnswer(((LOOPBACK, socket.AF_INET),), 60))
    client = TimeServerClient(CachingResolver(dns), HostClock())
    async with udp_server(right_time) as server:
        await client.query("zeit.münchen.example", server.port, 5)
    assert dns.asked == ["zeit.xn--mnchen-3ya.example"]


async def test_a_name_without_an_address_is_a_dns_failure() -> None:
    client = client_with(LookupFailed("Domain name not found", no_such_name=True))
    with pytest.raises(NameLookupFailed, match="cannot resolve: Domain name not found"):
        await client.query("ntp.example", 123, 5)


async def test_a_server_that_does_not_answer_is_a_timeout(client: TimeServerClient) -> None:
    async with udp_server(silent) as server:
        with pytest.raises(NoAnswer, match=r"no response from 127\.0\.0\.1 within 0\.05 s"):
            await client.query(LOOPBACK, server.port, SHORT_SECONDS)


async def test_a_port_on_which_nothing_listens_is_unreachable(client: TimeServerClient) -> None:
    with pytest.raises(Unreachable, match=r"cannot reach 127\.0\.0\.1: Connection refused"):
        await client.query(LOOPBACK, free_udp_port(), 5)


async def test_a_broadcast_address_is_unreachable(client: TimeServerClient) -> None:
    with pytest.raises(Unreachable, match=r"255\.255\.255\.255"):
        await client.query("255.255.255.255", 123, 5)


async def test_a_host_without_a_free_file_is_not_the_servers_fault(
    client: TimeServerClient,
) -> None:
    async with udp_server(right_time) as server:
        with no_file_left(), pytest.raises(NotSent, match="Too many open files"):
            await client.query(LOOPBACK, server.port, 5)
        assert (await client.query(LOOPBACK, server.port, 5)).is_selectable


async def test_a_kiss_of_death_is_raised(client: TimeServerClient) -> None:
    def deny(request: bytes) -> list[bytes]:
        return [answer_to(request, stratum=0, leap=3, reference_id=b"DENY")]

    async with udp_server(deny) as server:
        with pytest.raises(KissOfDeath, match="DENY"):
            await client.query(LOOPBACK, server.port, 5)


async def test_a_long_answer_counts_with_its_first_48_bytes(client: TimeServerClient) -> None:
    async with udp_server(lambda request: [answer_to(request) + bytes(20_000)]) as server:
        assert (await client.query(LOOPBACK, server.port, 5)).is_selectable


@pytest.mark.parametrize("packet", [b"x", bytes(47), bytes(48), bytes(1000)], ids=len)
async def test_any_other_datagram_is_an_invalid_response(
    client: TimeServerClient, packet: bytes
) -> None:
    async with udp_server(lambda _: [packet]) as server:
        with pytest.raises(InvalidAnswer):
            await client.query(LOOPBACK, server.port, 5)


async def test_of_a_flood_one_datagram_is_read(client: TimeServerClient) -> None:
    reads = []
    read = TimeServerClient._read

    def counted(*arguments: object) -> None:
        reads.append(time.monotonic())
        read(*arguments)  # type: ignore[arg-type]

    def flood(request: bytes) -> list[bytes]:
        return [bytes(48)] * 500 + [answer_to(request)]

    async with udp_server(flood) as server:
        with (
            patch.object(TimeServerClient, "_read", counted),
            pytest.raises(InvalidAnswer),
        ):
            await client.query(LOOPBACK, server.port, 5)
    assert len(reads) == 1


async def test_an_answer_from_another_address_or_port_is_never_read(
    client: TimeServerClient,
) -> None:
    others = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
    others[0].bind(("127.0.0.2", 0))
    others[1].bind((LOOPBACK, 0))

    def by_others(request: bytes) -> list[bytes]:
        for other in others:
            other.sendto(answer_to(request), (LOOPBACK, server.client_ports[-1]))
        return []

    async with udp_server(by_others) as server:
        with pytest.raises(NoAnswer):
            await client.query(LOOPBACK, server.port, SHORT_SECONDS)
    for other in others:
        other.close()


async def test_a_datagram_that_arrives_together_with_the_timeout_is_dropped(
    client: TimeServerClient,
) -> None:
    late: asyncio.Future[tuple[bytes, int]] = asyncio.get_running_loop().create_future()
    late.cancel()
    with socket.socket(type=socket.SOCK_DGRAM) as udp:
        udp.bind((LOOPBACK, 0))
        udp.sendto(b"late", udp.getsockname())
        client._read(udp, late)
    assert late.cancelled()


async def test_a_cancelled_query_closes_its_socket(client: TimeServerClient) -> None:
    async with udp_server(silent) as server:
        query = asyncio.create_task(client.query(LOOPBACK, server.port, 60))
        while not server.requests:
            await asyncio.sleep(0)
        query.cancel()
        with pytest.raises(asyncio.CancelledError):
            await query
        with pytest.raises(OSError, match="in use"), socket.socket(type=socket.SOCK_DGRAM) as probe:
            probe.bind((LOOPBACK, server.port))  # the test can tell an open socket from a closed
        with socket.socket(type=socket.SOCK_DGRAM) as probe:
            probe.bind((LOOPBACK, server.client_ports[0]))


def host_unreachable(server_port: int, client_port: int) -> bytes:
    """Return what a router sends that finds no host for a query on loopback: ICMP 3, code 1."""
    address = socket.inet_aton(LOOPBACK)
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 76, 0, 0, 64, 17, 0, address, address)
    udp = struct.pack("!HHHH", client_port, server_port, 56, 0)
    body = struct.pack("!BBHI", 3, 1, 0, 0) + ip + udp
    total = sum(struct.unpack(f"!{len(body) // 2}H", body))
    total = (total >> 16) + (total & 0xFFFF)
    return body[:2] + struct.pack("!H", ~(total + (total >> 16)) & 0xFFFF) + body[4:]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may send ICMP")
async def test_a_routers_host_unreachable_ends_the_query_at_once(client: TimeServerClient) -> None:
    def no_such_host(_request: bytes) -> list[bytes]:
        packet = host_unreachable(server.port, server.client_ports[-1])
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as router:
            router.sendto(packet, (LOOPBACK, 0))
        return []

    async with udp_server(no_such_host) as server:
        with pytest.raises(Unreachable, match="No route to host"):
            await client.query(LOOPBACK, server.port, 5)
