"""The client against Apache httpd with mod_auth_digest, the web server of the devices."""

from __future__ import annotations

import asyncio
import time

import pytest

from exporter.vapix.client import NtpClient
from exporter.vapix.errors import Unauthorized
from exporter.vapix.http_auth import Policy
from tests.real.conftest import StartApache
from tests.support.apache import LoggedRequest
from tests.support.apache_client import ClientOptions, open_client
from tests.support.apache_config import BASIC_TOO, PASSWORD, ApacheSettings


async def poll(client: NtpClient, times: int) -> None:
    for _ in range(times):
        await client.get_info()


def statuses(requests: list[LoggedRequest]) -> list[int]:
    return [request.status for request in requests]


async def test_a_digest_handshake_gives_a_reading(start_apache: StartApache) -> None:
    async with open_client(start_apache(ApacheSettings())) as client:
        reading = (await client.get_info()).value
    assert reading.client is not None
    assert reading.client.status.reported_offset_seconds == pytest.approx(0.0000211)


async def test_in_steady_state_a_poll_is_one_request(start_apache: StartApache) -> None:
    apache = start_apache(ApacheSettings())
    async with open_client(apache) as client:
        await poll(client, 20)
    assert statuses(apache.requests()) == [401] + 20 * [200]


async def test_twenty_polls_use_one_connection(start_apache: StartApache) -> None:
    apache = start_apache(ApacheSettings())
    async with open_client(apache) as client:
        await poll(client, 20)
    assert [request.kept for request in apache.requests()] == list(range(21))


async def test_the_nonce_is_reused_with_a_rising_count(start_apache: StartApache) -> None:
    apache = start_apache(ApacheSettings())
    async with open_client(apache) as client:
        await poll(client, 20)
    answered = apache.requests()[1:]
    assert len({request.digest("nonce") for request in answered}) == 1
    assert [int(request.digest("nc"), 16) for request in answered] == list(range(1, 21))


async def test_an_expired_nonce_costs_a_request_but_no_failure(
    start_apache: StartApache,
) -> None:
    apache = start_apache(ApacheSettings(nonce_lifetime_seconds=2))
    async with open_client(apache) as client:
        await client.get_info()
        await asyncio.sleep(2.1)
        await client.get_info()
    requests = apache.requests()
    assert statuses(requests) == [401, 200, 401, 200]
    assert "stale=true" in (requests[2].challenge or "")


@pytest.mark.asyncio(loop_factories=["uvloop"])
async def test_nextnonce_saves_the_challenges_of_short_lived_nonces(
    start_apache: StartApache,
) -> None:
    apache = start_apache(ApacheSettings(nonce_lifetime_seconds=3))
    polls, end = 0, time.monotonic() + 4
    async with open_client(apache) as client:
        while time.monotonic() < end:
            await client.get_info()
            await asyncio.sleep(0.25)
            polls += 1
    assert statuses(apache.requests()) == [401] + polls * [200]


async def test_one_time_nonces_cost_one_request_a_poll(start_apache: StartApache) -> None:
    apache = start_apache(ApacheSettings(nonce_lifetime_seconds=0))
    async with open_client(apache) as client:
        await poll(client, 20)
    requests = apache.requests()
    assert statuses(requests) == [401] + 20 * [200]
    assert len({request.digest("nonce") for request in requests[1:]}) == 20


async def test_a_wrong_password_is_unauthorized(start_apache: StartApache) -> None:
    apache = start_apache(ApacheSettings())
    async with open_client(apache, ClientOptions(password="wrong")) as client:
        with pytest.raises(Unauthorized, match="refused the username or password") as refusal:
            await client.get_info()
    assert refusal.value.code == 401


async def test_a_wrong_password_is_tried_once_a_poll(start_apache: StartApache) -> None:
    apache = start_apache(ApacheSettings())
    async with open_client(apache, ClientOptions(password="wrong")) as client:
        with pytest.raises(Unauthorized):
            await client.get_info()
    assert [r.authorization is not None for r in apache.requests()] == [False, True]


