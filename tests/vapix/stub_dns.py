"""A DNS client whose answers a test sets, and a resolver that uses it, in fake time."""

import asyncio
import socket
from collections.abc import Callable, Coroutine
from typing import Any, Final

import pytest

from exporter.vapix.dns import CachingResolver, DnsAnswer, LookupFailed
from tests.support.fake_time import FakeTimeLoop, run_in_fake_time

FIRST, SECOND = "192.0.2.1", "192.0.2.2"
ANY: Final = socket.AF_UNSPEC


class StubDns:
    """Returns `answer`, or raises it, after `delay_seconds`; records the names in `asked`."""

    def __init__(self, answer: DnsAnswer | Exception, delay_seconds: float = 0.0) -> None:
        self.answer = answer
        self.delay_seconds = delay_seconds
        self.asked: list[str] = []
        self.under_way = 0
        self.most_under_way = 0
        self.closed = False

    async def look_up(self, name: str, family: socket.AddressFamily) -> DnsAnswer:
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


Scenario = Callable[[FakeTimeLoop, StubDns, CachingResolver], Coroutine[Any, Any, None]]


def answer(*addresses: str, ttl_seconds: float = 60) -> DnsAnswer:
    return DnsAnswer(tuple((address, socket.AF_INET) for address in addresses), ttl_seconds)


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
