"""A request waits on its ready connection for its time to leave."""

import asyncio

import pytest

from exporter.clock.host import steady_ns
from exporter.clock.phase import SHORTEST_HOLD_NS
from exporter.vapix.client import NtpClient
from exporter.vapix.errors import PollTimeout
from exporter.vapix.tls import TlsSettings, make_ssl_context
from tests.vapix.raw_device import answer, at_once, client_of, read_request


async def leaves_late_by_ns(client: NtpClient, wait_ns: int) -> int:
    send_at_ns = steady_ns() + wait_ns
    _, times = await client.get_info(send_at_ns=send_at_ns)
    (response,) = times.responses
    return response.sent_ns - send_at_ns


@pytest.mark.parametrize("wait_ms", [10, 150])
async def test_a_request_leaves_at_its_time(wait_ms: int) -> None:
    async with client_of(at_once) as client:
        late = [await leaves_late_by_ns(client, wait_ms * 1_000_000) for _ in range(5)]
    assert all(each > -SHORTEST_HOLD_NS for each in late)
    # A busy machine wakes us late: the least disturbed request counts.
    assert min(late) < 8_000_000


async def test_a_call_returns_how_long_its_request_was_held() -> None:
    async with client_of(at_once) as client:
        begun_ns = steady_ns()
        _, (responses, held_ns) = await client.get_info(send_at_ns=begun_ns + 100_000_000)
    assert 50_000_000 < held_ns < responses[0].sent_ns - begun_ns


async def test_a_time_in_the_past_holds_no_request() -> None:
    async with client_of(at_once) as client:
        _, times = await client.get_info(send_at_ns=steady_ns() - 1)
    assert times.held_ns == 0


async def test_holding_a_request_does_not_count_against_the_timeout() -> None:
    async with client_of(at_once) as client:
        send_at_ns = steady_ns() + 300_000_000
        _, times = await client.get_info(timeout_seconds=0.2, send_at_ns=send_at_ns)
    assert times.held_ns > 200_000_000


async def test_the_timeout_applies_after_the_request_was_held() -> None:
    async def device(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        await reader.read()

    async with client_of(device) as client:
        with pytest.raises(PollTimeout, match=r"timed out after 0\.2 s waiting for the response"):
            await client.get_info(timeout_seconds=0.2, send_at_ns=steady_ns() + 100_000_000)


async def test_the_time_before_a_connection_counts_against_the_timeout_in_full() -> None:
    async def device(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()  # and no answer to the TLS handshake

    async with client_of(device, make_ssl_context(TlsSettings())) as client, asyncio.timeout(10):
        with pytest.raises(PollTimeout, match=r"timed out after 0\.2 s connecting"):
            await client.get_info(timeout_seconds=0.2, send_at_ns=steady_ns() + 60 * 10**9)


async def test_a_kept_connection_that_ends_during_the_hold_costs_only_a_reconnect() -> None:
    served = 0

    async def device(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal served
        served += 1
        await read_request(reader)
        writer.write(answer())
        await asyncio.sleep(0.05)  # the device ends an idle connection, as Apache does after 5 s

    async with client_of(device) as client:
        await client.get_info()
        _, times = await client.get_info(send_at_ns=steady_ns() + 200_000_000)
    assert served == 2
    assert times.held_ns > 150_000_000
