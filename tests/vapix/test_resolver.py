"""Names: kept for their lifetime, never in each other's way, never a thread for each."""

import asyncio
import socket
import struct
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

import aiohttp
import pytest
import uvloop
from structlog.testing import capture_logs

from exporter.vapix.resolver import (
    FAILING_LANE_WIDTH,
    LANE_WIDTH,
    LONGEST_KEPT_SECONDS,
    LOOKUP_SECONDS,
    RETRY_SECONDS,
    SHORTEST_KEPT_SECONDS,
    STALE_SECONDS,
    Answer,
    AresDns,
    CachingResolver,
    LookupFailed,
)
from tests.fake_time import FakeTimeLoop, run_in_fake_time

ANY: Final = socket.AF_UNSPEC
A, CNAME, AAAA = 1, 5, 28
SERVFAIL, NXDOMAIN, REFUSED = 2, 3, 5


# A DNS server on a real socket.


@dataclass(frozen=True)
class Record:
    kind: int
    data: str
    lifetime_seconds: int = 60

    def wire(self, owner: bytes) -> bytes:
        head = struct.pack("!HHIH", self.kind, 1, self.lifetime_seconds, len(self._rdata()))
        return owner + head + self._rdata()

    def _rdata(self) -> bytes:
        if self.kind == CNAME:
            return wire_name(self.data)
        return socket.inet_pton(socket.AF_INET if self.kind == A else socket.AF_INET6, self.data)


@dataclass(frozen=True)
class Reply:
    """What a name gets: records of the kind that was asked for, and aliases; or a code."""

    records: tuple[Record, ...] = ()
    code: int = 0
    silent_kinds: tuple[int, ...] = ()


SILENCE: Final = Reply(silent_kinds=(A, AAAA))


def at(*addresses: str, lifetime_seconds: int = 60) -> Reply:
    kinds = [AAAA if ":" in address else A for address in addresses]
    pairs = zip(kinds, addresses, strict=True)
    return Reply(tuple(Record(kind, address, lifetime_seconds) for kind, address in pairs))


def wire_name(name: str) -> bytes:
    labels = [label.encode() for label in name.split(".")]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


@dataclass
class DnsServer(asyncio.DatagramProtocol):
    """Answers out of `zone`, and NXDOMAIN for what is not in it; counts what it was asked."""

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


# c-ares against that server.


async def test_both_families_are_found_and_hold_as_long_as_the_shorter_lived() -> None:
    both = Reply((Record(A, "192.0.2.1", 60), Record(AAAA, "2001:db8::1", 30)))
    async with dns_server(cam=both) as server, dns_of(server) as dns:
        answer = await dns.look_up("cam.example", ANY)
    assert set(answer.addresses) == {
        ("192.0.2.1", socket.AF_INET),
        ("2001:db8::1", socket.AF_INET6),
    }
    assert answer.lifetime_seconds == 30


async def test_an_alias_that_is_shorter_lived_than_its_address_sets_the_lifetime() -> None:
    alias = Reply((Record(CNAME, "real.example", 20), Record(A, "192.0.2.1", 60)))
    async with dns_server(cam=alias) as server, dns_of(server) as dns:
        answer = await dns.look_up("cam.example", socket.AF_INET)
    assert answer == Answer((("192.0.2.1", socket.AF_INET),), 20)


async def test_only_the_family_that_is_wanted_is_asked_for() -> None:
    async with dns_server(cam=at("192.0.2.1", "2001:db8::1")) as server, dns_of(server) as dns:
        answer = await dns.look_up("cam.example", socket.AF_INET6)
    assert answer.addresses == (("2001:db8::1", socket.AF_INET6),)
    assert server.asked == {("cam.example", AAAA): 1}


@pytest.mark.parametrize(
    ("code", "no_such_name", "message"),
    [
        (NXDOMAIN, True, "Domain name not found"),
        (SERVFAIL, False, "DNS server returned general failure"),
        (REFUSED, False, "DNS server refused query"),
        (0, False, "DNS server returned answer with no data"),
    ],
)
async def test_a_failure_says_what_the_server_said(
    code: int, *, no_such_name: bool, message: str
) -> None:
    async with dns_server(cam=Reply(code=code)) as server, dns_of(server) as dns:
        with pytest.raises(LookupFailed) as caught:
            await dns.look_up("cam.example", ANY)
    assert (str(caught.value), caught.value.no_such_name) == (message, no_such_name)


