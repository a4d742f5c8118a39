"""The client against Apache httpd with mod_auth_digest, the web server of the devices."""

from __future__ import annotations

import asyncio
import time

import pytest

from exporter.vapix.client import NtpClient
from exporter.vapix.errors import Unauthorized
from exporter.vapix.http_auth import Policy
from tests.real.conftest import StartApache
from tests.support.apache import Request
from tests.support.apache_client import ClientSettings, client_of
from tests.support.apache_config import BASIC_TOO, PASSWORD, ApacheSettings


async def polled(client: NtpClient, times: int) -> None:
    for _ in range(times):
        await client.get_info()


def statuses(requests: list[Request]) -> list[int]:
    return [request.status for request in requests]


async def test_a_digest_handshake_gives_a_reading(start_apache: StartApache) -> None:
    async with client_of(start_apache(ApacheSettings())) as client:
        reading = await client.get_info()
    assert reading.client is not None
    assert reading.client.offset_seconds == pytest.approx(0.0000211)


async def test_steady_state_is_one_request_a_poll(start_apache: StartApache) -> None:
    apache = start_apache(ApacheSettings())
    async with client_of(apache) as client:
        await polled(client, 20)
    assert statuses(apache.requests()) == [401] + 20 * [200]


async def test_twenty_polls_need_one_connection(start_apache: StartApache) -> None:
    apache = start_apache(ApacheSettings())
    async with client_of(apache) as client:
        await polled(client, 20)
    assert [request.kept for request in apache.requests()] == list(range(21))


async def test_the_nonce_is_reused_with_a_rising_count(start_apache: StartApache) -> None:
    apache = start_apache(ApacheSettings())
    async with client_of(apache) as client:
        await polled(client, 20)
    answered = apache.requests()[1:]
    assert len({request.digest("nonce") for request in answered}) == 1
    assert [int(request.digest("nc"), 16) for request in answered] == list(range(1, 21))


async def test_a_nonce_that_died_between_polls_costs_a_request_but_no_failure(
    start_apache: StartApache,
) -> None:
    apache = start_apache(ApacheSettings(nonce_lifetime_seconds=2))
    async with client_of(apache) as client:
        await client.get_info()
        await asyncio.sleep(2.1)
        await client.get_info()
    requests = apache.requests()
    assert statuses(requests) == [401, 200, 401, 200]
    assert "stale=true" in (requests[2].challenge or "")


@pytest.mark.asyncio(loop_factories=["uvloop"])
async def test_nextnonce_spares_the_handshakes_of_a_short_nonce_lifetime(
    start_apache: StartApache,
) -> None:
    apache = start_apache(ApacheSettings(nonce_lifetime_seconds=3))
    polls, end = 0, time.monotonic() + 4
    async with client_of(apache) as client:
        while time.monotonic() < end:
            await client.get_info()
            await asyncio.sleep(0.25)
            polls += 1
    assert statuses(apache.requests()) == [401] + polls * [200]


async def test_one_time_nonces_cost_one_request_a_poll(start_apache: StartApache) -> None:
    apache = start_apache(ApacheSettings(nonce_lifetime_seconds=0))
    async with client_of(apache) as client:
        await polled(client, 20)
    requests = apache.requests()
    assert statuses(requests) == [401] + 20 * [200]
    assert len({request.digest("nonce") for request in requests[1:]}) == 20


async def test_a_wrong_password_is_unauthorized(start_apache: StartApache) -> None:
    apache = start_apache(ApacheSettings())
    async with client_of(apache, ClientSettings(password="wrong")) as client:
        with pytest.raises(Unauthorized, match="refused the username or password") as refusal:
            await client.get_info()
    assert refusal.value.code == 401


async def test_a_wrong_password_is_tried_once_a_poll(start_apache: StartApache) -> None:
    apache = start_apache(ApacheSettings())
    async with client_of(apache, ClientSettings(password="wrong")) as client:
        with pytest.raises(Unauthorized):
            await client.get_info()
    assert [r.authorization is not None for r in apache.requests()] == [False, True]


