"""A request that waits on its ready connection for its moment."""

import asyncio

import pytest

from exporter.clock.host import steady_ns
from exporter.clock.phase import SHORTEST_HOLD_NS
from exporter.vapix.client import NtpClient
from exporter.vapix.hold import Hold
from tests.vapix.raw_device import answer, at_once, client_of, read_request


async def leaves_after_ns(client: NtpClient, wait_ns: int) -> int:
    """How long after the moment it was to leave a request left."""
    moment_ns = steady_ns() + wait_ns
    await client.get_info(Hold(moment_ns))
    (sighting,) = client.take_sightings()
    return sighting.sent_ns - moment_ns


@pytest.mark.parametrize("wait_ms", [10, 150])
async def test_a_request_leaves_at_the_moment_it_is_to_leave(wait_ms: int) -> None:
    async with client_of(at_once) as client:
        late = [await leaves_after_ns(client, wait_ms * 1_000_000) for _ in range(5)]
    assert all(each > -SHORTEST_HOLD_NS for each in late)
    # A busy machine wakes us late: the least disturbed one counts.
    assert min(late) < 8_000_000


async def test_how_long_a_request_was_held_is_told() -> None:
    async with client_of(at_once) as client:
        begun_ns, hold = steady_ns(), Hold(steady_ns() + 100_000_000)
        await client.get_info(hold)
        (sighting,) = client.take_sightings()
    assert 50_000_000 < hold.held_ns < sighting.sent_ns - begun_ns


async def test_a_moment_that_has_passed_holds_nothing_back() -> None:
    async with client_of(at_once) as client:
        hold = Hold(steady_ns() - 1)
        await client.get_info(hold)
    assert hold.held_ns == 0


async def test_a_held_request_says_what_it_waits_for() -> None:
    async with client_of(at_once) as client:
        held = asyncio.create_task(client.get_info(Hold(steady_ns() + 60 * 10**9)))
        async with asyncio.timeout(5):
            while client.stage != "connected, waiting for the moment to ask":
                await asyncio.sleep(0.01)
        held.cancel()


async def test_a_timeout_waits_while_a_request_is_held() -> None:
    async with client_of(at_once) as client:
        hold = Hold(steady_ns() + 300_000_000)
        async with asyncio.timeout(0.2) as hold.deadline:
            await client.get_info(hold)
    assert hold.held_ns > 200_000_000


async def test_a_kept_connection_that_ends_while_a_request_is_held_costs_a_reconnect_only() -> None:
    served = 0

    async def device(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal served
        served += 1
        await read_request(reader)
        writer.write(answer())
        await asyncio.sleep(0.05)  # the device ends an idle connection, as Apache does after 5 s

    async with client_of(device) as client:
        await client.get_info()
        hold = Hold(steady_ns() + 200_000_000)
        await client.get_info(hold)
    assert served == 2
    assert hold.held_ns > 150_000_000
