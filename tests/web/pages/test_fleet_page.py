"""The fleet page: which devices are shown, in which order, and at what cost."""

import asyncio
import re
from collections.abc import Iterable, Sequence
from functools import partial

import pytest

from exporter.config import Thresholds
from exporter.devices.device import Device
from exporter.fleet.registry import Fleet
from exporter.system.text import natural_key
from exporter.time_servers.host_clock import HostClockNote, Vote, describe_host_clock
from exporter.vapix.errors import PollTimeout, Unauthorized
from exporter.web.pages.fleet_page import (
    ROWS_PER_PAGE,
    device_row,
    label_columns,
    paginate,
    problem_links,
    render_fleet,
    site_links,
)
from exporter.web.pages.fleet_query import FleetQuery
from exporter.web.pages.fleet_selection import DEVICES_PER_STEP, Selection
from exporter.web.pages.links import PageSettings
from tests.support.readings import ntp_client, replace_fields
from tests.support.simulated_time import see_nonce
from tests.support.turns import counting_turns
from tests.web.pages.site import NOW, SYNCED, device, polled

SETTINGS = PageSettings("/metrics", Thresholds())
NOT_VERIFIED = partial(describe_host_clock, Vote(), NOW, kernel=False, suspect_seconds=0.5)


def fleet() -> list[Device]:
    return [
        polled(device("dock-10", site="port"), replace_fields(SYNCED, offset_seconds=0.02), ago=30),
        polled(device("dock-2", site="port"), replace_fields(SYNCED, offset_seconds=-0.05), ago=20),
        polled(device("gate", "192.0.2.7", site="hq"), Unauthorized("HTTP 401: no", 401)),
        device("new", site="hq"),
        polled(device("Lobby", site="hq"), ntp_client(enabled=True, synced=False), ago=40),
    ]


def selected(query: FleetQuery, devices: Iterable[Device] | None = None) -> list[str]:
    selection = Selection(Thresholds())
    selection.add(fleet() if devices is None else devices, query, NOW)
    return in_order(selection, query)


def in_order(selection: Selection, query: FleetQuery) -> list[str]:
    return [each.target.name for each in asyncio.run(selection.in_order(query, 1000))]


def test_devices_are_sorted_by_severity_then_by_name() -> None:
    assert selected(FleetQuery()) == ["gate", "Lobby", "new", "dock-2", "dock-10"]


@pytest.mark.parametrize(
    ("sort", "names"),
    [
        ("device", ["dock-2", "dock-10", "gate", "Lobby", "new"]),
        ("offset", ["dock-2", "dock-10", "gate", "Lobby", "new"]),
        ("polled", ["Lobby", "dock-10", "dock-2", "gate", "new"]),
        ("clock", ["dock-2", "dock-10", "gate", "Lobby", "new"]),
    ],
)
def test_columns_sort_and_unknown_values_come_last(sort: str, names: list[str]) -> None:
    assert selected(FleetQuery(sort=sort)) == names


@pytest.mark.parametrize(
    ("sort", "names"),
    [
        ("device", ["new", "Lobby", "gate", "dock-10", "dock-2"]),
        ("state", ["dock-2", "dock-10", "new", "Lobby", "gate"]),
        ("offset", ["dock-10", "dock-2", "gate", "Lobby", "new"]),
        ("polled", ["gate", "dock-2", "dock-10", "Lobby", "new"]),
    ],
)
def test_in_reverse_order_unknown_values_come_last_too(sort: str, names: list[str]) -> None:
    assert selected(FleetQuery(sort=sort, reverse=True)) == names


def test_measured_offsets_sort_by_their_magnitude() -> None:
    ahead = polled(device("ahead"), date="Sun, 09 Sep 2001 01:46:42 GMT")
    behind = polled(device("behind"), date="Sun, 09 Sep 2001 01:46:30 GMT")
    assert selected(FleetQuery(sort="clock"), [ahead, behind]) == ["behind", "ahead"]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("dock", ["dock-2", "dock-10"]),
        ("LOBBY", ["Lobby"]),
        ("192.0.2.7", ["gate"]),
        ("site=hq", ["gate", "Lobby", "new"]),
        ("hq not", ["Lobby", "new"]),
        ("unauthorized", ["gate"]),
        ("no such text", []),
    ],
)
def test_every_word_is_searched_in_name_address_labels_and_state(
    text: str, names: list[str]
) -> None:
    assert selected(FleetQuery(text)) == names


