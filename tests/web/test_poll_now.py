"""The button that polls a device now: what it does, and for whom it does nothing."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import TCPConnector
from aiohttp.test_utils import TestClient, TestServer
from yarl import URL

from exporter.devices.device import Device
from exporter.web.pages.assets import device_url, poll_url
from tests.web.pages.site import app_of, device

Client = TestClient[Any, Any]
NAMES = ["lobby", "a/b", "a/poll", ".", "..", 'q"?&=#%2F', "日本"]


class StubPoller:
    """Notes which devices it was asked to poll; a poll lasts until `may_end` is set."""

    def __init__(self) -> None:
        self.polled: list[str] = []
        self.may_end = asyncio.Event()
        self.may_end.set()

    async def poll_now(self, polled: Device) -> None:
        self.polled.append(polled.target.name)
        await self.may_end.wait()


@pytest.fixture
async def poller() -> StubPoller:
    return StubPoller()


@pytest.fixture
async def client(poller: Any, request: pytest.FixtureRequest) -> AsyncIterator[Client]:
    is_loopback_only = getattr(request, "param", False)
    app = app_of(map(device, NAMES), poller, loopback_only=is_loopback_only)
    connector = TCPConnector(limit=0)
    async with TestClient(TestServer(app), connector=connector) as client:
        yield client


async def post(client: Client, name: str, **headers: str) -> tuple[int, str]:
    url = URL(poll_url(name), encoded=True)
    async with client.post(url, headers=headers, allow_redirects=False) as response:
        return response.status, response.headers.get("Location", "")


@pytest.mark.parametrize("name", NAMES)
async def test_a_device_of_any_name_is_polled_and_the_answer_leads_back(
    client: Client, poller: StubPoller, name: str
) -> None:
    own = f"http://{client.host}:{client.port}"
    assert await post(client, name, Origin=own) == (303, device_url(name))
    assert poller.polled == [name]


@pytest.mark.parametrize("name", ["nobody", "", "lobby.example"])
async def test_only_a_configured_device_is_polled_by_its_name(
    client: Client, poller: StubPoller, name: str
) -> None:
    assert (await post(client, name))[0] == 404
    assert poller.polled == []


async def test_a_poll_of_two_devices_at_once_is_a_bad_request(
    client: Client, poller: StubPoller
) -> None:
    async with client.post("/poll?device=lobby&device=a/b") as response:
        assert response.status == 400
    assert poller.polled == []


async def test_a_link_or_a_prefetch_polls_nothing(client: Client, poller: StubPoller) -> None:
    for method in ("GET", "HEAD", "PUT"):
        async with client.request(method, poll_url("lobby")) as response:
            assert response.status == 405
    assert poller.polled == []


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://127.0.0.1.evil", ""])
async def test_a_page_of_another_host_cannot_poll(
    client: Client, poller: StubPoller, origin: str
) -> None:
    assert (await post(client, "lobby", Origin=origin))[0] == 403
    assert poller.polled == []


@pytest.mark.parametrize("client", [True], indirect=True)
async def test_a_foreign_name_that_points_to_loopback_cannot_poll(
    client: Client, poller: StubPoller
) -> None:
    rebound = {"Host": "evil.example", "Origin": "http://evil.example"}
    assert (await post(client, "lobby", **rebound))[0] == 403
    assert poller.polled == []


async def test_a_flood_waits_in_the_room_of_the_probes_and_keeps_nobody_from_a_response(
    client: Client, poller: StubPoller
) -> None:
    poller.may_end.clear()
    asked = [asyncio.create_task(post(client, "lobby")) for _ in range(100)]
    asked += [asyncio.create_task(post(client, "a/b")) for _ in range(150)]
    async with asyncio.timeout(30):
        while sum(each.done() for each in asked) < 50:
            await asyncio.sleep(0.001)
        async with client.get("/device/lobby") as response:
            assert response.status == 200
        poller.may_end.set()
        statuses = [status for status, _ in await asyncio.gather(*asked)]
    assert (statuses.count(303), statuses.count(503)) == (200, 50)


async def test_a_page_sends_its_origin_with_a_form(client: Client) -> None:
    async with client.get("/device/lobby") as response:
        assert response.headers["Referrer-Policy"] == "same-origin"


async def test_no_route_that_changes_something_answers_a_page_of_another_host(
    client: Client,
) -> None:
    app: Any = client.server
    routes = [route for route in app.app.router.routes() if route.method not in ("GET", "HEAD")]
    assert {route.resource.canonical for route in routes} == {"/-/reload", "/poll"}
    for route in routes:
        for headers in ({"Origin": "http://evil.example"}, {"Origin": "null"}):
            url = f"{route.resource.canonical}?device=lobby"
            async with client.request(route.method, url, headers=headers) as response:
                assert response.status == 403
