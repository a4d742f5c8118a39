"""The status pages over HTTP: names in URLs, foreign texts, contents, what is not found."""

import html
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from exporter.clock.host import HostTime
from exporter.clock.offset import SECOND_NS, Offset
from exporter.config import Expect, Thresholds
from exporter.devices.device import Device
from exporter.devices.health import note_problem
from exporter.time_servers.host_clock import ServerProblem, Vote
from exporter.time_servers.targets import TimeServerTarget
from exporter.vapix.errors import ApiError, Unauthorized
from exporter.web.pages.assets import device_url
from exporter.web.pages.device_page import clock_facts, render_device
from exporter.web.pages.links import PageSettings
from tests.support.readings import replace_fields
from tests.support.simulated_time import see_nonce
from tests.web.pages.site import NOW, SYNCED, app_of, device, polled

Client = TestClient[Any, Any]
Serve = Callable[..., Any]

NAMES = [
    "lobby",
    "a/b",
    "/",
    '"x"',
    "{y}",
    "%2F",
    "a%b",
    "日本",
    ".",
    "..",
    "../config",
    "two words",
    "two\nlines",
    "who?",
    "#1",
    "a&b=c;d",
    "<script>alert(1)</script>",
    "'",
    "\\",
    "+",
    "é",
]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """A function that serves devices until the test ends."""
    async with AsyncExitStack() as stack:

        async def start(*devices: Device) -> Client:
            return await stack.enter_async_context(TestClient(TestServer(app_of(devices))))

        yield start


async def get(client: Client, url: str) -> tuple[int, str]:
    # `encoded`: sent unchanged, as a browser sends it.
    async with client.get(URL(url, encoded=True)) as response:
        assert response.content_type == "text/html"
        return response.status, await response.text()


def heading(page: str) -> str:
    [found] = re.findall(r"<h1[^>]*>(.*?)</h1>", page, re.DOTALL)
    return html.unescape(found)


@pytest.mark.parametrize("name", NAMES)
async def test_a_device_of_any_name_is_linked_and_found(serve: Serve, name: str) -> None:
    client = await serve(polled(device(name)), device("another"))
    links = re.findall(r'<a data-row href="([^"]*)"', (await get(client, "/"))[1])
    [url] = [html.unescape(link) for link in links if "another" not in link]
    assert url == device_url(name)
    status, page = await get(client, url)
    assert (status, heading(page)) == (200, name)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_a_devices_url_has_one_segment_below_device(name: str) -> None:
    url = device_url(name)
    assert url.isascii()
    if name not in (".", ".."):
        assert re.fullmatch(r"/device/[^/?#]+", url)


async def test_a_slash_decoded_by_a_proxy_is_part_of_the_name(serve: Serve) -> None:
    client = await serve(device("hall/north/1"))
    assert heading((await get(client, "/device/hall/north/1"))[1]) == "hall/north/1"


@pytest.mark.parametrize(
    "url", ["/device/nobody", "/device/%3Cb%3E", "/device?name=x", "/device", "/device/"]
)
async def test_an_unknown_device_is_not_found_and_the_page_links_to_the_fleet(
    serve: Serve, url: str
) -> None:
    status, page = await get(await serve(device("lobby")), url)
    assert status == 404
    assert '<a href="/">All devices</a>' in page
    assert "<b>" not in page


async def test_a_device_is_found_only_by_its_name(serve: Serve) -> None:
    assert (await get(await serve(device("lobby", "192.0.2.1")), "/device/192.0.2.1"))[0] == 404


async def test_an_invalid_parameter_is_a_bad_request_with_the_valid_values(serve: Serve) -> None:
    status, page = await get(await serve(), "/?sort=<b>")
    assert status == 400
    assert "Invalid `sort`; use state, device" in page
    assert '<a href="/">All devices</a>' in page


BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


async def test_for_a_browser_an_unknown_path_is_a_page_that_says_what_exists(serve: Serve) -> None:
    client = await serve()
    async with client.get(
        URL("/%3Cb%3E%0A", encoded=True), headers={"Accept": BROWSER}
    ) as response:
        assert (response.status, response.content_type) == (404, "text/html")
        page = await response.text()
    assert r"There is no page at &lt;b&gt;\n" in page.replace("<code>/", "")
    assert '<a href="/metrics">/metrics</a>' in page
    for url in re.findall(r'<a href="(/[^"]*)">/', page):
        async with client.get(url) as response:
            assert response.status != 404


