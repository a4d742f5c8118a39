"""Faults that show on the wire, over real sockets."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from exporter.simulator.device import SimulatedDevice
from exporter.simulator.faults import FAULTS
from exporter.simulator.server import serve
from tests.simulator.raw_client import Connection, Digest, Response, call, connect, log_in, until

INFO = call("getNTPInfo")
CHANGE = call("setNTPClientConfiguration", params={"enabled": False})

Open = Callable[[str, str], AbstractAsyncContextManager[tuple[SimulatedDevice, Connection]]]


@asynccontextmanager
async def faulty(
    fault: str, auth: str = "none"
) -> AsyncIterator[tuple[SimulatedDevice, Connection]]:
    device = SimulatedDevice("cam-1", auth=auth, fault=fault)
    async with serve(device) as served, await connect(served.address) as connection:
        yield device, connection


async def answer(fault: str) -> Response:
    async with faulty(fault) as (_, connection):
        return await connection.ask(INFO)


@pytest.mark.parametrize(
    ("fault", "status"),
    [("not_found", 404), ("http_503", 503), ("wrong_role_403", 403), ("redirect", 302)],
)
async def test_an_http_error_has_apaches_html(fault: str, status: int) -> None:
    response = await answer(fault)
    assert response.status == status
    assert response.one("Content-Type").startswith("text/html")
    assert response.body.startswith(b"<!DOCTYPE HTML")
    assert response.one("Date")


async def test_a_redirect_points_to_another_address() -> None:
    assert (await answer("redirect")).one("Location") == "http://192.0.2.1/elsewhere"


async def test_a_factory_new_device_has_axis_setup_and_no_challenge() -> None:
    response = await answer("factory_new")
    assert (response.status, response.one("Axis-Setup")) == (401, "vapix")
    assert response.all("WWW-Authenticate") == []


@pytest.mark.parametrize("fault", ["not_found", "wrong_role_403", "not_json"])
async def test_errors_after_authentication_need_the_password(fault: str) -> None:
    async with faulty(fault, "digest") as (device, connection):
        await log_in(connection, INFO)
    assert device.requests.authorized == 1


async def test_an_internal_error_is_http_500_with_json() -> None:
    response = await answer("api_error_1000")
    assert (response.status, response.document["error"]["code"]) == (500, 1000)
    assert response.one("Content-Type") == "application/json"


async def test_not_json_is_html_with_status_200() -> None:
    response = await answer("not_json")
    assert (response.status, response.one("Content-Type")[:9]) == (200, "text/html")
    assert response.body.startswith(b"<html>")


async def test_truncated_json_is_a_complete_http_response() -> None:
    async with faulty("truncated_json") as (_, connection):
        response = await connection.ask(INFO)
        assert (await connection.ask(INFO)).status == 200
    assert response.body.startswith(b'{"apiVersion"')
    with pytest.raises(json.JSONDecodeError):
        assert response.document


async def test_a_truncated_body_is_shorter_than_announced() -> None:
    async with faulty("truncated_body") as (_, connection):
        await connection.send(INFO)
        head, _, body = (await connection.rest()).partition(b"\r\n\r\n")
    announced = int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])
    assert 0 < len(body) < announced


async def test_a_wrong_shape_is_json_whose_data_is_a_list() -> None:
    response = await answer("wrong_shape")
    assert isinstance(response.document["data"], list)


async def test_a_huge_body_is_valid_except_for_its_size() -> None:
    response = await answer("huge_body")
    assert len(response.body) == 4 * 1024 * 1024
    assert response.document["data"]["client"]["synced"] is True


@pytest.mark.parametrize(("fault", "has_head"), [("slow_headers", False), ("slow_body", True)])
async def test_slow_replies_come_one_byte_at_a_time(fault: str, *, has_head: bool) -> None:
    async with faulty(fault) as (_, connection):
        await connection.send(INFO)
        async with asyncio.timeout(10):
            start = await connection.reader.readuntil(b"\r\n\r\n" if has_head else b"X-Slow: ")
            assert start.startswith(b"HTTP/1.1 200 OK\r\nDate: ")
            byte = b" " if has_head else b"w"
            assert await connection.reader.readexactly(2) == byte * 2


@pytest.mark.parametrize("fault", ["slow_headers", "slow_body", "hang"])
async def test_an_endless_reply_ends_when_the_client_disconnects(fault: str) -> None:
    device = SimulatedDevice("cam-1", auth="none", fault=fault)
    async with serve(device) as served:
        before = asyncio.all_tasks()
        async with await connect(served.address) as connection:
            await connection.send(INFO)
            await until(lambda: device.requests.total == 1)
        await until(lambda: asyncio.all_tasks() == before)


async def test_hang_reads_the_request_and_sends_nothing() -> None:
    async with faulty("hang") as (device, connection):
        await connection.send(INFO)
        await until(lambda: device.requests.total == 1)
        assert device.requests.last.body == INFO
        reading = asyncio.ensure_future(connection.reader.read(1))
        device.fault = None
        async with await connect_like(connection) as other:
            assert (await other.ask(INFO)).status == 200
        assert not reading.done()
        reading.cancel()


async def test_drop_closes_the_connection_without_a_response() -> None:
    async with faulty("drop") as (device, connection):
        await connection.send(INFO)
        assert await connection.rest() == b""
    assert device.requests.total == 1


async def test_close_after_401_closes_without_a_connection_header() -> None:
    async with faulty("close_after_401", "digest") as (_, connection):
        response = await connection.ask(INFO)
        assert (response.status, response.all("Connection")) == (401, [])
        assert await connection.rest() == b""
        challenge = response.one("WWW-Authenticate")
        async with await connect_like(connection) as other:
            granted = await other.ask(INFO, Authorization=Digest().authorization(challenge))
            assert granted.status == 200
            assert (await other.ask(INFO)).status == 401


async def test_unauthorized_rejects_the_right_password() -> None:
    async with faulty("unauthorized", "digest") as (device, connection):
        response = await log_in(connection, INFO)
    assert response.status == 401
    assert "stale" not in response.one("WWW-Authenticate")
    assert device.requests.authorized == 0


async def test_stale_every_request_rejects_every_nonce_and_sends_a_new_one() -> None:
    async with faulty("stale_every_request", "digest") as (_, connection):
        first = await log_in(connection, INFO)
        challenge = first.one("WWW-Authenticate")
        second = await connection.ask(INFO, Authorization=Digest().authorization(challenge))
    assert "stale=true" in challenge
    assert "stale=true" in second.one("WWW-Authenticate")
    assert second.one("WWW-Authenticate") != challenge


async def test_basic_comes_before_digest() -> None:
    async with faulty("basic_before_digest", "digest") as (_, connection):
        offered = (await connection.ask(INFO)).all("WWW-Authenticate")
        assert [challenge.split()[0] for challenge in offered] == ["Basic", "Digest"]
        assert (await log_in(connection, INFO)).status == 200


async def test_set_drop_makes_the_change_without_a_response() -> None:
    async with faulty("set_drop") as (device, connection):
        assert (await connection.ask(INFO)).document["data"]["client"]["enabled"] is True
        await connection.send(CHANGE)
        assert await connection.rest() == b""
    assert device.client.configuration.enabled is False


async def test_set_hang_makes_the_change_and_sends_nothing() -> None:
    async with faulty("set_hang") as (device, connection):
        await connection.send(CHANGE)
        await until(lambda: device.requests.total == 1)
        assert device.client.configuration.enabled is False
        reading = asyncio.ensure_future(connection.reader.read(1))
        async with await connect_like(connection) as other:
            assert (await other.ask(INFO)).document["data"]["client"]["enabled"] is False
        assert not reading.done()
        reading.cancel()


async def test_a_missing_date_is_missing_on_the_wire() -> None:
    assert (await answer("date_absent")).all("Date") == []


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_device_is_healthy_after_its_fault_is_removed(fault: str) -> None:
    async with faulty(fault) as (device, connection):
        device.fault = None
        assert (await connection.ask(INFO)).document["data"]["client"]["synced"] is True


def test_every_fault_has_a_short_description() -> None:
    for name, fault in FAULTS.items():
        assert fault.name == name
        assert 0 < len(fault.description) < 80


async def connect_like(connection: Connection) -> Connection:
    host, port = connection.writer.get_extra_info("peername")
    return await connect(f"{host}:{port}")