def test_a_state_filters_devices_while_the_counts_are_the_whole_fleets() -> None:
    selection, query = Selection(Thresholds()), FleetQuery(state="good")
    selection.add(fleet(), query, NOW)
    assert in_order(selection, query) == ["dock-2", "dock-10"]
    assert selection.counts == {"bad": 1, "warning": 1, "waiting": 1, "good": 2}


def test_a_problem_and_labels_filter_exactly() -> None:
    assert selected(FleetQuery(problem="unauthorized 401")) == ["gate"]
    assert selected(FleetQuery(problem="unauthorized")) == []
    assert selected(FleetQuery(labels=(("site", "hq"),))) == ["gate", "Lobby", "new"]
    assert selected(FleetQuery(labels=(("site", "h"),))) == []
    assert selected(FleetQuery(labels=(("site", "hq"), ("floor", "2")))) == []


def test_failures_sort_by_how_long_they_last() -> None:
    first, second = (
        polled(device(name), PollTimeout("late"), ago=ago) for name, ago in (("b", 50), ("a", 10))
    )
    devices = [second, first, polled(device("fine"))]
    assert selected(FleetQuery(sort="since"), devices) == ["b", "a", "fine"]


def drifting(name: str, ppm: float) -> Device:
    subject = polled(device(name))
    for minute in range(60):
        at_ns = NOW.steady_ns - (60 - minute) * 60_000_000_000
        drifted_ns = round((at_ns - NOW.steady_ns) * ppm / 1e6)
        shown_ns = at_ns + NOW.unix_minus_steady_ns + drifted_ns
        sample = see_nonce(shown_ns, at_ns - 1_000_000, at_ns + 1_000_000)
        subject.state.clock.take_poll([sample], 0)
    return subject


def test_drifts_are_shown_and_sort_by_their_magnitude() -> None:
    devices = [drifting("slow", -40), drifting("fast", 20), polled(device("unknown"))]
    assert selected(FleetQuery(sort="drift"), devices) == ["slow", "fast", "unknown"]
    assert re.fullmatch(r"\+20\.\d ± 0\.\d ppm", device_row(devices[1], NOW, Thresholds()).drift)


def test_problems_and_sites_are_counted_worst_first_in_the_whole_fleet() -> None:
    selection, query = Selection(Thresholds()), FleetQuery(state="good")
    far = polled(device("far", site="port"), date="Sun, 09 Sep 2001 01:40:00 GMT")
    selection.add([*fleet(), far], query, NOW)
    problems = problem_links(selection.problems, query)
    assert [(each.text, each.counted.affected, each.counted.level) for each in problems.links] == [
        ("its clock is off", 1, "bad"),
        ("not synchronized", 1, "warning"),
        ("unauthorized 401", 1, "bad"),
    ]
    sites = site_links(selection.sites, query)
    assert [(each.text, each.counted.affected, each.counted.devices) for each in sites.links] == [
        ("hq", 2, 3),
        ("port", 1, 3),
    ]
    assert sites.links[0].url == "/?state=good&label.site=hq"


def test_a_chosen_link_ends_the_filter_and_of_many_sites_twelve_are_listed() -> None:
    selection, query = Selection(Thresholds()), FleetQuery(labels=(("site", "s-1"),))
    selection.add([device(f"c{n}", site=f"s-{n}") for n in range(20)], query, NOW)
    links, more, unlisted = site_links(selection.sites, query)
    assert (len(links), len(more), unlisted) == (12, 8, 0)
    selection.add([device(f"d{n}", site=f"t-{n}") for n in range(200)], query, NOW)
    assert [len(each) for each in site_links(selection.sites, query)[:2]] == [12, 200]
    assert site_links(selection.sites, query).unlisted == 8
    assert [(each.text, each.url) for each in links if each.is_chosen] == [("s-1", "/")]


