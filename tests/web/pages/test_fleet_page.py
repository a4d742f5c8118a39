"""The fleet at a glance: who is shown, in which order, and at what cost."""

import re
from collections.abc import Iterable

import pytest

from exporter.devices.device import Device
from exporter.fleet.registry import Fleet
from exporter.vapix.errors import PollTimeout, Unauthorized
from exporter.web.pages.fleet_page import (
    DEVICES_IN_A_PIECE,
    ROWS_ON_A_PAGE,
    Survey,
    excerpt,
    natural_key,
    render_fleet,
    row_of,
)
from exporter.web.pages.fleet_query import FleetQuery
from tests.support.readings import ntp_client, replace_fields
from tests.support.turns import counting_turns
from tests.web.pages.site import NOW, SYNCED, device, polled


def fleet() -> list[Device]:
    return [
        polled(device("dock-10", site="port"), replace_fields(SYNCED, offset_seconds=0.02), ago=30),
        polled(device("dock-2", site="port"), replace_fields(SYNCED, offset_seconds=-0.05), ago=20),
        polled(device("gate", "192.0.2.7", site="hq"), Unauthorized("HTTP 401: no", 401)),
        device("new", site="hq"),
        polled(device("Lobby", site="hq"), ntp_client(enabled=True, synced=False), ago=40),
    ]


def asked(query: FleetQuery, devices: Iterable[Device] | None = None) -> list[str]:
    survey = Survey()
    survey.take(fleet() if devices is None else devices, query, NOW)
    return [match.device.target.name for match in survey.ordered(query)]


def test_those_in_trouble_come_first_then_by_name() -> None:
    assert asked(FleetQuery()) == ["gate", "Lobby", "new", "dock-2", "dock-10"]


@pytest.mark.parametrize(
    ("sort", "names"),
    [
        ("device", ["dock-2", "dock-10", "gate", "Lobby", "new"]),
        ("offset", ["dock-2", "dock-10", "gate", "Lobby", "new"]),
        ("polled", ["Lobby", "dock-10", "dock-2", "gate", "new"]),
        ("clock", ["dock-2", "dock-10", "gate", "Lobby", "new"]),
    ],
)
def test_columns_sort_and_the_unknown_come_last(sort: str, names: list[str]) -> None:
    assert asked(FleetQuery(sort=sort)) == names


@pytest.mark.parametrize(
    ("sort", "names"),
    [
        ("device", ["new", "Lobby", "gate", "dock-10", "dock-2"]),
        ("state", ["dock-2", "dock-10", "new", "Lobby", "gate"]),
        ("offset", ["dock-10", "dock-2", "gate", "Lobby", "new"]),
        ("polled", ["gate", "dock-2", "dock-10", "Lobby", "new"]),
    ],
)
def test_turned_round_the_unknown_come_last_too(sort: str, names: list[str]) -> None:
    assert asked(FleetQuery(sort=sort, turned=True)) == names


def test_clocks_sort_by_how_far_off_they_are_either_way() -> None:
    ahead = polled(device("ahead"), date="Sun, 09 Sep 2001 01:46:42 GMT")
    behind = polled(device("behind"), date="Sun, 09 Sep 2001 01:46:30 GMT")
    assert asked(FleetQuery(sort="clock"), [ahead, behind]) == ["behind", "ahead"]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("dock", ["dock-2", "dock-10"]),
        ("LOBBY", ["Lobby"]),
        ("192.0.2.7", ["gate"]),
        ("site=hq", ["gate", "Lobby", "new"]),
        ("hq not", ["Lobby", "new"]),
        ("unauthorized", ["gate"]),
        ("nothing like it", []),
    ],
)
def test_every_word_is_looked_for_in_name_address_labels_and_state(
    text: str, names: list[str]
) -> None:
    assert asked(FleetQuery(text)) == names


def test_a_state_shows_those_that_stand_so_and_the_counts_stay_the_fleets() -> None:
    survey, query = Survey(), FleetQuery(state="good")
    survey.take(fleet(), query, NOW)
    assert [match.device.target.name for match in survey.ordered(query)] == ["dock-2", "dock-10"]
    assert survey.counts == {"bad": 1, "warning": 1, "waiting": 1, "good": 2}


def test_names_sort_as_people_do() -> None:
    names = ["b", "Camera 10", "camera 9", "a", "camera 9b"]
    assert sorted(names, key=natural_key) == ["a", "b", "camera 9", "camera 9b", "Camera 10"]


def test_a_row_tells_what_is_known_and_leaves_out_what_is_not() -> None:
    row = row_of(fleet()[1], NOW)
    assert (row.offset, row.servers, row.last_poll) == (
        "-50.000 ms",
        "192.0.2.1, 192.0.2.2",
        "20s ago",
    )
    failed = row_of(fleet()[2], NOW)
    assert (failed.offset, failed.clock, failed.servers) == ("", "", "")
    assert (failed.state, failed.error) == ("unauthorized 401", "HTTP 401: no")


def many(count: int) -> list[Device]:
    return [polled(device(f"camera-{n}")) for n in range(count)]


@pytest.mark.parametrize(
    ("count", "page", "shown"),
    [(0, 1, (1, 0, 1)), (100, 1, (1, 100, 1)), (101, 2, (101, 1, 2)), (250, 99, (201, 50, 3))],
)
def test_a_page_beyond_the_last_is_the_last(
    count: int, page: int, shown: tuple[int, int, int]
) -> None:
    survey, query = Survey(), FleetQuery(sort="device")
    survey.take(many(count), query, NOW)
    part = excerpt(survey.ordered(query), page, NOW)
    assert (part.first, len(part.rows), part.pages) == shown


async def test_only_a_page_is_put_in_words_and_polls_go_on_between_the_pieces() -> None:
    async with counting_turns() as turns:
        page = await render_fleet(Fleet(many(3000)), FleetQuery(), NOW, "/metrics")
    assert page.count("data-row") == ROWS_ON_A_PAGE
    assert turns.count >= 3000 / DEVICES_IN_A_PIECE
    assert DEVICES_IN_A_PIECE <= 500


async def test_the_page_says_how_many_and_of_how_many() -> None:
    devices = [*many(250), polled(device("gate"), PollTimeout("late"))]
    page = await render_fleet(devices, FleetQuery("camera", page=2), NOW, "/metrics")
    said = " ".join(re.sub(r"<[^>]+>", " ", page).split())
    assert "251 devices" in said
    assert "101 to 200 of 250 devices, out of 251" in said
    assert "Page 2 of 3" in said


async def test_an_empty_fleet_and_a_filter_that_fits_nobody_are_said() -> None:
    for devices in ([], many(2)):
        page = await render_fleet(devices, FleetQuery("zebra"), NOW, "/metrics")
        assert "No device is like that." in page
        assert "<table" not in page