async def test_a_server_that_ignores_the_question_for_ipv6_does_not_hide_the_ipv4_address() -> None:
    half = Reply((Record(A, "192.0.2.1"),), silent_kinds=(AAAA,))
    async with dns_server(cam=half) as server, dns_of(server) as dns:
        answer = await asyncio.wait_for(dns.look_up("cam.example", ANY), LOOKUP_SECONDS)
    assert answer.addresses == (("192.0.2.1", socket.AF_INET),)


async def test_localhost_is_found_without_a_query() -> None:
    async with dns_server() as server, dns_of(server) as dns:
        answer = await dns.look_up("localhost", ANY)
    assert ("127.0.0.1", socket.AF_INET) in answer.addresses
    assert not server.asked


def names_in_hosts_file() -> list[tuple[str, str]]:
    lines = [line.partition("#")[0].split() for line in Path("/etc/hosts").read_text().splitlines()]
    return [
        (name, line[0])
        for line in lines
        for name in line[1:]
        if "." in line[0] and "localhost" not in name
    ]


async def test_the_names_of_the_hosts_file_are_found_without_a_query() -> None:
    if not (names := names_in_hosts_file()):
        pytest.skip("/etc/hosts has no IPv4 address but localhost's")
    async with dns_server() as server, dns_of(server) as dns:
        for name, address in names:
            answer = await dns.look_up(name, socket.AF_INET)
            assert (address, socket.AF_INET) in answer.addresses
    assert not server.asked


def threads() -> int:
    return sum(
        1 for _ in Path("/proc/self/task").iterdir()
    )  # c-ares's own thread is none of Python's


async def test_a_thousand_names_at_once_are_found_and_need_no_thread_each() -> None:
    names = [f"cam{number}" for number in range(1000)]
    zone = {name: at("192.0.2.1") for name in names}
    async with dns_server(**zone) as server, dns_of(server) as dns:
        resolver = CachingResolver(dns)
        await resolver.resolve("cam0.example")
        before = threads()
        polls = [asyncio.create_task(resolver.resolve(f"{name}.example")) for name in names]
        await asyncio.sleep(0)
        during = threads()
        found = await asyncio.gather(*polls)
    assert {result["host"] for results in found for result in results} == {"192.0.2.1"}
    assert during <= before


# What is kept, and who waits for whom: without sockets, in a time of its own.


class StubDns:
    """Answers `answer`, or raises it, after `delay_seconds`; knows what it was asked."""

    def __init__(self, answer: Answer | Exception, delay_seconds: float = 0.0) -> None:
        self.answer = answer
        self.delay_seconds = delay_seconds
        self.asked: list[str] = []
        self.under_way = 0
        self.most_under_way = 0
        self.closed = False

    async def look_up(self, name: str, family: socket.AddressFamily) -> Answer:
        del family
        self.asked.append(name)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await asyncio.sleep(self.delay_seconds)
        finally:
            self.under_way -= 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def close(self) -> None:
        self.closed = True


DOWN: Final = LookupFailed("DNS server returned general failure")
GONE: Final = LookupFailed("Domain name not found", no_such_name=True)
FIRST, SECOND = "192.0.2.1", "192.0.2.2"
Scenario = Callable[[FakeTimeLoop, StubDns, CachingResolver], Coroutine[Any, Any, None]]


def answer(*addresses: str, lifetime_seconds: float = 60) -> Answer:
    return Answer(tuple((address, socket.AF_INET) for address in addresses), lifetime_seconds)


def play(scenario: Scenario, dns: StubDns | None = None) -> None:
    asked = dns or StubDns(answer(FIRST))

    async def main(loop: FakeTimeLoop) -> None:
        resolver = CachingResolver(asked, loop.time)
        await scenario(loop, asked, resolver)
        await resolver.close()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run_in_fake_time(main)


async def hosts(resolver: CachingResolver, name: str = "cam") -> list[str]:
    return [result["host"] for result in await resolver.resolve(name, 80)]


