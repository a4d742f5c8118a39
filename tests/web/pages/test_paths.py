"""`--web.external-url` and `--web.route-prefix`: every link leads where a page is."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from aiohttp import ClientSession, CookieJar, web
from aiohttp.test_utils import TestClient, TestServer
from selenium.webdriver.common.keys import Keys
from yarl import URL

import exporter.web.pages
from exporter.devices.device import Device
from exporter.vapix.errors import PollTimeout
from exporter.web import listener
from exporter.web.pages.assets import device_url
from exporter.web.paths import make_paths
from exporter.web.settings import WebSettings
from tests.support.background import in_background
from tests.support.programs import LOOPBACK
from tests.web.pages.browser import Browser
from tests.web.pages.crawler import Crawl, Reply
from tests.web.pages.page_queries import find, until_heading, until_shown
from tests.web.pages.site import app_of, device, fleet, polled

NAMES = ["lobby", "hall/1", "50 %", "a b", "a?b", "a#b", "a+b", "a%2Fb", "日本", "..", '"><q>']
WRITTEN_AS_IT_IS = re.compile(r'(?:href|src|action)="/')


class StubPoller:
    async def poll_now(self, _device: Device) -> None:
        pass


class Case(NamedTuple):
    """The flags, and how paths begin for a browser and for the exporter."""

    external_url: str
    route_prefix: str | None
    links: str
    routes: str


CASES = {
    "neither": Case("", None, "", ""),
    "a host of its own": Case("https://clocks.example", None, "", ""),
    "external URL": Case("https://h.example/clocks", None, "/clocks", "/clocks"),
    "two segments": Case("https://h.example/a/b-1", None, "/a/b-1", "/a/b-1"),
    "route prefix": Case("", "/clocks", "/clocks", "/clocks"),
    "the proxy removes the path": Case("https://h.example/clocks", "", "/clocks", ""),
    "the proxy changes the path": Case("https://h.example/clocks", "/x", "/clocks", "/x"),
}


@pytest.fixture(params=list(CASES))
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


@asynccontextmanager
async def asking(case: Case, devices: list[Device]) -> AsyncIterator[Any]:
    """Serve devices; yields what asks as through a proxy that changes `links` to `routes`."""
    paths = make_paths(case.external_url, case.route_prefix)
    app = app_of(devices, StubPoller(), paths=paths)
    async with TestClient(TestServer(app)) as client:

        async def ask(method: str, path: str, accept: str = "text/html") -> Reply:
            assert path.startswith(f"{case.links}/"), f"{path} leads out of the site"
            url = URL(case.routes + path.removeprefix(case.links), encoded=True)
            headers = {"Accept": accept}
            if method == "POST" and paths.origin:
                headers["Origin"] = paths.origin
            async with client.request(
                method, url, headers=headers, allow_redirects=False
            ) as response:
                is_page = response.content_type == "text/html"
                location = response.headers.get("Location", "")
                return Reply(response.status, is_page, await response.text(), location)

        yield ask


def devices() -> list[Device]:
    found = [polled(device(name, site=f"{name}/x")) for name in NAMES]
    return [*found[1:], polled(found[0], PollTimeout("late"))]


async def test_every_link_of_every_page_leads_to_a_page(case: Case) -> None:
    async with asking(case, devices()) as ask:
        crawl = Crawl(ask, f"{case.links}/")
        await crawl.from_page(f"{case.links}/")
    assert crawl.refused() == {}
    for name in NAMES:
        path = URL(case.links + device_url(name), encoded=True).raw_path
        assert path in crawl.paths
        polls = [reply for (method, _), reply in crawl.replies.items() if method == "POST"]
        assert case.links + device_url(name) in [reply.location for reply in polls]
    for file in ("status.css", "device.css", "status.js", "icon.svg"):
        assert any(path.endswith(f"/{file}") for path in crawl.paths)
    assert {f"{case.links}/metrics", f"{case.links}/config"} <= crawl.paths


@pytest.mark.parametrize(
    "path", ["/nothing", "/device/nobody", "/?page=x", "/device?name=a&name=b"]
)
async def test_a_problem_is_a_page_whose_links_lead_to_pages(case: Case, path: str) -> None:
    async with asking(case, devices()) as ask:
        crawl = Crawl(ask, f"{case.links}/")
        await crawl.from_page(case.links + path)
    assert list(crawl.refused()) == [("GET", case.links + path)]
    page = crawl.replies["GET", case.links + path]
    assert page.is_page
    assert f"{case.links}/" in crawl.paths
    if path == "/nothing":
        assert f"<code>{case.links}/nothing</code>" in page.text
        assert f"{case.links}/-/ready" in crawl.paths


async def test_a_text_names_the_paths_as_the_exporter_is_asked(case: Case) -> None:
    async with asking(case, devices()) as ask:
        reply = await ask("GET", f"{case.links}/nothing", "*/*")
    assert reply.text.startswith(f"There is no page at {case.routes}/nothing. There are:\n")
    assert f"\n  {case.routes}/metrics  " in reply.text


async def test_without_the_prefix_there_is_only_a_redirect_to_it() -> None:
    app = app_of(devices(), paths=make_paths("https://h.example/clocks", None))
    async with TestClient(TestServer(app)) as client:
        for path in ("/", "/clocks"):
            reply = await client.get(path, allow_redirects=False)
            assert (reply.status, reply.headers["Location"]) == (302, "/clocks/")
        for path in ("/metrics", "/-/healthy", "/clock", "/clocksx/", "/device/lobby", "/poll"):
            assert (await client.get(path)).status == 404
        assert (await client.post("/-/reload")).status == 404
        reply = await client.get("/elsewhere", headers={"Accept": "text/html"})
        assert "<code>/elsewhere</code>" in await reply.text()


async def test_the_prefix_leads_to_where_a_proxy_has_its_path() -> None:
    """The proxy has made `/clocks` of `/ui`."""
    app = app_of(devices(), paths=make_paths("https://h.example/ui", "/clocks"))
    async with TestClient(TestServer(app)) as client:
        reply = await client.get("/clocks", allow_redirects=False)
        assert (reply.status, reply.headers["Location"]) == (302, "/ui/")
        reply = await client.get("/", allow_redirects=False)
        assert (reply.status, reply.headers["Location"]) == (302, "/clocks/")


def test_no_template_writes_a_path_without_url_of() -> None:
    for folder in exporter.web.pages.__path__:
        for file in Path(folder, "templates").iterdir():
            assert not WRITTEN_AS_IT_IS.search(file.read_text()), file.name
            for written in re.findall(r'(?:href|src|action)="\{\{ (.*?) \}\}"', file.read_text()):
                assert written.startswith("url_of(") or written in (
                    "url",  # of a chip, which is called with `url_of(…)`
                    "row.web_url",
                    "target.web_url",
                    "dashboard_url",
                    "evidence_url",
                    "alert | runbook",
                ), written


@asynccontextmanager
async def stripping_proxy(app: web.Application, prefix: str) -> AsyncIterator[str]:
    """Serve an application behind a proxy that removes `prefix`; yields the URL of the fleet."""
    async with (
        listener.serve(app, WebSettings(((LOOPBACK, 0),))) as [inner],
        ClientSession(cookie_jar=CookieJar()) as session,
    ):

        async def forward(request: web.Request) -> web.Response:
            if not request.raw_path.startswith(f"{prefix}/"):
                return web.Response(status=418)
            url = URL(inner + request.raw_path.removeprefix(prefix), encoded=True)
            own = ("Origin", "Accept", "Sec-Fetch-Site")
            headers = {name: request.headers[name] for name in own if name in request.headers}
            async with session.request(
                request.method, url, headers=headers, allow_redirects=False
            ) as reply:
                kept = {"Content-Type", "Location", "Content-Security-Policy"}
                passed = {name: reply.headers[name] for name in kept & reply.headers.keys()}
                return web.Response(status=reply.status, headers=passed, body=await reply.read())

        proxy = web.Application()
        proxy.router.add_route("*", "/{path:.*}", forward)
        async with listener.run_application(proxy) as runner:
            await web.TCPSite(runner, LOOPBACK, 0).start()
            yield f"http://{LOOPBACK}:{runner.addresses[0][1]}{prefix}/"


@pytest.fixture
def below_a_path(loop: asyncio.AbstractEventLoop) -> Iterator[str]:
    """The URL of a fleet behind a proxy that removes a path."""
    devices = [*fleet(), polled(device("hall/1"))]
    app = app_of(devices, StubPoller(), paths=make_paths("http://h.example/clocks", ""))
    with ExitStack() as stack:
        yield stack.enter_context(in_background(loop, stripping_proxy(app, "/clocks")))


@pytest.mark.xdist_group("browser")
def test_the_script_stays_below_the_path(browser: Browser, below_a_path: str) -> None:
    browser.open(below_a_path)
    find(browser, "#q").send_keys("camera-24")
    until_shown(browser, "1 to 11 of 11 devices, out of 253")
    assert browser.driver.current_url == f"{below_a_path}?q=camera-24"
    find(browser, "#q").send_keys(Keys.BACKSPACE * 20)
    until_shown(browser, "of 253 devices")
    assert browser.driver.current_url == below_a_path
    find(browser, "#sort-device").click()
    until_shown(browser, "1 to 100 of 253 devices")
    browser.open(f"{below_a_path}device/hall%2F1")
    assert browser.script("return document.styleSheets.length") == 2
    find(browser, "#poll-now").click()
    until_heading(browser, "hall/1")
    assert browser.driver.current_url == f"{below_a_path}device/hall%2F1"
    find(browser, ".brand").click()
    until_heading(browser, "253 devices")
    assert browser.console_messages() == []
