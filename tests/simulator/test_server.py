"""Healthy devices over real sockets."""

import asyncio
import http.client
import time
from collections.abc import AsyncIterator
from email.utils import parsedate_to_datetime

import pytest

from exporter.simulator.api import MAXIMUM_BODY_BYTES
from exporter.simulator.certificates import make_identity
from exporter.simulator.device import SimulatedDevice
from exporter.simulator.server import ServedDevice, serve
from tests.simulator.conftest import nonce_microseconds
from tests.simulator.raw_client import (
    Digest,
    basic,
    call,
    connect,
    log_in,
    parameters,
    trusting_context,
    until,
)

INFO = call("getNTPInfo")


@pytest.fixture
async def served() -> AsyncIterator[ServedDevice]:
    async with serve(SimulatedDevice("cam-1", auth="digest")) as one:
        yield one


async def test_a_digest_login_takes_two_requests_on_one_connection(served: ServedDevice) -> None:
    async with await connect(served.address) as connection:
        response = await log_in(connection, INFO)
    assert response.document["data"]["client"]["synced"] is True
    seen = served.device.requests
    assert (seen.connections, seen.total, seen.authorized) == (1, 2, 1)
    assert seen.statuses == {401: 1, 200: 1}
    assert seen.api_methods == {"getNTPInfo": 1}
    assert seen.last.authorization is not None
    assert seen.last.authorization.startswith('Digest username="root"')
    assert (seen.last.body, seen.last.content_type) == (INFO, "application/json")


async def test_the_counters_can_be_reset(served: ServedDevice) -> None:
    async with await connect(served.address) as connection:
        await log_in(connection, INFO)
        served.device.requests.clear()
        await connection.ask(INFO)
    assert (served.device.requests.total, served.device.requests.connections) == (1, 0)


async def test_only_the_last_few_requests_are_remembered(served: ServedDevice) -> None:
    async with await connect(served.address) as connection:
        for _ in range(20):
            await connection.ask(INFO)
    assert served.device.requests.total == 20
    assert len(served.device.requests.recent) == 8


async def test_every_response_has_the_headers_of_the_devices_apache(served: ServedDevice) -> None:
    async with await connect(served.address) as connection:
        refused = await connection.ask(INFO)
        granted = await connection.ask(
            INFO, Authorization=Digest().authorization(refused.one("WWW-Authenticate"))
        )
    for response in (refused, granted):
        assert response.one("Server") == "Apache/2.4.68 (Unix) OpenSSL/3.0.17"
        assert len(response.all("Date")) == 1
    assert granted.one("Content-Type") == "application/json"


async def test_date_and_nonce_lie_between_request_and_response_on_the_devices_clock(
    served: ServedDevice,
) -> None:
    served.device.clock.step(-123.456)
    async with await connect(served.address) as connection:
        before = time.time_ns() // 1_000 - 123_456_000
        response = await connection.ask(INFO)
        after = time.time_ns() // 1_000 - 123_456_000
    read = nonce_microseconds(parameters(response.one("WWW-Authenticate"))["nonce"])
    assert before <= read <= after
    date = parsedate_to_datetime(response.one("Date")).timestamp()
    assert date == read // 1_000_000


async def test_pythons_http_client_understands_the_responses(served: ServedDevice) -> None:
    def ask() -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(served.address, timeout=10)
        connection.request("POST", "/axis-cgi/ntp.cgi", INFO)
        response = connection.getresponse()
        try:
            return response.status, response.read()
        finally:
            connection.close()

    status, body = await asyncio.to_thread(ask)
    assert (status, body[:14]) == (401, b"<!DOCTYPE HTML")


async def test_an_idle_connection_is_closed_after_the_keepalive_time() -> None:
    device = SimulatedDevice("cam-1", auth="none")
    async with serve(device, keepalive_seconds=0.05) as one, await connect(one.address) as line:
        assert (await line.ask(INFO)).status == 200
        assert await line.rest() == b""


async def test_a_connection_stays_open_by_default(served: ServedDevice) -> None:
    async with await connect(served.address) as connection:
        assert (await connection.ask(INFO)).all("Connection") == []
        assert (await connection.ask(INFO)).status == 401
    assert served.device.requests.connections == 1


async def test_a_connection_is_closed_on_request(served: ServedDevice) -> None:
    async with await connect(served.address) as connection:
        response = await connection.ask(INFO, Connection="close")
        assert response.one("Connection") == "close"
        assert await connection.rest() == b""


async def test_a_too_large_body_returns_error_2001() -> None:
    async with (
        serve(SimulatedDevice("cam-1", auth="none")) as one,
        await connect(one.address) as connection,
    ):
        response = await connection.ask(b"x" * (MAXIMUM_BODY_BYTES + 1))
        assert response.document["error"]["code"] == 2001
        # The unread rest of the body doesn't disturb the next request.
        assert (await connection.ask(INFO)).document["apiVersion"] == "1.5"


async def test_a_response_to_head_has_no_body() -> None:
    async with (
        serve(SimulatedDevice("cam-1", auth="none")) as one,
        await connect(one.address) as connection,
    ):
        await connection.send(b"", method="HEAD")
        await connection.send(INFO, Connection="close")
        answers = await connection.rest()
    assert answers.startswith(b"HTTP/1.1 405")
    assert b"\r\n\r\nHTTP/1.1 200" in answers


async def test_the_error_for_a_used_port_names_the_address(served: ServedDevice) -> None:
    with pytest.raises(OSError, match=rf"{served.address}: Address already in use"):
        async with serve(SimulatedDevice("cam-2"), port=served.port):
            pass


async def test_a_device_can_be_served_over_ipv6() -> None:
    async with serve(SimulatedDevice("cam-1", auth="none"), host="::1") as one:
        assert one.address.startswith("[::1]:")
        async with await connect(one.address) as connection:
            assert (await connection.ask(INFO)).status == 200


@pytest.mark.parametrize(("host", "reached"), [("0.0.0.0", "127.0.0.1"), ("::", "[::1]")])
async def test_a_device_can_be_served_on_every_address_of_the_host(host: str, reached: str) -> None:
    async with (
        serve(SimulatedDevice("cam-1", auth="none"), host=host) as one,
        await connect(f"{reached}:{one.port}") as connection,
    ):
        assert (await connection.ask(INFO)).status == 200


async def test_a_device_can_be_served_over_tls_with_basic() -> None:
    device = SimulatedDevice("cam-1")
    tls = make_identity(device.mac).server_context()
    async with (
        serve(device, tls=tls) as one,
        await connect(one.address, trusting_context()) as connection,
    ):
        refused = await connection.ask(INFO)
        granted = await connection.ask(INFO, Authorization=basic())
    assert refused.one("WWW-Authenticate") == f'Basic realm="AXIS_{device.mac.upper()}"'
    assert granted.status == 200


async def test_stopping_closes_open_connections() -> None:
    async with serve(SimulatedDevice("cam-1", auth="none")) as one:
        connection = await connect(one.address)
        assert (await connection.ask(INFO)).status == 200
    async with connection:
        assert await connection.rest() == b""
    with pytest.raises(ConnectionRefusedError):
        await connect(one.address)


@pytest.mark.parametrize("fault", ["hang", "slow_headers", "slow_body"])
async def test_stopping_ends_endless_replies(fault: str) -> None:
    tasks = asyncio.all_tasks()
    async with serve(SimulatedDevice("cam-1", auth="none", fault=fault)) as one:
        connection = await connect(one.address)
        await connection.send(INFO)
        await until(lambda: one.device.requests.total)
    async with connection:
        await connection.rest()
    assert asyncio.all_tasks() == tasks