async def failure(resolver: CachingResolver, name: str = "cam") -> str:
    with pytest.raises(LookupFailed) as caught:
        await resolver.resolve(name)
    return str(caught.value)


def test_an_address_comes_in_the_form_that_aiohttp_wants() -> None:
    async def scenario(_: FakeTimeLoop, _dns: StubDns, resolver: CachingResolver) -> None:
        flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
        assert await resolver.resolve("cam", 8080) == [
            {
                "hostname": "cam",
                "host": FIRST,
                "port": 8080,
                "family": socket.AF_INET,
                "proto": 0,
                "flags": flags,
            }
        ]

    play(scenario)


@pytest.mark.parametrize(
    ("lifetime_seconds", "kept_seconds"),
    [
        (0, SHORTEST_KEPT_SECONDS),
        (60, 60),
        (86_400, LONGEST_KEPT_SECONDS),
    ],
)
def test_an_answer_is_kept_for_its_lifetime_within_bounds(
    lifetime_seconds: float, kept_seconds: float
) -> None:
    async def scenario(loop: FakeTimeLoop, dns: StubDns, resolver: CachingResolver) -> None:
        await hosts(resolver)
        await asyncio.sleep(kept_seconds - 1)
        await hosts(resolver)
        assert len(dns.asked) == 1
        await asyncio.sleep(1)
        await hosts(resolver)
        await asyncio.sleep(0)
        assert len(dns.asked) == 2
        assert loop.time() == kept_seconds

    play(scenario, StubDns(answer(FIRST, lifetime_seconds=lifetime_seconds)))


def test_after_its_lifetime_an_answer_serves_at_once_and_is_renewed_behind_it() -> None:
    async def scenario(loop: FakeTimeLoop, dns: StubDns, resolver: CachingResolver) -> None:
        await hosts(resolver)
        await asyncio.sleep(60)
        dns.answer, dns.delay_seconds = answer(SECOND), 3
        asked_at = loop.time()
        assert await hosts(resolver) == [FIRST]
        assert await hosts(resolver) == [FIRST]
        assert loop.time() == asked_at
        await asyncio.sleep(3.1)
        assert await hosts(resolver) == [SECOND]
        assert len(dns.asked) == 2

    play(scenario)


def test_polls_of_one_name_share_one_lookup() -> None:
    async def scenario(_: FakeTimeLoop, dns: StubDns, resolver: CachingResolver) -> None:
        found = await asyncio.gather(*(hosts(resolver) for _ in range(50)))
        assert found == [[FIRST]] * 50
        assert dns.asked == ["cam"]

    play(scenario, StubDns(answer(FIRST), delay_seconds=1))


def test_the_families_of_a_name_are_looked_up_apart() -> None:
    async def scenario(_: FakeTimeLoop, dns: StubDns, resolver: CachingResolver) -> None:
        for family in (ANY, socket.AF_INET, ANY, socket.AF_INET):
            await resolver.resolve("cam", family=family)
        assert dns.asked == ["cam", "cam"]

    play(scenario)


def test_a_poll_that_runs_into_its_deadline_ends_its_own_waiting_only() -> None:
    async def scenario(loop: FakeTimeLoop, dns: StubDns, resolver: CachingResolver) -> None:
        patient = asyncio.create_task(hosts(resolver))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await hosts(resolver)
        assert loop.time() == 1
        assert await patient == [FIRST]
        assert dns.asked == ["cam"]

    play(scenario, StubDns(answer(FIRST), delay_seconds=2))


def test_what_a_lookup_finds_is_kept_though_nobody_waits_for_it_any_more() -> None:
    async def scenario(_: FakeTimeLoop, dns: StubDns, resolver: CachingResolver) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await hosts(resolver)
        await asyncio.sleep(2)
        assert await hosts(resolver) == [FIRST]
        assert dns.asked == ["cam"]

    play(scenario, StubDns(answer(FIRST), delay_seconds=2))


def test_an_answer_outlives_a_dns_that_is_down_for_an_hour_and_no_longer() -> None:
    async def scenario(_: FakeTimeLoop, dns: StubDns, resolver: CachingResolver) -> None:
        await hosts(resolver)
        dns.answer = DOWN
        await asyncio.sleep(60 + STALE_SECONDS - 1)
        assert await hosts(resolver) == [FIRST]
        await asyncio.sleep(1)
        assert await failure(resolver) == "DNS server returned general failure"

    play(scenario)


