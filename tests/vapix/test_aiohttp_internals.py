"""Each private part of aiohttp that we use: a test that fails names what aiohttp changed."""

import asyncio
import inspect
from typing import Any

import aiohttp
import pytest
from aiohttp.client_proto import ResponseHandler
from yarl import URL

from exporter.vapix.aiohttp_internals import LeanResponseHandler, ZonelessRequest
from exporter.vapix.connection import GuardedConnection, open_session
from tests.vapix.raw_device import at_once, client_of, servers_max

ADVICE = "aiohttp changed: adapt exporter/vapix/aiohttp_internals.py"


async def test_a_response_handler_keeps_its_state_where_we_reset_it() -> None:
    handler = ResponseHandler(asyncio.get_running_loop())
    for name in ("_parser", "_payload", "_buffer"):
        assert hasattr(handler, name), f"ResponseHandler.{name} is gone. {ADVICE}"
    assert handler._parser is None, ADVICE
    assert handler._payload is None, ADVICE


async def test_a_response_handler_is_closed_if_its_queue_is_not_empty() -> None:
    handler = LeanResponseHandler(asyncio.get_running_loop())
    handler.drop_last_response()
    assert not handler.should_close, f"an empty _buffer no longer means idle. {ADVICE}"


async def test_the_connector_makes_its_connections_with_our_factory() -> None:
    async with open_session() as session:
        connector = session.connector
        assert connector is not None
        assert "_factory" in vars(connector), f"BaseConnector._factory is gone. {ADVICE}"
    made: list[GuardedConnection] = []
    init = GuardedConnection.__init__

    def note(self: GuardedConnection, loop: asyncio.AbstractEventLoop) -> None:
        made.append(self)
        init(self, loop)

    GuardedConnection.__init__ = note  # type: ignore[method-assign]
    try:
        async with client_of(at_once) as client:
            await servers_max(client)
    finally:
        GuardedConnection.__init__ = init  # type: ignore[method-assign]
    assert len(made) == 1, f"the connector does not call its _factory. {ADVICE}"


async def test_the_connector_keeps_idle_connections_where_we_count_them() -> None:
    async with client_of(at_once) as client:
        await servers_max(client)
        idle: Any = client._session.connector
        [[(connection, _)]] = idle._conns.values()
        await servers_max(client)
        [[(used_again, _)]] = idle._conns.values()
        assert used_again is connection, f"BaseConnector._conns changed. {ADVICE}"
        assert idle._cleanup_handle is not None, f"_cleanup is not called any more. {ADVICE}"


@pytest.mark.parametrize(
    ("url", "host", "server_name"),
    [
        ("https://[fe80::1%25eth0]:8443/", "[fe80::1]:8443", "fe80::1"),
        ("https://camera.example/", "camera.example", None),
    ],
)
async def test_a_request_shows_the_server_no_zone(
    url: str, host: str, server_name: str | None
) -> None:
    loop = asyncio.get_running_loop()
    request = ZonelessRequest("GET", URL(url, encoded=True), loop=loop)
    shown = (request.headers["Host"], request.server_hostname)
    assert shown == (host, server_name), f"ClientRequest has no server_hostname any more. {ADVICE}"


def test_a_request_is_sent_by_its_method_send() -> None:
    send = inspect.signature(aiohttp.ClientRequest.send)
    assert list(send.parameters) == ["self", "conn"], f"ClientRequest.send changed. {ADVICE}"


async def test_the_hook_runs_on_each_request_before_its_first_byte() -> None:
    async with client_of(at_once) as client:
        for _ in range(2):
            _, times = await client.get_info()
            (response,) = times.responses
            assert 0 < response.sent_ns < response.received_ns, f"before_send did not run. {ADVICE}"