async def test_a_password_mended_on_the_device_works_at_the_next_poll(
    start_apache: StartApache,
) -> None:
    apache = start_apache(ApacheSettings())
    apache.set_password("another")
    async with client_of(apache) as client:
        with pytest.raises(Unauthorized):
            await client.get_info()
        apache.set_password(PASSWORD)
        await client.get_info()


async def test_a_password_changed_under_a_living_nonce_is_unauthorized(
    start_apache: StartApache,
) -> None:
    apache = start_apache(ApacheSettings())
    async with client_of(apache) as client:
        await client.get_info()
        apache.set_password("another")
        with pytest.raises(Unauthorized, match="refused the username or password"):
            await client.get_info()


async def test_a_connection_that_idled_out_costs_a_new_one_and_no_failure(
    start_apache: StartApache,
) -> None:
    apache = start_apache(ApacheSettings(keepalive_timeout_seconds=1))
    async with client_of(apache) as client:
        await client.get_info()
        await asyncio.to_thread(apache.wait_until_idle_connections_end)
        await client.get_info()
    *before, after = [request.connection for request in apache.requests()]
    assert after not in before


async def test_a_connection_closed_unnoticed_costs_a_new_one_and_no_failure(
    start_apache: StartApache,
) -> None:
    apache = start_apache(ApacheSettings(keepalive_timeout_seconds=1))
    async with client_of(apache) as client:
        await client.get_info()
        # The event loop is held up meanwhile: it cannot see the connection end.
        apache.wait_until_idle_connections_end()
        await client.get_info()
    assert statuses(apache.requests()) == [401, 200, 200]


async def test_a_nonce_outlives_its_connection(start_apache: StartApache) -> None:
    apache = start_apache(ApacheSettings(keepalive_timeout_seconds=1))
    async with client_of(apache) as client:
        await client.get_info()
        await asyncio.to_thread(apache.wait_until_idle_connections_end)
        await client.get_info()
    assert [r.digest("nc") for r in apache.requests()[1:]] == ["00000001", "00000002"]


async def test_a_device_that_restarted_between_polls_costs_no_failure(
    start_apache: StartApache,
) -> None:
    before = start_apache(ApacheSettings())
    async with client_of(before) as client:
        await client.get_info()
        before.program.stop()
        after = start_apache(ApacheSettings(port=before.port))
        await client.get_info()
    # The old connection is gone, and so is the secret that the old nonce was made with.
    assert statuses(after.requests()) == [401, 200]


async def test_a_device_that_closes_after_its_challenge_is_read(start_apache: StartApache) -> None:
    apache = start_apache(ApacheSettings(directives=('SetEnvIf Authorization "^$" nokeepalive',)))
    async with client_of(apache) as client:
        await polled(client, 3)
    assert [request.kept for request in apache.requests()] == [0, 0, 1, 2]


@pytest.mark.parametrize("directive", ["MaxKeepAliveRequests 3", "KeepAlive Off"])
async def test_a_device_that_ends_its_connections_early_is_one_request_a_poll(
    start_apache: StartApache, directive: str
) -> None:
    apache = start_apache(ApacheSettings(directives=(directive,)))
    async with client_of(apache) as client:
        await polled(client, 20)
    assert statuses(apache.requests()) == [401] + 20 * [200]


async def test_digest_is_chosen_where_basic_is_offered_too(start_apache: StartApache) -> None:
    apache = start_apache(ApacheSettings(directives=(BASIC_TOO,)))
    async with client_of(apache) as client:
        await client.get_info()
    assert [(r.authorization or "")[:7] for r in apache.requests()] == ["", "Digest "]


@pytest.mark.parametrize("policy", ["auto", "basic", "digest"])
async def test_no_password_goes_to_a_device_that_offers_basic_over_plain_http(
    start_apache: StartApache, policy: Policy
) -> None:
    apache = start_apache(ApacheSettings(auth="basic"))
    async with client_of(apache, ClientSettings(policy=policy)) as client:
        with pytest.raises(Unauthorized):
            await client.get_info()
    assert [(r.status, r.authorization) for r in apache.requests()] == [(401, None)]