def test_a_stale_answer_is_told_once_and_so_is_its_end() -> None:
    async def scenario(_: FakeTimeLoop, dns: StubDns, resolver: CachingResolver) -> None:
        await hosts(resolver)
        dns.answer = DOWN
        for _minute in range(3):
            await asyncio.sleep(60)
            assert await hosts(resolver) == [FIRST]
        dns.answer = answer(FIRST)
        for _minute in range(3):
            await asyncio.sleep(60)
            assert await hosts(resolver) == [FIRST]

    with capture_logs() as logs:
        play(scenario)
    error = "DNS server returned general failure"
    assert logs == [
        {"event": "dns.stale_answer", "log_level": "warning", "name": "cam", "error": error},
        {"event": "dns.recovered", "log_level": "info", "name": "cam", "down_seconds": 120.0},
    ]


def test_a_name_that_the_dns_says_does_not_exist_is_lost_at_once() -> None:
    async def scenario(_: FakeTimeLoop, dns: StubDns, resolver: CachingResolver) -> None:
        await hosts(resolver)
        dns.answer = GONE
        await asyncio.sleep(60)
        await hosts(resolver)
        await asyncio.sleep(1)
        assert await failure(resolver) == "Domain name not found"
        dns.answer = answer(SECOND)
        await asyncio.sleep(RETRY_SECONDS)
        assert await hosts(resolver) == [SECOND]

    with capture_logs() as logs:
        play(scenario)
    assert logs == []


@pytest.mark.parametrize("problem", [DOWN, GONE])
def test_a_failure_holds_briefly_and_costs_no_lookup_meanwhile(problem: LookupFailed) -> None:
    async def scenario(_: FakeTimeLoop, dns: StubDns, resolver: CachingResolver) -> None:
        assert await failure(resolver) == str(problem)
        await asyncio.sleep(RETRY_SECONDS - 1)
        assert await failure(resolver) == str(problem)
        assert len(dns.asked) == 1
        dns.answer = answer(FIRST)
        await asyncio.sleep(1)
        assert await hosts(resolver) == [FIRST]

    play(scenario, StubDns(problem))


def test_polls_that_fail_share_no_exception_whose_traceback_would_grow() -> None:
    async def scenario(_: FakeTimeLoop, _dns: StubDns, resolver: CachingResolver) -> None:
        both = await asyncio.gather(
            *(resolver.resolve("cam") for _ in "ab"), return_exceptions=True
        )
        assert both[0] is not both[1]

    play(scenario, StubDns(DOWN))


def test_so_many_lookups_run_at_once_and_the_next_wait_for_their_turn() -> None:
    async def scenario(loop: FakeTimeLoop, dns: StubDns, resolver: CachingResolver) -> None:
        names = [f"cam{number}" for number in range(2 * LANE_WIDTH)]
        found = await asyncio.gather(*(hosts(resolver, name) for name in names))
        assert found == [[FIRST]] * len(names)
        assert dns.most_under_way == LANE_WIDTH
        assert dns.asked == names
        assert loop.time() == 2

    play(scenario, StubDns(answer(FIRST), delay_seconds=1))


def test_however_many_names_fail_a_good_one_does_not_wait_for_them() -> None:
    async def scenario(loop: FakeTimeLoop, dns: StubDns, resolver: CachingResolver) -> None:
        dead = [f"dead{number}" for number in range(3 * LANE_WIDTH)]
        await asyncio.gather(*(failure(resolver, name) for name in dead))
        await asyncio.sleep(RETRY_SECONDS)
        dns.delay_seconds = 100
        polls = [asyncio.create_task(failure(resolver, name)) for name in dead]
        await asyncio.sleep(0.1)
        assert dns.under_way == FAILING_LANE_WIDTH
        dns.answer, dns.delay_seconds = answer(FIRST), 0
        asked_at = loop.time()
        assert await hosts(resolver) == [FIRST]
        assert loop.time() == asked_at
        await asyncio.gather(*polls)

    play(scenario, StubDns(DOWN))