async def test_a_corrected_password_works_at_the_next_poll(
    start_apache: StartApache,
) -> None:
    apache = start_apache(ApacheSettings())
    apache.set_password("another")
    async with open_client(apache) as client:
        with pytest.raises(Unauthorized):
            await client.get_info()
        apache.set_password(PASSWORD)
        await client.get_info()


async def test_a_password_changed_while_the_nonce_is_valid_is_unauthorized(
    start_apache: StartApache,
) -> None:
    apache = start_apache(ApacheSettings())
    async with open_client(apache) as client:
        await client.get_info()
        apache.set_password("another")
        with pytest.raises(Unauthorized, match="refused the username or password"):
            await client.get_info()


async def test_an_idle_connection_closed_by_the_device_is_no_failure(
    start_apache: StartApache,
) -> None:
    apache = start_apache(ApacheSettings(keepalive_timeout_seconds=1))
    async with open_client(apache) as client:
        await client.get_info()
        await asyncio.to_thread(apache.wait_until_idle_connections_end)
        await client.get_info()
    *before, after = [request.connection for request in apache.requests()]
    assert after not in before


async def test_a_connection_closed_while_the_loop_is_blocked_is_no_failure(
    start_apache: StartApache,
) -> None:
    apache = start_apache(ApacheSettings(keepalive_timeout_seconds=1))
    async with open_client(apache) as client:
        await client.get_info()
        # This blocks the event loop, so it does not notice that the connection is closed.
        apache.wait_until_idle_connections_end()
        await client.get_info()
    assert statuses(apache.requests()) == [401, 200, 200]


async def test_a_nonce_outlives_its_connection(start_apache: StartApache) -> None:
    apache = start_apache(ApacheSettings(keepalive_timeout_seconds=1))
    async with open_client(apache) as client:
        await client.get_info()
        await asyncio.to_thread(apache.wait_until_idle_connections_end)
        await client.get_info()
    assert [r.digest("nc") for r in apache.requests()[1:]] == ["00000001", "00000002"]


async def test_a_device_that_restarts_between_polls_is_no_failure(
    start_apache: StartApache,
) -> None:
    before = start_apache(ApacheSettings())
    async with open_client(before) as client:
        await client.get_info()
        before.program.stop()
        after = start_apache(ApacheSettings(port=before.port))
        await client.get_info()
    # The old connection is closed, and the new server does not know the old nonce.
    assert statuses(after.requests()) == [401, 200]


async def test_a_device_that_closes_after_a_challenge_is_polled(start_apache: StartApache) -> None:
    apache = start_apache(ApacheSettings(directives=('SetEnvIf Authorization "^$" nokeepalive',)))
    async with open_client(apache) as client:
        await poll(client, 3)
    assert [request.kept for request in apache.requests()] == [0, 0, 1, 2]


@pytest.mark.parametrize("directive", ["MaxKeepAliveRequests 3", "KeepAlive Off"])
async def test_with_short_connections_a_poll_is_still_one_request(
    start_apache: StartApache, directive: str
) -> None:
    apache = start_apache(ApacheSettings(directives=(directive,)))
    async with open_client(apache) as client:
        await poll(client, 20)
    assert statuses(apache.requests()) == [401] + 20 * [200]


async def test_digest_is_preferred_to_basic(start_apache: StartApache) -> None:
    apache = start_apache(ApacheSettings(directives=(BASIC_TOO,)))
    async with open_client(apache) as client:
        await client.get_info()
    assert [(r.authorization or "")[:7] for r in apache.requests()] == ["", "Digest "]


@pytest.mark.parametrize("policy", ["auto", "basic", "digest"])
async def test_no_password_goes_to_a_device_that_offers_basic_over_plain_http(
    start_apache: StartApache, policy: Policy
) -> None:
    apache = start_apache(ApacheSettings(auth="basic"))
    async with open_client(apache, ClientOptions(policy=policy)) as client:
        with pytest.raises(Unauthorized):
            await client.get_info()
    assert [(r.status, r.authorization) for r in apache.requests()] == [(401, None)]
