"""Names: kept for their lifetime, never in each other's way. No sockets, a time of its own."""

import asyncio
import socket
from collections.abc import Callable, Coroutine
from typing import Any, Final

import pytest
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
    CachingResolver,
    LookupFailed,
)
from tests.fake_time import FakeTimeLoop, run_in_fake_time

ANY: Final = socket.AF_UNSPEC


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