def test_a_silent_dns_is_a_failure_of_the_name_before_the_polls_deadline() -> None:
    async def scenario(loop: FakeTimeLoop, dns: StubDns, resolver: CachingResolver) -> None:
        names = [f"cam{number}" for number in range(10 * LANE_WIDTH)]
        told = await asyncio.gather(*(failure(resolver, name) for name in names))
        assert set(told) == {"no answer from the DNS within 5 s"}
        assert loop.time() == LOOKUP_SECONDS
        assert dns.under_way == 0

    play(scenario, StubDns(answer(FIRST), delay_seconds=100))


def test_names_that_nobody_asks_for_any_more_are_forgotten() -> None:
    async def scenario(_: FakeTimeLoop, dns: StubDns, resolver: CachingResolver) -> None:
        for day in range(5):
            await asyncio.gather(*(hosts(resolver, f"cam{day}-{n}") for n in range(1000)))
            await asyncio.sleep(86_400)
        assert len(dns.asked) == 5000
        assert len(resolver._entries) <= 2000

    play(scenario)


def test_a_name_whose_lookup_is_under_way_is_not_forgotten() -> None:
    async def scenario(_: FakeTimeLoop, dns: StubDns, resolver: CachingResolver) -> None:
        names = [f"cam{number}" for number in range(1100)]
        found = await asyncio.gather(*(hosts(resolver, name) for name in names + names))
        assert found == [[FIRST]] * 2200
        assert dns.asked == names

    play(scenario, StubDns(answer(FIRST), delay_seconds=0.1))


def test_a_fault_of_ours_is_not_taken_for_the_dnss() -> None:
    async def scenario(_: FakeTimeLoop, dns: StubDns, resolver: CachingResolver) -> None:
        with pytest.raises(ZeroDivisionError):
            await resolver.resolve("cam")
        dns.answer = answer(FIRST)
        assert await hosts(resolver) == [FIRST]

    play(scenario, StubDns(ZeroDivisionError()))


def test_closing_ends_lookups_and_tells_the_polls_that_wait() -> None:
    async def scenario(loop: FakeTimeLoop, dns: StubDns, resolver: CachingResolver) -> None:
        poll = asyncio.create_task(failure(resolver))
        await asyncio.sleep(1)
        await resolver.close()
        assert await poll == "the resolver is closed"
        assert (loop.time(), dns.under_way, dns.closed) == (1, 0, True)
        assert await failure(resolver, "other") == "the resolver is closed"

    play(scenario, StubDns(answer(FIRST), delay_seconds=4))


NO_NAMES: Final = [
    "",
    ".",
    "..",
    "a..b",
    ".a",
    "a..",
    "a" * 64,
    ".".join(["a" * 63] * 4),
    "a\0b",
    "a b",
    "a%00b",
    "öre.example",
    "cam.example\n",
]


@pytest.mark.parametrize("name", NO_NAMES)
def test_what_cannot_be_a_name_is_an_oserror_and_nobody_is_asked(name: str) -> None:
    async def scenario(_: FakeTimeLoop, dns: StubDns, resolver: CachingResolver) -> None:
        assert (await failure(resolver, name)).startswith("not a DNS name: ")
        assert dns.asked == []
        assert not resolver._entries

    play(scenario)


@pytest.mark.parametrize("name", ["cam", "cam.example.", "a_b.example", "a" * 63, "xn--re-fka.se"])
def test_what_can_be_a_name_is_looked_up(name: str) -> None:
    async def scenario(_: FakeTimeLoop, dns: StubDns, resolver: CachingResolver) -> None:
        assert await hosts(resolver, name) == [FIRST]
        assert dns.asked == [name]

    play(scenario)


@pytest.mark.parametrize("address", ["192.0.2.7", "2001:db8::7", "fe80::1%lo"])
def test_an_ip_address_is_its_own_answer(address: str) -> None:
    async def scenario(_: FakeTimeLoop, dns: StubDns, resolver: CachingResolver) -> None:
        own, other = socket.AF_INET, socket.AF_INET6
        if ":" in address:
            own, other = other, own
        results = await resolver.resolve(address, 443)
        assert [(found["host"], found["port"], found["family"]) for found in results] == [
            (address, 443, own)
        ]
        with pytest.raises(LookupFailed, match="not of the family"):
            await resolver.resolve(address, family=other)
        assert dns.asked == []

    play(scenario)