@pytest.mark.parametrize("accept", ["*/*", "application/json", "text/html;q=0.5,text/plain", ""])
async def test_for_other_clients_an_unknown_path_is_a_short_text(serve: Serve, accept: str) -> None:
    client = await serve()
    async with client.post("/nothing", headers={"Accept": accept}) as response:
        assert (response.status, response.content_type) == (404, "text/plain")
        text = await response.text()
    assert text.startswith("There is no page at /nothing. There are:\n  /  the fleet\n")
    assert len(text) < 1000


async def test_a_wrong_method_is_not_an_unknown_path(serve: Serve) -> None:
    async with (await serve()).post("/metrics") as response:
        assert response.status == 405


async def test_pages_are_revalidated_and_their_files_cached(serve: Serve) -> None:
    client = await serve(device("lobby"))
    async with client.get("/") as response:
        assert response.headers["Cache-Control"] == "no-cache"
        page = await response.text()
    files = re.findall(r'(?:src|href)="(/static/[^"]+)"', page)
    assert {file.rpartition("/")[2] for file in files} == {"status.css", "status.js", "icon.svg"}
    for file in files:
        async with client.get(file) as response:
            assert response.status == 200
            assert "immutable" in response.headers["Cache-Control"]
            assert response.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("path", ["/static/0/status.css", "/static/0/..%2Fserver.py"])
async def test_an_unknown_static_file_is_not_found(serve: Serve, path: str) -> None:
    async with (await serve()).get(URL(path, encoded=True)) as response:
        assert response.status == 404


@pytest.mark.parametrize("url", ["/", "/device/lobby", "/device/nobody", "/?page=0"])
async def test_no_page_has_an_inline_script_or_style(serve: Serve, url: str) -> None:
    _, page = await get(await serve(polled(device("lobby"))), url)
    assert re.findall(r"<script(.*?)>(.*?)</script>", page) == [
        (f' src="{re.search(r"/static/[^/]+/status.js", page)[0]}" defer', "")  # type: ignore[index]
    ]
    assert "<style" not in page
    assert not re.findall(r"\s(?:style|on\w+)=", page)


