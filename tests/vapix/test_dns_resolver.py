"""The cache of names: TTLs, shared lookups, limits. No sockets, in fake time."""

import asyncio
import socket

import pytest

from exporter.vapix.dns import (
    MAX_ADDRESSES_OF_FAMILY,
    MAX_LOOKUPS,
    MAX_TTL_SECONDS,
    MIN_TTL_SECONDS,
    CachingResolver,
    DnsAnswer,
    LookupFailed,
)
from tests.support.fake_time import FakeTimeLoop
from tests.vapix.stub_dns import ANY, FIRST, SECOND, StubDns, answer, failure, hosts, play


def test_an_address_is_returned_in_aiohttps_form() -> None:
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
    ("ttl_seconds", "kept_seconds"),
    [
        (0, MIN_TTL_SECONDS),
        (60, 60),
        (86_400, MAX_TTL_SECONDS),
    ],
)
def test_an_answer_is_cached_for_its_ttl_within_bounds(
    ttl_seconds: float, kept_seconds: float
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

    play(scenario, StubDns(answer(FIRST, ttl_seconds=ttl_seconds)))


def test_after_its_ttl_an_answer_is_used_at_once_and_refreshed_in_the_background() -> None:
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


def test_each_family_of_a_name_has_its_own_lookup() -> None:
    async def scenario(_: FakeTimeLoop, dns: StubDns, resolver: CachingResolver) -> None:
        for family in (ANY, socket.AF_INET, ANY, socket.AF_INET):
            await resolver.resolve("cam", family=family)
        assert dns.asked == ["cam", "cam"]

    play(scenario)


def test_a_poll_that_times_out_does_not_cancel_the_lookup_of_others() -> None:
    async def scenario(loop: FakeTimeLoop, dns: StubDns, resolver: CachingResolver) -> None:
        patient = asyncio.create_task(hosts(resolver))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await hosts(resolver)
        assert loop.time() == 1
        assert await patient == [FIRST]
        assert dns.asked == ["cam"]

    play(scenario, StubDns(answer(FIRST), delay_seconds=2))


def test_an_answer_is_cached_even_if_no_poll_waits_for_it_any_more() -> None:
    async def scenario(_: FakeTimeLoop, dns: StubDns, resolver: CachingResolver) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await hosts(resolver)
        await asyncio.sleep(2)
        assert await hosts(resolver) == [FIRST]
        assert dns.asked == ["cam"]

    play(scenario, StubDns(answer(FIRST), delay_seconds=2))


def test_concurrent_lookups_are_limited_and_the_next_ones_wait() -> None:
    async def scenario(loop: FakeTimeLoop, dns: StubDns, resolver: CachingResolver) -> None:
        names = [f"cam{number}" for number in range(2 * MAX_LOOKUPS)]
        found = await asyncio.gather(*(hosts(resolver, name) for name in names))
        assert found == [[FIRST]] * len(names)
        assert dns.most_under_way == MAX_LOOKUPS
        assert dns.asked == names
        assert loop.time() == 2

    play(scenario, StubDns(answer(FIRST), delay_seconds=1))


def test_names_that_are_no_longer_used_are_dropped() -> None:
    async def scenario(_: FakeTimeLoop, dns: StubDns, resolver: CachingResolver) -> None:
        for day in range(5):
            await asyncio.gather(*(hosts(resolver, f"cam{day}-{n}") for n in range(1000)))
            await asyncio.sleep(86_400)
        assert len(dns.asked) == 5000
        assert len(resolver._cache) <= 2000

    play(scenario)


def test_a_name_whose_lookup_is_in_progress_is_not_dropped() -> None:
    async def scenario(_: FakeTimeLoop, dns: StubDns, resolver: CachingResolver) -> None:
        names = [f"cam{number}" for number in range(1100)]
        found = await asyncio.gather(*(hosts(resolver, name) for name in names + names))
        assert found == [[FIRST]] * 2200
        assert dns.asked == names

    play(scenario, StubDns(answer(FIRST), delay_seconds=0.1))


def test_a_bug_of_ours_is_not_reported_as_a_dns_failure() -> None:
    async def scenario(_: FakeTimeLoop, dns: StubDns, resolver: CachingResolver) -> None:
        with pytest.raises(ZeroDivisionError):
            await resolver.resolve("cam")
        dns.answer = answer(FIRST)
        assert await hosts(resolver) == [FIRST]

    play(scenario, StubDns(ZeroDivisionError()))


def test_closing_cancels_lookups_and_fails_the_waiting_polls() -> None:
    async def scenario(loop: FakeTimeLoop, dns: StubDns, resolver: CachingResolver) -> None:
        poll = asyncio.create_task(failure(resolver))
        await asyncio.sleep(1)
        await resolver.close()
        assert await poll == "the resolver is closed"
        assert (loop.time(), dns.under_way, dns.closed) == (1, 0, True)
        assert await failure(resolver, "other") == "the resolver is closed"

    play(scenario, StubDns(answer(FIRST), delay_seconds=4))


@pytest.mark.parametrize("name", ["cam", "cam.example.", "a_b.example", "a" * 63, "xn--re-fka.se"])
def test_a_valid_name_is_looked_up(name: str) -> None:
    async def scenario(_: FakeTimeLoop, dns: StubDns, resolver: CachingResolver) -> None:
        assert await hosts(resolver, name) == [FIRST]
        assert dns.asked == [name]

    play(scenario)


@pytest.mark.parametrize("address", ["192.0.2.7", "2001:db8::7", "fe80::1%lo"])
def test_an_ip_address_is_returned_without_a_lookup(address: str) -> None:
    async def scenario(_: FakeTimeLoop, dns: StubDns, resolver: CachingResolver) -> None:
        own, other = socket.AF_INET, socket.AF_INET6
        if ":" in address:
            own, other = other, own
        results = await resolver.resolve(address, 443)
        assert [(found["host"], found["port"], found["family"]) for found in results] == [
            (address, 443, own)
        ]
        with pytest.raises(LookupFailed, match="not an address of the requested family"):
            await resolver.resolve(address, family=other)
        assert dns.asked == []

    play(scenario)


def test_of_many_addresses_the_first_of_each_family_are_used() -> None:
    """aiohttp tries all that it gets, again and again: one name must not scan a network."""
    v4 = [(f"192.0.2.{number}", socket.AF_INET) for number in range(200)]
    v6 = [(f"2001:db8::{number:x}", socket.AF_INET6) for number in range(200)]
    mixed = DnsAnswer((*v4[:2], *v6, *v4[2:]), 60)

    async def scenario(_: FakeTimeLoop, _dns: StubDns, resolver: CachingResolver) -> None:
        expected = [*v4[:2], *v6[:MAX_ADDRESSES_OF_FAMILY], *v4[2:MAX_ADDRESSES_OF_FAMILY]]
        assert await hosts(resolver) == [address for address, _ in expected]

    play(scenario, StubDns(mixed))