# All of it under aiohttp, as the session is to be made.


@asynccontextmanager
async def session_over(
    dns: AresDns, monotonic: Callable[[], float] = time.monotonic
) -> AsyncIterator[aiohttp.ClientSession]:
    resolver = CachingResolver(dns, monotonic)
    connector = aiohttp.TCPConnector(
        limit=0, resolver=resolver, use_dns_cache=False, force_close=True
    )
    try:
        async with aiohttp.ClientSession(connector=connector) as session:
            yield session
    finally:
        await resolver.close()


@asynccontextmanager
async def device() -> AsyncIterator[int]:
    """An HTTP server on every loopback address, that says at which it was reached; its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = writer.get_extra_info("sockname")[0].encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "0.0.0.0", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def poll(session: aiohttp.ClientSession, name: str, port: int) -> str:
    async with session.get(f"http://{name}.example:{port}/") as response:
        return await response.text()


async def poll_beside_dead_names() -> float:
    """The slowest poll of new, healthy names, every 50 ms beside 20 that hang; seconds."""
    healthy = {f"cam{number}": at("127.0.0.1") for number in range(20)}
    dead = {f"dead{number}": SILENCE for number in range(20)}
    slowest = 0.0
    async with (
        dns_server(**healthy, **dead) as server,
        dns_of(server) as dns,
        session_over(dns) as session,
        device() as port,
        asyncio.TaskGroup() as group,
    ):
        hanging = [group.create_task(poll(session, name, port)) for name in dead]
        for name in healthy:
            await asyncio.sleep(0.05)
            started = time.monotonic()
            assert await poll(session, name, port) == "127.0.0.1"
            slowest = max(slowest, time.monotonic() - started)
            assert not any(waiting.done() for waiting in hanging)
            assert server.asked[f"{name}.example", A] == 1
        for waiting in hanging:
            waiting.cancel()
    return slowest


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_names_that_are_never_answered_delay_no_other_lookup(
    new_loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    with asyncio.Runner(loop_factory=new_loop) as runner:
        slowest_seconds = runner.run(poll_beside_dead_names())
    # With a pool of four threads it is as long as the dead names take, five seconds and more.
    assert slowest_seconds < 1


async def test_a_name_that_does_not_exist_is_aiohttps_error_for_names() -> None:
    async with dns_server() as server, dns_of(server) as dns, session_over(dns) as session:
        with pytest.raises(aiohttp.ClientConnectorDNSError) as caught:
            await poll(session, "nobody", 80)
    assert str(caught.value.os_error) == "Domain name not found"
    assert "[Domain name not found]" in str(caught.value)


@pytest.mark.parametrize("host", ["a..b", "a" * 64 + ".example", ".a"])
async def test_a_host_that_cannot_be_a_name_is_aiohttps_error_for_names(host: str) -> None:
    async with dns_server() as server, dns_of(server) as dns, session_over(dns) as session:
        with pytest.raises(aiohttp.ClientConnectorDNSError) as caught:
            await session.get(f"http://{host}/")
    assert str(caught.value.os_error).startswith("not a DNS name: ")
    assert not server.asked


async def test_a_device_that_has_moved_is_found_as_soon_as_the_resolver_knows() -> None:
    # aiohttp's own cache would keep the old address for ten seconds more.
    seconds = 0.0
    reached = []
    async with (
        dns_server(cam=at("127.0.0.1", lifetime_seconds=0)) as server,
        dns_of(server) as dns,
        session_over(dns, lambda: seconds) as session,
        device() as port,
    ):
        reached.append(await poll(session, "cam", port))
        server.zone["cam.example"] = at("127.0.0.2")
        seconds = SHORTEST_KEPT_SECONDS
        reached.append(await poll(session, "cam", port))
        while server.asked["cam.example", A] < 2 or reached[-1] == "127.0.0.1":
            reached.append(await poll(session, "cam", port))
    assert reached[:2] == ["127.0.0.1", "127.0.0.1"]
    assert reached[-1] == "127.0.0.2"
    assert server.asked["cam.example", A] == 2