def text(page: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


async def test_a_devices_page_shows_everything(serve: Serve) -> None:
    lobby = polled(device("lobby", "192.0.2.9", site="hq"), ApiError("API error 1000: x", 1000))
    lobby.state.expect = Expect(nts_enabled=True)
    polled(lobby, replace_fields(SYNCED, minpoll=6, maxpoll=10, nts_enabled=False))
    lobby.state.next_poll_steady = NOW.steady_seconds + 42
    shown = text((await get(await serve(lobby), "/device/lobby"))[1])
    for words in (
        "192.0.2.9 site=hq",
        "synchronized, but not as expected: nts_enabled",
        "Run `axis-ntp-exporter configure` to see the differences",
        "Last 2 polls",
        "Interval 1 min Timeout 10 s Last poll 10 s ago Poll duration 500 ms Last success 10 s ago",
        "Next poll in 42 s Polls 2 Failed 1",
        "Measured offset against the exporter host unknown Drift unknown Clock steps 0",
        "Reported offset -12.300 ms",
        "Last change of the reported offset 10 s ago",
        "NTP poll interval 1 min 4 s to 17 min 4 s",
        "Matches `expect` no: nts_enabled",
        "Next synchronization not reported",
        "192.0.2.1 static yes 192.0.2.2 static yes",
        "Reason Code Polls api_error 1000 1",
        "2001-09-09 01:46:30 10 s ago ✓ answered 500 ms",
        "2001-09-09 01:46:30 10 s ago ✕ api_error 1000 500 ms",
    ):
        assert words in shown


async def test_the_page_of_a_failing_device_shows_the_error_and_what_to_do(serve: Serve) -> None:
    gate = polled(device("gate"), Unauthorized("HTTP 401: <i>no</i>", 401))
    _, page = await get(await serve(gate), "/device/gate")
    shown = text(page)
    failed = "unauthorized 401 HTTP 401: <i>no</i> Since (UTC): 01:46 (10 s) Correct the username"
    assert failed in shown
    assert "Consecutive failures 1" in shown
    assert "NTP client (reported)" not in shown
    assert "<i>" not in page


@pytest.mark.parametrize("path", ["/", "/device/lobby"])
async def test_a_device_without_servers_says_so_once(serve: Serve, path: str) -> None:
    empty: dict[str, Any] = dict.fromkeys(("static_servers", "advertised_servers"), ())
    lobby = polled(device("lobby"), replace_fields(SYNCED, synced=False, **empty))
    page = (await get(await serve(lobby), path))[1]
    # The fleet page has a link to all devices with this problem too.
    shown = text(page.partition("<tbody>")[2] if path == "/" else page)
    assert shown.count("no servers configured") == 1
    assert "not synchronized" not in shown
    assert "none none" not in re.sub("static|advertised|yes|no\\b", "", shown)


async def test_a_devices_page_tells_since_when_its_problem_lasts(serve: Serve) -> None:
    far = replace_fields(SYNCED, offset_seconds=-0.2)
    lobby = polled(device("lobby"), far, ago=3600)
    note_problem(lobby.state, NOW, Thresholds())
    client = await serve(polled(lobby, far), polled(device("fine")))
    assert "Since (UTC): 00:46 (1 h)" in text((await get(client, "/device/lobby"))[1])
    assert "00:46 (1 h)" in text((await get(client, "/"))[1])
    assert "Since" not in text((await get(client, "/device/fine"))[1])


@pytest.mark.parametrize("url", ["/device/", "/device", "/device?name="])
async def test_a_devices_page_without_a_name_says_what_is_missing(serve: Serve, url: str) -> None:
    status, page = await get(await serve(device("lobby")), url)
    assert status == 404
    assert "The address names no device: it ends with the device's name" in text(page)


@pytest.mark.parametrize("url", ["/?q=%00%01x", "/device/%00%01x", "/?label.%00%01x=%00%01x"])
async def test_no_page_has_raw_control_characters(serve: Serve, url: str) -> None:
    _, page = await get(await serve(device("lobby")), url)
    assert "\ufffd\ufffdx" in page
    assert not re.findall(r"[^\t\n -~\xa0-\U0010ffff]", page)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("/?q=a&q=b", "q"),
        ("/?q=a&q=a", "q"),
        ("/?label.site=a&label.site=b", "label.site"),
        ("/device?name=lobby&name=gate", "name"),
    ],
)
async def test_a_parameter_given_twice_is_a_bad_request(serve: Serve, url: str, name: str) -> None:
    status, page = await get(await serve(device("lobby"), device("gate")), url)
    assert (status, f"`{name}` is given more than once" in text(page)) == (400, True)


async def test_an_unknown_parameter_may_be_given_twice(serve: Serve) -> None:
    assert (await get(await serve(device("lobby")), "/?x=1&x=2"))[0] == 200


async def test_a_devices_labels_lead_to_all_devices_that_have_them(serve: Serve) -> None:
    client = await serve(device("a", site="port side", note=""), device("b", site="hq"))
    _, page = await get(client, "/device/a")
    [url] = re.findall(r'<a class="label" href="([^"]*)">site=port side</a>', page)
    assert url == "/?label.site=port+side"
    assert ">note=<" in page
    listed = (await get(client, html.unescape(url)))[1]
    assert re.findall(r"<a data-row [^>]*>([^<]*)<", listed) == ["a"]


async def test_a_device_that_was_never_polled_has_a_page(serve: Serve) -> None:
    shown = text((await get(await serve(device("new")), "/device/new"))[1])
    assert "not polled yet" in shown
    assert "Poll details" not in shown
    assert "Last poll not yet" in shown


