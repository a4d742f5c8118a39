"""The exporter behind Apache, nginx and Caddy, with the blocks that the docs print."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
from yarl import URL

from exporter.web.pages.assets import device_url
from tests.support.daemon_process import BlockingDaemon, blocking_daemon
from tests.support.programs import LOOPBACK, enter_on_free_ports, free_port
from tests.support.reverse_proxies import ReverseProxy, block, reverse_proxy
from tests.web.pages.crawler import Crawl, Reply

NAMES = [
    "lobby",
    "hall/1",
    "50 %",
    "a b",
    "a?b",
    "a#b",
    "a+b",
    "a%2Fb",
    "a//b",
    "日本",
    "..",
    "-/reload",
    "a/../b",
]
OWN, BELOW = "A host name of its own", "A path below another site"
PROXIES = [
    (language, heading, False)
    for language in ("apache", "nginx", "caddyfile")
    for heading in (OWN, BELOW)
]


@dataclass(frozen=True)
class ProxiedSite:
    """A daemon behind a proxy; its pages are below `path`, which the proxy may remove."""

    proxy: ReverseProxy
    daemon: BlockingDaemon
    path: str
    is_removed: bool

    @property
    def origin(self) -> str:
        return f"https://{self.proxy.host}"

    async def ask(self, method: str, path: str) -> Reply:
        """Ask as an older browser does, without Fetch Metadata."""
        headers = {"Accept": "text/html"}
        if method == "POST":
            headers["Origin"] = self.origin
        reply = self.proxy.send(method, path, headers)
        kind = reply.headers.get("Content-Type", "").partition(";")[0]
        return Reply(
            reply.status, kind == "text/html", reply.text, reply.headers.get("Location", "")
        )


@pytest.fixture(
    scope="module",
    params=[*PROXIES, ("apache", BELOW, True)],
    ids=lambda each: f"{each[0]}, {each[1].lower()}{', removed' * each[2]}",
)
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ProxiedSite]:
    """The exporter with the flags of the docs, behind a proxy with a block of the docs."""
    language, heading, is_removed = request.param
    path = "/clocks" if heading == BELOW else ""
    text = block(language, heading)
    flags = [f"--web.external-url=https://{'monitoring' if path else 'axis-ntp'}.example{path}"]
    if is_removed:
        flags.append("--web.route-prefix=/")
        text = text.replace("/clocks http", "/clocks/ http").replace("10123/clocks", "10123/")
        assert "ProxyPass /clocks/ http://127.0.0.1:10123/ nocanon\n" in text
    devices = [{"name": name, "address": f"{LOOPBACK}:{free_port()}"} for name in NAMES]
    folder = tmp_path_factory.mktemp("daemon")
    with ExitStack() as stack:
        daemon = stack.enter_context(blocking_daemon({"devices": devices}, folder, *flags))
        proxy = enter_on_free_ports(stack, lambda: reverse_proxy(language, text, daemon.address))
        yield ProxiedSite(proxy, daemon, path, is_removed)


async def test_every_link_of_every_page_leads_to_a_page(site: ProxiedSite) -> None:
    crawl = Crawl(site.ask, f"{site.path}/", site.origin)
    await crawl.from_page(f"{site.path}/")
    assert crawl.refused() == {}
    for name in NAMES:
        assert URL(site.path + device_url(name), encoded=True).raw_path in crawl.paths
        page = await site.ask("GET", site.path + device_url(name))
        assert f"<h1>{name}</h1>".replace("&", "&amp;") in page.text
    polled = [each.location for (method, _), each in crawl.replies.items() if method == "POST"]
    assert sorted(polled) == sorted(site.path + device_url(name) for name in NAMES)
    assert any(path.endswith("/status.js") for path in crawl.paths)
    assert f"{site.path}/config" in crawl.paths


SPELLINGS = [
    "/-/reload",
    "/-/reload?x",
    "/%2d/reload",
    "/%2D/reload",
    "/-/%72eload",
    "//-/reload",
    "///-/reload",
    "/./-/reload",
    "/%2e/-/reload",
    "/-/../-/reload",
    "/x/../-/reload",
    "/x/%2e%2e/-/reload",
    "/x/..%2F-/reload",
    "/-%2Freload",
    "/-%2freload",
    "/%2F-/reload",
    "/-//reload",
    "/-/./reload",
    "/-/;/reload",
    "/-/x/../reload",
    "/-\\reload",
    "/%2d%2Freload",
    "/-/reload/",
    "/-/healthy",
    "/-/ready",
]


def test_the_paths_of_operators_are_shut_in_every_spelling(site: ProxiedSite) -> None:
    targets = [site.path + each for each in SPELLINGS]
    targets += [f"{site.origin}{site.path}{each}" for each in SPELLINGS[:6]]
    if site.path:
        targets += [
            f"/.{site.path}/-/reload",
            f"/x/..{site.path}/-/reload",
            f"/{site.path}/-/reload",
        ]
        targets += ["/%63locks/-/reload", "/clocks%2F-/reload", "/-/reload", "/clocks-/reload"]
    for target in targets:
        for method in ("POST", "GET"):
            reply = site.proxy.send(method, target)
            # What is not below the path, Caddy answers with an empty text.
            assert reply.status >= 300 or not reply.text, (method, target, reply)
    assert "config.reload" not in site.daemon.program.log()


def test_without_a_password_there_is_nothing(site: ProxiedSite) -> None:
    for path in ("/", "/metrics", "/config", "/device/lobby", "/-/healthy", "/%2d/healthy"):
        reply = site.proxy.send("GET", site.path + path, {"Authorization": ""})
        assert reply.status in (401, 403)
    assert site.proxy.send("GET", f"{site.path}/metrics").status == 200


def test_a_page_of_another_host_cannot_poll(site: ProxiedSite) -> None:
    for origin in ("https://evil.example", "null", f"{site.origin}.evil"):
        reply = site.proxy.send("POST", f"{site.path}/poll?device=lobby", {"Origin": origin})
        assert reply.status == 403


def test_without_the_last_slash_the_fleet_is_found(site: ProxiedSite) -> None:
    if site.path and not site.is_removed:
        reply = site.proxy.send("GET", site.path)
        assert reply.status in (301, 302)
        assert reply.headers["Location"].endswith("/clocks/")
