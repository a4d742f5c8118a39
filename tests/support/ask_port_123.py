"""Ask the time server on port 123 of loopback, and print what the exporter's client found as JSON.

A program of its own, because the server and its client run in a network namespace.
"""

from __future__ import annotations

import asyncio
import json
import sys

from exporter.clock.host import HostClock
from exporter.time_servers.client import TimeServerClient
from exporter.time_servers.sntp import QueryFailed, TimeAnswer
from exporter.vapix.dns import CachingResolver, LookupFailed
from tests.support.programs import LOOPBACK
from tests.vapix.stub_dns import StubDns

_TRIES = 40
_PAUSE_SECONDS = 0.5
"""ntpsec answers so many queries a second at most."""


async def ask(*, until_selectable: bool) -> dict[str, object]:
    """Return the first answer, or the first one that NTP clients would use."""
    host = HostClock()
    client = TimeServerClient(CachingResolver(StubDns(LookupFailed("no DNS in this test"))), host)
    error: QueryFailed | None = None
    for _ in range(_TRIES):
        try:
            answer = await client.query(LOOPBACK, 123, 1.0, 0)
        except QueryFailed as problem:
            error = problem
        else:
            if answer.is_selectable or not until_selectable:
                return _found(answer, host)
        await asyncio.sleep(_PAUSE_SECONDS)
    raise TimeoutError(f"no such answer; the last error: {error}")


def _found(answer: TimeAnswer, host: HostClock) -> dict[str, object]:
    low_ns, high_ns, *_ = answer.estimate
    return {
        "stratum": answer.stratum,
        "leap": answer.leap,
        "is_selectable": answer.is_selectable,
        "holds_the_truth": low_ns <= host.now().unix_minus_steady_ns <= high_ns,
        "width_seconds": (high_ns - low_ns) / 1e9,
    }


if __name__ == "__main__":
    json.dump(asyncio.run(ask(until_selectable="--until-selectable" in sys.argv)), sys.stdout)
