"""The endpoints of the contract, over a real socket."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from operator import attrgetter
from typing import Any
from unittest.mock import Mock

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics import parser

import exporter.web
from exporter.clock.host import HostClock
from exporter.clock.http_time import ResponseTimes
from exporter.config import Config
from exporter.devices.device import Device, DeviceTarget
from exporter.fleet.registry import Fleet
from exporter.metrics.exposition import Exposition
from exporter.vapix.errors import Unauthorized
from exporter.vapix.ntp_info import Reading
from exporter.web.routes import WebState, make_app
from exporter.web.settings import WebSettings
from tests.support.devices import outcome
from tests.support.readings import ntp_client

NOW = 2000.0
STEADY = 500
parse_openmetrics: Any = parser.text_string_to_metric_families
Client = TestClient[Any, Any]


def device(name: str, **labels: str) -> Device:
    return Device(DeviceTarget(name, f"{name}.example", labels, 60, 10), Any)  # type: ignore[arg-type]


@pytest.fixture
def lobby() -> Device:
    return device("lobby", site="<hq>")


class StubReloader:
    has_all_devices = True
    config = Config()
    discovered = ()

    def __init__(self) -> None:
        self.may_end = asyncio.Event()

    async def reload(self) -> None:
        await self.may_end.wait()


class StubPoller:
    """Polls that last until `may_end` is set."""

    def __init__(self) -> None:
        self.may_end = asyncio.Event()

    async def poll_now(self, _device: Device) -> None:
        await self.may_end.wait()


@pytest.fixture
async def poller() -> StubPoller:
    return StubPoller()


@pytest.fixture
async def reloader() -> StubReloader:
    return StubReloader()


@pytest.fixture
async def client(lobby: Device, poller: Any, reloader: Any) -> AsyncIterator[Client]:
    fleet = Fleet([lobby, device('gate "<script>"')])
    host = HostClock(steady=lambda: STEADY * 10**9, unix=lambda: round(NOW * 1e9))
    exposition = Exposition()
    for each in fleet:
        exposition.refresh(each)
    app = make_app(
        WebState(
            fleet, exposition, CollectorRegistry(), host, reloader, poller, WebSettings((("", 0),))
        )
    )
    # auto_decompress off: the tests need the bytes that were sent.
    async with TestClient(TestServer(app), auto_decompress=False) as client:
        yield client


def poll(device: Device, result: Any) -> None:
    device.state.record(outcome(NOW - 10.5, 0.5, result, STEADY - 10.5))


async def get(
    client: Client, path: str, accept: str = "", encoding: str = "identity"
) -> tuple[aiohttp.ClientResponse, bytes]:
    headers = {"Accept": accept, "Accept-Encoding": encoding}
    response = await client.get(path, headers=headers)
    return response, await response.read()


async def test_healthy_is_200_while_alive(client: Client) -> None:
    response, _ = await get(client, "/-/healthy")
    assert response.status == 200


async def test_ready_is_503_until_every_device_was_polled_with_or_without_success(
    client: Client, lobby: Device
) -> None:
    assert (await get(client, "/-/ready"))[0].status == 503
    poll(lobby, Reading("1.0", None, server_present=False))
    assert (await get(client, "/-/ready"))[0].status == 503
    fleet: Fleet = next(iter(client.server.app.values())).fleet  # type: ignore[attr-defined]
    for each in fleet:
        if each is not lobby:
            poll(each, Unauthorized("x", 401))
    assert (await get(client, "/-/ready"))[0].status == 200


async def test_metrics_are_text_by_default(client: Client) -> None:
    response, body = await get(client, "/metrics")
    assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert b'axis_ntp_polls_total{device="lobby",site="<hq>"} 0.0\n' in body


async def test_metrics_are_openmetrics_if_the_client_accepts_it(client: Client) -> None:
    accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
    response, body = await get(client, "/metrics", accept)
    assert response.headers["Content-Type"].startswith(
        "application/openmetrics-text; version=1.0.0"
    )
    assert body.endswith(b"# EOF\n")
    families = {family.name for family in parse_openmetrics(body.decode())}
    assert "axis_ntp_polls" in families


async def test_metrics_are_gzipped_if_the_client_accepts_it(client: Client) -> None:
    response, body = await get(client, "/metrics", encoding="gzip")
    assert response.headers["Content-Encoding"] == "gzip"
    assert b"axis_ntp_polls_total" in gzip.decompress(body)


@pytest.mark.parametrize(
    "accept",
    ["", "x", "*/*;q=x", "text/html", "\xff", "a;;=,;", "application/openmetrics-text;version=x"],
)
async def test_an_invalid_accept_header_gets_text(client: Client, accept: str) -> None:
    response, _ = await get(client, "/metrics", accept)
    assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")


async def test_the_status_page_escapes_texts_from_files_and_devices(
    client: Client, lobby: Device
) -> None:
    poll(lobby, Unauthorized("HTTP 401: <img src=x>", 401))
    response, body = await get(client, "/")
    page = body.decode()
    assert response.status == 200
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    assert page.count("<script") == 1  # ours
    assert "<img src=x" not in page
    assert "gate &#34;&lt;script&gt;&#34;" in page
    assert "site=&lt;hq&gt;" in page


async def test_the_status_page_shows_state_offset_and_servers(
    client: Client, lobby: Device
) -> None:
    reading = ntp_client(
        enabled=True,
        synced=True,
        offset_seconds=-0.0123,
        servers_source="static",
        static_servers=("10.0.0.1", "10.0.0.2"),
    )
    poll(lobby, Reading("1.0", reading, server_present=False))
    page = (await get(client, "/"))[1].decode()
    for words in ("synchronized", "-12.300 ms", "10.0.0.1, 10.0.0.2", "10 s ago", "not polled yet"):
        assert words in page


@pytest.mark.parametrize("path", ["/nowhere", "/-/nothing", "/metrics/x"])
async def test_an_unknown_path_is_not_found(client: Client, path: str) -> None:
    assert (await get(client, path))[0].status == 404


async def test_pages_may_load_nothing_from_other_hosts(client: Client) -> None:
    response, _ = await get(client, "/")
    policy = response.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self';")
    assert "unsafe" not in policy
    assert response.headers["X-Content-Type-Options"] == "nosniff"


async def test_a_wrong_clock_is_shown_even_if_the_device_reports_synchronized(
    client: Client, lobby: Device
) -> None:
    reading = Reading("1.0", ntp_client(enabled=True, synced=True), server_present=False)
    # The exporter host's steady clock is 500 s at 2000 s Unix time; the device is 30 s ahead.
    sighting = ResponseTimes(STEADY * 10**9, STEADY * 10**9 + 1, "Thu, 01 Jan 1970 00:33:50 GMT")
    lobby.state.record(outcome(NOW, 0.5, reading, STEADY, (sighting,)))
    page = (await get(client, "/"))[1].decode()
    assert "synchronized, but its clock is 30.5 s ahead" in page
    assert "+30.5 ± 0.6 s (Date only)" in page


@pytest.mark.parametrize("path", ["/metrics", "/"])
async def test_a_head_request_gets_no_body(path: str, client: Client) -> None:
    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(f"HEAD {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    writer.write(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    head, _, rest = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    assert head.startswith(b"HTTP/1.1 200 ")
    assert rest.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    ("path", "step"), [("/config", "routes.dump_redacted"), ("/discover", "probe.Counter")]
)
async def test_a_text_of_the_whole_fleet_is_rendered_once_for_all_clients(
    path: str, step: str, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    rendering = Mock(wraps=attrgetter(step)(exporter.web))
    monkeypatch.setattr(f"exporter.web.{step}", rendering)
    found = await asyncio.gather(*(get(client, path) for _ in range(40)))
    assert len({body for _, body in found}) == 1
    assert rendering.call_count == 1


async def test_the_status_page_is_made_for_one_client_at_a_time(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    most = 0
    current = 0

    async def render_slowly(*_arguments: object) -> str:
        nonlocal most, current
        current += 1
        most = max(most, current)
        for _ in range(20):
            await asyncio.sleep(0)
        current -= 1
        return "page"

    monkeypatch.setattr("exporter.web.routes.render_fleet", render_slowly)
    found = await asyncio.gather(*(get(client, "/") for _ in range(40)))
    assert {body for _, body in found} == {b"page"}
    assert most == 1


async def test_many_pages_of_devices_at_once_are_made_one_a_turn(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise each of them would hold up the polls by some milliseconds in the same turn."""
    made, most = 0, 0

    def render(*_arguments: object) -> str:
        nonlocal made
        made += 1
        return "page"

    async def watch() -> None:
        nonlocal most
        while True:
            before = made
            await asyncio.sleep(0)
            most = max(most, made - before)

    monkeypatch.setattr("exporter.web.routes.render_device", render)
    watching = asyncio.create_task(watch())
    visitors = [await asyncio.open_connection(client.host, client.port) for _ in range(8)]
    for _, writer in visitors:
        writer.write(b"GET /device/lobby HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    for reader, writer in visitors:
        assert (await reader.read()).endswith(b"page")
        writer.close()
    watching.cancel()
    assert (made, most) == (8, 1)


@pytest.mark.parametrize(
    ("target", "status"),
    [
        *[(path, 200) for path in ("/-/reload", "/%2d/reload", "/-/%72eload", "http://x/-/reload")],
        *[(path, 404) for path in ("//-/reload", "/./-/reload", "/-/../-/reload")],
        *[(path, 404) for path in ("/x/../-/reload", "/-%2Freload", "/%2e/-/reload", "/-//reload")],
        *[(path, 404) for path in ("/x/..%2F-/reload", "/%2F-/reload", "/-;/reload", "/-/reload/")],
        *[(path, 404) for path in ("/-\\reload", "/-/reload%00", "/x/%2e%2e/-/reload")],
        ("/device/../-/reload", 405),
    ],
)
async def test_no_path_is_rewritten_so_a_proxy_can_shut_it(
    client: Client, reloader: StubReloader, target: str, status: int
) -> None:
    """Only an escaped letter, digit or - . _ ~ is the same as it is without (RFC 3986 §2.3)."""
    reloader.may_end.set()
    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(f"POST {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    head = (await reader.read()).decode()
    writer.close()
    assert head.startswith(f"HTTP/1.1 {status} ")


async def test_only_some_requests_may_wait_for_a_reload(
    client: Client, reloader: StubReloader
) -> None:
    async def ask() -> int:
        async with client.post("/-/reload") as response:
            return response.status

    asked = [asyncio.create_task(ask()) for _ in range(50)]
    async with asyncio.timeout(15):
        while sum(each.done() for each in asked) < 30:
            await asyncio.sleep(0.001)
        assert (await get(client, "/-/healthy"))[0].status == 200
        reloader.may_end.set()
        statuses = await asyncio.gather(*asked)
    assert (statuses.count(200), statuses.count(503)) == (20, 30)


async def test_probes_that_wait_for_their_poll_keep_nobody_from_a_response(
    client: Client, poller: StubPoller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporter.web.response_slots, "WAIT_SECONDS", 0.0)
    server: Any = client.server.handler
    probes = [asyncio.create_task(get(client, "/probe?target=lobby")) for _ in range(60)]
    async with asyncio.timeout(15):
        while server.requests_count < len(probes):
            await asyncio.sleep(0.001)
        assert (await get(client, "/metrics"))[0].status == 200
        monkeypatch.undo()
        poller.may_end.set()
        assert {response.status for response, _ in await asyncio.gather(*probes)} == {200}


async def test_the_status_page_is_not_made_for_clients_that_have_left(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, may_end = 0, asyncio.Event()

    async def render_slowly(*_arguments: object) -> str:
        nonlocal begun
        begun += 1
        await may_end.wait()
        return "page"

    monkeypatch.setattr("exporter.web.routes.render_fleet", render_slowly)
    server: Any = client.server.handler
    visitors = [await asyncio.open_connection(client.host, client.port) for _ in range(30)]
    for _, writer in visitors:
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    async with asyncio.timeout(15):
        while server.requests_count < len(visitors):
            await asyncio.sleep(0.001)
        for _, writer in visitors:
            writer.close()
        while server.connections:
            await asyncio.sleep(0.001)
        may_end.set()
        handlers = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*handlers, return_exceptions=True)
    assert begun == 1


async def test_any_host_may_be_asked_for_unless_the_exporter_listens_on_loopback_only(
    client: Client,
) -> None:
    response = await client.get("/config", headers={"Host": "ntp.example"})
    assert response.status == 200