def test_labels_of_most_devices_are_columns_and_site_is_the_first() -> None:
    selection = Selection(Thresholds())
    devices = [device(f"c{n}", floor="1", site="hq", rare="x") for n in range(2)]
    devices += [device("d", floor="1", site="hq"), device("e", floor="2")]
    selection.add(devices, FleetQuery(), NOW)
    assert label_columns(selection) == ("site", "floor")
    row = device_row(devices[0], NOW, Thresholds(), ("site", "floor"))
    assert (row.columns, row.labels) == ((("site", "hq"), ("floor", "1")), (("rare", "x"),))


def test_a_row_begins_with_the_problem_and_not_with_what_the_device_reports() -> None:
    row = device_row(drifting("lobby", 0), NOW, Thresholds())
    assert (row.state, row.problem, row.detail) == ("synchronized", "", "")
    far = polled(device("far"), replace_fields(SYNCED, offset_seconds=-0.2))
    row = device_row(far, NOW, Thresholds())
    detail = "says synchronized"
    assert (row.problem, row.detail) == ("large reported offset", detail)
    assert row.state == "synchronized, but large reported offset"


def test_a_failing_device_shows_since_when() -> None:
    failing = polled(device("a"), PollTimeout("late"), ago=3600)
    polled(failing, PollTimeout("late"))
    assert device_row(failing, NOW, Thresholds()).since == "00:46 (1 h)"
    longer = polled(device("a"), PollTimeout("late"), ago=90_000)
    assert device_row(longer, NOW, Thresholds()).since == "09-08 00:46 (1 d)"
    assert not device_row(polled(device("fine")), NOW, Thresholds()).since


def test_names_sort_naturally() -> None:
    names = ["b", "Camera 10", "camera 9", "a", "camera 9b"]
    assert sorted(names, key=natural_key) == ["a", "b", "camera 9", "camera 9b", "Camera 10"]


def test_names_with_a_mac_address_sort_by_its_letters_and_digits() -> None:
    names = ["axis-b8a44f18aa89", "axis-b8a44f3ca8f0", "axis-b8a44f430c12", "axis-b8a44ff54039"]
    shuffled = [names[2], names[0], names[3], names[1]]
    assert sorted(shuffled, key=natural_key) == names


def test_a_row_shows_known_values_and_leaves_unknown_ones_empty() -> None:
    row = device_row(fleet()[1], NOW, Thresholds())
    assert (row.reported_offset, row.servers, row.last_poll) == (
        "-50.000 ms",
        "192.0.2.1, 192.0.2.2",
        "20 s ago",
    )
    failed = device_row(fleet()[2], NOW, Thresholds())
    assert (failed.reported_offset, failed.measured_offset, failed.servers) == ("", "", "")
    assert (failed.state, failed.detail) == ("unauthorized 401", "HTTP 401: no")


def many(count: int) -> list[Device]:
    return [polled(device(f"camera-{n}")) for n in range(count)]


@pytest.mark.parametrize(
    ("count", "page", "shown"),
    [(0, 1, (1, 0, 1)), (100, 1, (1, 100, 1)), (101, 2, (101, 1, 2)), (250, 99, (201, 50, 3))],
)
def test_a_page_beyond_the_last_is_the_last(
    count: int, page: int, shown: tuple[int, int, int]
) -> None:
    selection, query = Selection(Thresholds()), FleetQuery(sort="device", page=page)
    selection.add(many(count), query, NOW)
    part = asyncio.run(paginate(selection, query, NOW))
    assert (part.first, len(part.rows), part.pages) == shown


async def test_only_one_page_is_rendered_and_polls_run_between_the_steps() -> None:
    async with counting_turns() as turns:
        page = await render_fleet(Fleet(many(3000)), FleetQuery(), NOW, SETTINGS, NOT_VERIFIED)
    assert page.count("data-row") == ROWS_PER_PAGE
    assert turns.count >= 3000 / DEVICES_PER_STEP
    assert DEVICES_PER_STEP <= 500