@pytest.mark.parametrize(
    ("due_in", "shown"), [(None, ""), (-3, ""), (61, ""), (61.1, r"in 1 ?s"), (121, r"in 1 ?m\w*")]
)
async def test_the_page_tells_when_a_device_may_be_polled_early_again(
    serve: Serve, due_in: float | None, shown: str
) -> None:
    lobby = polled(device("lobby"))
    if due_in is not None:
        lobby.state.next_poll_steady = NOW.steady_seconds + due_in
    _, page = await get(await serve(lobby), "/device/lobby")
    assert ("Possible again" in text(page)) == bool(shown)
    assert ('<button id="poll-now" disabled' in page) == bool(shown)
    assert not shown or re.search(rf"Possible again {shown}\.", text(page))


async def test_the_series_of_a_device_are_linked_by_its_name(serve: Serve) -> None:
    _, page = await get(await serve(device("a&b c")), device_url("a&b c"))
    assert 'href="/probe?target=a%26b+c"' in page


@pytest.mark.parametrize(
    ("drift_ppm", "offset_seconds", "shown"),
    [
        (18, 0.2, r"\+18\.0 ppm ± 0\.\d ppm, passes 0\.5 s in about 3 h 3\d min"),
        (-18, 0.2, r"-18\.0 ppm ± 0\.\d ppm, passes 0\.5 s in about 9 h [45]\d min"),
        (18, 0.7, r"\+18\.0 ppm ± 0\.\d ppm"),
        (4, 0.2, r"\+4\.0 ppm ± 0\.\d ppm"),
    ],
)
def test_a_devices_page_tells_when_a_drifting_clock_will_be_off(
    drift_ppm: float, offset_seconds: float, shown: str
) -> None:
    subject = polled(device("lobby"))
    for minute in range(60):
        at_ns = minute * 60 * SECOND_NS
        theta_ns = round(offset_seconds * SECOND_NS + drift_ppm * at_ns / 1e6)
        sample = see_nonce(at_ns + theta_ns, at_ns - 1_000_000, at_ns + 1_000_000)
        subject.state.clock.take_poll([sample], 0)
    facts = dict(clock_facts(subject.state, HostTime(at_ns, at_ns), None, Thresholds()))
    assert re.fullmatch(shown, facts["Drift"]), facts["Drift"]


def problems_on_page(subject: Device, text: str) -> list[tuple[str, str]]:
    target = TimeServerTarget("192.0.2.1:123", "192.0.2.1", 123, is_configured=True)
    vote = Vote(servers=1, problems=(ServerProblem(target, text),))
    page = render_device(subject, NOW, vote, PageSettings("/metrics", Thresholds()))
    return re.findall(
        r"<th scope=\"row\">([^<]*)</th>.*\s*<tr><td colspan=\"3\"><small>(.*)</small>", page
    )


def test_a_devices_page_says_which_of_its_time_servers_does_not_answer_the_exporter() -> None:
    found = problems_on_page(polled(device("lobby")), "silent <b>")
    assert found == [("192.0.2.1", "the exporter asks it too: silent &lt;b&gt;")]


def test_what_a_time_server_answers_says_nothing_of_a_device_with_nts() -> None:
    client = replace_fields(SYNCED, static_servers=(), nts_ke_servers=("192.0.2.1",))
    assert problems_on_page(polled(device("lobby"), client), "silent") == []


def test_a_devices_page_shows_the_true_offset_where_time_servers_vouch_for_the_host() -> None:
    subject, at_ns = polled(device("lobby")), NOW.steady_ns
    sample = see_nonce(at_ns - 3 * SECOND_NS // 2, at_ns - 1_000_000, at_ns + 1_000_000)
    subject.state.clock.take_poll([sample], 0)
    now = HostTime(at_ns, at_ns)
    alone = dict(clock_facts(subject.state, now, None, Thresholds()))
    facts = dict(clock_facts(subject.state, now, Offset(3.0, 0.25), Thresholds()))
    assert re.fullmatch(r"-1\.500 s ± \S+ .s", alone["against the exporter host"])
    assert "against the time servers" not in alone
    assert re.fullmatch(r"\+1\.5 s ± 0\.3 s", facts["against the time servers"])
    assert facts["against the exporter host"] == alone["against the exporter host"]
    unknown = dict(clock_facts(device("new").state, now, Offset(3.0, 0.25), Thresholds()))
    assert "against the time servers" not in unknown
