"""Names that the DNS does not answer: told, kept briefly, in nobody's way."""

import asyncio
from typing import Final

import pytest
from structlog.testing import capture_logs

from exporter.vapix.dns import (
    FAILING_LANE_WIDTH,
    LANE_WIDTH,
    LOOKUP_SECONDS,
    RETRY_SECONDS,
    STALE_SECONDS,
    CachingResolver,
    LookupFailed,
)
from tests.support.fake_time import FakeTimeLoop
from tests.vapix.stub_dns import (
    DOWN,
    FIRST,
    GONE,
    SECOND,
    StubDns,
    answer,
    failure,
    hosts,
    play,
)


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