async def test_polls_run_while_a_large_fleet_is_sorted() -> None:
    selection, query = Selection(Thresholds()), FleetQuery(sort="device", reverse=True)
    selection.add(many(5000), query, NOW)
    async with counting_turns() as turns:
        ordered = await selection.in_order(query, 5000)
    assert [each.target.name for each in ordered] == [f"camera-{n}" for n in reversed(range(5000))]
    assert turns.count >= 5


async def test_a_row_links_to_the_camera_and_its_labels_filter() -> None:
    devices = [
        polled(device("gate", "192.0.2.7:8443", site="port side", note="x")),
        polled(device("dock", site="hq")),
    ]
    query = FleetQuery(state="good", labels=(("site", "port side"),))
    page = await render_fleet(devices, query, NOW, SETTINGS, NOT_VERIFIED)
    assert re.search(r'<a href="https://192.0.2.7:8443/" rel="noreferrer">192.0.2.7:8443<', page)
    assert 'href="/?state=good&amp;label.site=port+side">port side</a>' in page
    assert 'href="/?state=good&amp;label.site=port+side&amp;label.note=x">note=x</a>' in page
    removes = r'href="/\?state=good" aria-current="true"><span class="hidden">Remove filter </span>'
    assert re.search(removes + "site=port side", page)
    assert '<input type="hidden" name="label.site" value="port side">' in page
    assert 'href="/?label.site=port+side" aria-current="true">' in page  # the chosen state


async def test_the_page_shows_counts_of_devices_and_pages() -> None:
    devices = [*many(250), polled(device("gate"), PollTimeout("late"))]
    page = await render_fleet(devices, FleetQuery("camera", page=2), NOW, SETTINGS, NOT_VERIFIED)
    text = " ".join(re.sub(r"<[^>]+>", " ", page).split())
    assert "251 devices" in text
    assert "101 to 200 of 250 devices, out of 251" in text
    assert "Page 2 of 3" in text


async def test_an_empty_fleet_and_a_filter_without_matches_show_a_message() -> None:
    for devices in ([], many(2)):
        page = await render_fleet(devices, FleetQuery("zebra"), NOW, SETTINGS, NOT_VERIFIED)
        assert "No matching devices." in page
        assert "<table" not in page


@pytest.mark.parametrize(
    ("level", "style", "symbol"),
    [("good", "dim", ""), ("warning", "summary warning", "!"), ("bad", "summary bad", "✕")],
)
async def test_the_page_shows_this_hosts_clock(level: str, style: str, symbol: str) -> None:
    note = HostClockNote("this host's clock: <b>", level)  # type: ignore[arg-type]
    page = await render_fleet(fleet(), FleetQuery(), NOW, SETTINGS, lambda _measured: note)
    found = re.search(r'<p id="host-clock" data-live class="([^"]*)">(.*)</p>', page)
    assert found is not None
    assert found[1] == style
    text = re.sub(r"<[^>]+>", "", found[2])
    assert text == f"{symbol} this host&#39;s clock: &lt;b&gt;".strip()


async def test_the_host_is_judged_by_all_devices_whatever_the_page_shows() -> None:
    devices = [polled(device(f"camera-{n}")) for n in range(5)]
    for each in devices[:3]:
        at_ns = NOW.steady_ns
        off_ns = NOW.unix_minus_steady_ns + 3_600_000_000
        sample = see_nonce(at_ns + off_ns, at_ns - 1_000_000, at_ns + 1_000_000)
        each.state.clock.take_poll([sample], 0)
    seen: list[float] = []

    def describe(measured: Sequence[float]) -> HostClockNote:
        seen.extend(measured)
        return HostClockNote("", "good")

    await render_fleet(devices, FleetQuery("nobody"), NOW, SETTINGS, describe)
    assert seen == [pytest.approx(3.6, abs=1e-3)] * 3
