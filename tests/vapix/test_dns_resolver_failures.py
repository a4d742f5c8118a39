"""Failing lookups: logged, retried soon, and no obstacle to other names."""

import asyncio
from typing import Final

import pytest
from structlog.testing import capture_logs

from exporter.vapix.dns import (
    LOOKUP_TIMEOUT_SECONDS,
    MAX_FAILING_LOOKUPS,
    MAX_LOOKUPS,
    RETRY_SECONDS,
    STALE_SECONDS,
    CachingResolver,
    LookupFailed,
)
from tests.support.fake_time import FakeTimeLoop
from tests.vapix.stub_dns import DOWN, FIRST, GONE, SECOND, StubDns, answer, failure, hosts, play


def test_an_answer_is_used_for_one_hour_after_its_ttl_while_the_dns_is_down() -> None:
    async def scenario(_: FakeTimeLoop, dns: StubDns, resolver: CachingResolver) -> None:
        await hosts(resolver)
        dns.answer = DOWN
        await asyncio.sleep(60 + STALE_SECONDS - 1)
        assert await hosts(resolver) == [FIRST]
        await asyncio.sleep(1)
        assert await failure(resolver) == "DNS server returned general failure"

    play(scenario)


def test_the_use_of_a_stale_answer_and_its_end_are_logged_once() -> None:
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


def test_a_cached_answer_is_dropped_if_the_name_does_not_exist_any_more() -> None:
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
def test_a_failure_is_cached_briefly(problem: LookupFailed) -> None:
    async def scenario(_: FakeTimeLoop, dns: StubDns, resolver: CachingResolver) -> None:
        assert await failure(resolver) == str(problem)
        await asyncio.sleep(RETRY_SECONDS - 1)
        assert await failure(resolver) == str(problem)
        assert len(dns.asked) == 1
        dns.answer = answer(FIRST)
        await asyncio.sleep(1)
        assert await hosts(resolver) == [FIRST]

    play(scenario, StubDns(problem))


def test_failing_polls_do_not_share_an_exception_whose_traceback_would_grow() -> None:
    async def scenario(_: FakeTimeLoop, _dns: StubDns, resolver: CachingResolver) -> None:
        both = await asyncio.gather(
            *(resolver.resolve("cam") for _ in "ab"), return_exceptions=True
        )
        assert both[0] is not both[1]

    play(scenario, StubDns(DOWN))


def test_a_working_name_does_not_wait_for_failing_ones() -> None:
    async def scenario(loop: FakeTimeLoop, dns: StubDns, resolver: CachingResolver) -> None:
        dead = [f"dead{number}" for number in range(3 * MAX_LOOKUPS)]
        await asyncio.gather(*(failure(resolver, name) for name in dead))
        await asyncio.sleep(RETRY_SECONDS)
        dns.delay_seconds = 100
        polls = [asyncio.create_task(failure(resolver, name)) for name in dead]
        await asyncio.sleep(0.1)
        assert dns.under_way == MAX_FAILING_LOOKUPS
        dns.answer, dns.delay_seconds = answer(FIRST), 0
        asked_at = loop.time()
        assert await hosts(resolver) == [FIRST]
        assert loop.time() == asked_at
        await asyncio.gather(*polls)

    play(scenario, StubDns(DOWN))


def test_a_dns_that_does_not_answer_fails_the_lookup_before_the_polls_deadline() -> None:
    async def scenario(loop: FakeTimeLoop, dns: StubDns, resolver: CachingResolver) -> None:
        names = [f"cam{number}" for number in range(10 * MAX_LOOKUPS)]
        failures = await asyncio.gather(*(failure(resolver, name) for name in names))
        assert set(failures) == {"no answer from the DNS within 5 s"}
        assert loop.time() == LOOKUP_TIMEOUT_SECONDS
        assert dns.under_way == 0

    play(scenario, StubDns(answer(FIRST), delay_seconds=100))


INVALID_NAMES: Final = [
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


@pytest.mark.parametrize("name", INVALID_NAMES)
def test_an_invalid_name_is_an_oserror_without_a_lookup(name: str) -> None:
    async def scenario(_: FakeTimeLoop, dns: StubDns, resolver: CachingResolver) -> None:
        assert (await failure(resolver, name)).startswith("not a DNS name: ")
        assert dns.asked == []
        assert not resolver._cache

    play(scenario)
