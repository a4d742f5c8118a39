"""The dashboards show the right values for a known fleet and count each device once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import unescape
from typing import Final
from urllib.parse import parse_qs, urlsplit
from urllib.request import urlopen

import pytest

from tests.dashboards.grafana import (
    PANEL_QUESTIONS,
    UIDS,
    Dashboard,
    Question,
    asking_panels,
)
from tests.dashboards.site import (
    AWKWARD,
    CLOCK_SECONDS,
    EXPIRING,
    EXPIRING_SECONDS,
    SECONDS_SEEN,
    STALLED,
    Site,
    answer,
)
from tests.support.prometheus import Series

# The demo's fleet and one more device. Down: garage-entry, dock-2, cold-store. Clocks off: dock-4
# by 1.8 s, till-2 and lobby by 3 s; lobby's clock steps while the site runs.
pytestmark = [pytest.mark.xdist_group("dashboards"), pytest.mark.timeout(180)]

DEVICES: Final = 21


UP: Final = 18


IN_NUMBERS: Final = {
    "fleet: Share answering A": UP / DEVICES,
    "fleet: Devices with problems A": DEVICES - UP,
    "fleet: Devices with problems B": len({"dock-4", "till-2", "lobby"}),
    "fleet: Devices with problems C": len({"stairwell-1", "cafeteria", "gate"}),
    "fleet: Devices with problems D": len({"cafeteria"}),
    "fleet: Devices with problems E": len({"cafeteria"}),
    "device: State now A": 9,
    "device: Measured offset A": 3,
    "device: Active servers A": 0,
    "device: Config compliant A": 0,
    "exporter: Exporters A": 2,
    "exporter: Devices polled A": 2 * DEVICES,
    "exporter: Last reload successful A": 1,
}


def question_of(place: str) -> Question:
    [found] = [each for each in PANEL_QUESTIONS if each.id == place]
    return found


@pytest.mark.parametrize("place", IN_NUMBERS)
def test_each_number_matches_the_fleet_and_counts_a_device_once(site: Site, place: str) -> None:
    [series] = answer(site, question_of(place))
    is_offset = place == "device: Measured offset A"
    assert series.value == pytest.approx(
        IN_NUMBERS[place], abs=CLOCK_SECONDS if is_offset else None
    )


SHARES: Final = {
    "Answering": f"{UP} of {DEVICES}",
    "Synchronized": f"{UP - len({'stairwell-1', 'cafeteria', 'gate'})} of {DEVICES}",
    # dock-2 hangs, so its clock is not measured.
    "Clock off": f"{len({'dock-4', 'till-2', 'lobby'})} of {DEVICES - 1}",
    "Clock far off": f"{len({'till-2', 'lobby'})} of {DEVICES - 1}",
    "Stepped": f"{len({'lobby'})} of {DEVICES}",
    "Config compliant": f"{UP - len({'cafeteria'})} of {UP}",
}


@pytest.mark.parametrize("title", SHARES)
def test_each_share_matches_the_fleet_and_counts_a_device_once(site: Site, title: str) -> None:
    [series] = answer(site, question_of(f"fleet: {title} A"))
    assert series.labels["shown"] == SHARES[title]


def test_a_share_of_nothing_is_0_of_all(site: Site) -> None:
    [series] = answer(site, question_of("fleet: Clock off A"), {"device": ["dock-1"]})
    assert series.labels["shown"] == "0 of 1"


@pytest.mark.parametrize("uid", ["fleet", "device"])
def test_the_alerts_of_an_ha_pair_are_counted_once(site: Site, uid: str) -> None:
    critical, warning = (question_of(f"{uid}: Alerts {letter}") for letter in "AB")
    # Both: AxisNTPClockSkew.
    [far_off] = answer(site, critical, {"device": ["till-2", "dock-4"]})
    [off] = answer(site, warning, {"device": ["dock-4"]})
    assert (far_off.value, off.value) == (1, 1)
    assert answer(site, critical, {"device": ["dock-1"]}) == []


def test_the_sites_have_their_columns(site: Site) -> None:
    failing, devices, worst, off, unsynchronized, mismatches = (
        by_label(answer(site, question_of(f"fleet: Sites {letter}")), "site") for letter in "ABCDEF"
    )
    assert sum(devices.values()) == DEVICES
    assert sum(failing.values()) == DEVICES - UP
    assert sum(off.values()) == len({"dock-4", "till-2", "lobby"})
    assert sum(unsynchronized.values()) == len({"stairwell-1", "cafeteria", "gate"})
    assert sum(mismatches.values()) == len({"cafeteria"})
    assert worst == pytest.approx({"hq": 3, "warehouse": 1.8, "shop": 3}, abs=CLOCK_SECONDS)


def by_label(found: Sequence[Series], label: str) -> dict[str, float]:
    return {series.labels[label]: series.value for series in found}


def test_failing_devices_are_counted_once_by_reason(site: Site) -> None:
    found = answer(site, question_of("fleet: Failing devices A"))
    assert by_label(found, "reason") == {"unauthorized": 1, "timeout": 1, "unsupported": 1}


def test_the_total_of_failed_polls_is_0_without_failures(site: Site) -> None:
    [fleet] = answer(site, question_of("fleet: Failed polls B"))
    # Three devices, polled by two exporters every second.
    assert 1 < fleet.value < 7
    [healthy] = answer(site, question_of("fleet: Failed polls B"), {"device": ["till-1"]})
    assert healthy.value == 0


def test_the_worst_clocks_show_the_certain_offset(site: Site) -> None:
    found = by_label(answer(site, question_of("fleet: Worst clocks A")), "device")
    worst = {name: value for name, value in found.items() if value > 0.5}
    assert worst == pytest.approx({"dock-4": 1.8, "till-2": 3, "lobby": 3}, abs=CLOCK_SECONDS)


def test_the_distribution_has_each_clock_between_the_bounds_on_both_sides_of_0(site: Site) -> None:
    found = by_label(answer(site, question_of("fleet: Distribution of measured offsets A")), "le")
    # dock-2 hangs, so its clock is not measured; dock-4 is 1.8 s behind.
    assert (found["0.5"], found["2"], found["+Inf"]) == (17, 18, 20)


def test_the_quantiles_match_the_clocks(site: Site) -> None:
    names = {
        each.query["legendFormat"]: each
        for each in PANEL_QUESTIONS
        if "Measured offsets" in each.place
    }
    last = {name: answer(site, names[name])[0].value for name in ("minimum", "median", "maximum")}
    assert last == pytest.approx({"minimum": -1.8, "median": 0, "maximum": 3}, abs=CLOCK_SECONDS)


STATES: Final = {
    "dock-2": 9,
    "lobby": 8,
    "dock-4": 7,
    "gate": 6,
    "stairwell-1": 5,
    "cafeteria": 4,
    STALLED: 3,
    EXPIRING: 1,
    "dock-1": 0,
}


def test_the_panels_show_the_worst_state_of_a_device(site: Site) -> None:
    found = by_label(answer(site, question_of("fleet: Devices, worst first A")), "device")
    assert {name: found[name] for name in STATES} == STATES
    now = {
        name: answer(site, question_of("device: State now A"), {"device": [name]})[0].value
        for name in STATES
    }
    assert now == STATES


def test_the_columns_of_the_table_match_the_devices(site: Site) -> None:
    def of(letter: str, device: str) -> float:
        place = f"fleet: Devices, worst first {letter}"
        return by_label(answer(site, question_of(place)), "device")[device]

    [reason] = [
        (series.labels["reason"], series.labels["code"])
        for series in answer(site, question_of("fleet: Devices, worst first B"))
        if series.labels["device"] == "garage-entry"
    ]
    assert reason == ("unauthorized", "401")
    assert of("C", "dock-4") == pytest.approx(-1.8, abs=CLOCK_SECONDS)
    assert 0 < of("D", "dock-4") < CLOCK_SECONDS
    # It lost its server while its clock was right: the reported offset is still small.
    assert abs(of("E", "dock-4")) < 0.1
    assert (of("F", "lobby"), of("F", "gate")) == (2, 0)
    # In milliseconds, the unit of Grafana's dates.
    assert of("G", "dock-1") == pytest.approx(site.span.end * 1000, abs=10_000)


def test_the_servers_in_force_are_counted_by_device(site: Site) -> None:
    found = answer(site, question_of("fleet: Active servers A"))
    # Of those that answer, gate has none. Eight use the dead server, the others both that answer.
    assert sorted(series.value for series in found) == [8, UP - 1 - 8, UP - 1 - 8]


def test_the_band_holds_the_offset(site: Site) -> None:
    of_one = {"device": ["dock-4"], "instance": [site.exporters[0]]}
    offset, above, below = (
        answer(site, question_of(f"device: Measured offset with its uncertainty {letter}"), of_one)[
            0
        ]
        for letter in "ABC"
    )
    assert below.value < offset.value < above.value
    assert offset.value == pytest.approx(-1.8, abs=CLOCK_SECONDS)


def test_the_drift_is_in_ppm_and_within_its_band(site: Site) -> None:
    of_one = {"device": ["dock-4"], "instance": [site.exporters[0]]}
    panel = "device: Measured drift with its uncertainty"
    found = [answer(site, question_of(f"{panel} {letter}"), of_one)[0].value for letter in "ABC"]
    assert found == pytest.approx([20, 23, 17])


def test_an_offset_of_a_device_without_its_server_is_unchanged(site: Site) -> None:
    [stalled] = answer(
        site,
        question_of("device: Reported offset unchanged A"),
        {"device": ["dock-4"], "instance": [site.exporters[0]]},
    )
    assert stalled.value > SECONDS_SEEN / 2


def test_the_time_servers_have_their_columns(site: Site) -> None:
    one = {"instance": [site.exporters[0]]}
    up, offsets, strata, selectable, devices = (
        sorted(
            each.value
            for each in answer(site, question_of(f"exporter: Time servers {letter}"), one)
        )
        for letter in "ABCDE"
    )
    # One server of the demo is dead, and tells nothing.
    assert (up, selectable) == ([0, 1, 1], [1, 1])
    assert offsets == pytest.approx([0, 0], abs=0.05)
    assert len(strata) == 2
    assert devices == [8, UP - 1 - 8, UP - 1 - 8]


def test_only_a_device_that_has_responded_has_a_last_success(
    site: Site,
) -> None:
    question = question_of("device: Last success A")
    assert answer(site, question, {"device": ["dock-2"]}) == []
    [recent] = answer(site, question, {"device": ["dock-1"]})
    assert 0 < recent.value < 10


def test_no_poll_is_overdue(site: Site) -> None:
    [overdue] = answer(site, question_of("device: Overdue A"), {"device": ["dock-1"]})
    assert 0 <= overdue.value < 10


def test_memory_and_start_time_are_the_exporters(site: Site) -> None:
    memory = answer(site, question_of("exporter: Memory A"))
    assert all(20e6 < series.value < 500e6 for series in memory)
    [started] = answer(site, question_of("exporter: Started A"))
    assert site.span.start * 1000 - 60_000 < started.value < site.span.end * 1000


def test_a_selected_site_shows_only_its_devices(site: Site) -> None:
    answering = question_of("fleet: Answering A")
    [hq] = answer(site, answering, {"site": ["hq"]})
    [two] = answer(site, answering, {"site": ["hq", "shop"]})
    assert (hq.labels["shown"], two.labels["shown"]) == ("8 of 9", "11 of 12")


def links_of(title: str, column: str) -> Sequence[str]:
    """Return the URLs of the links of a column."""
    [panel] = [each for uid in UIDS for each in asking_panels(uid) if each["title"] == title]
    [override] = [
        {one["id"]: one["value"] for one in each["properties"]}
        for each in panel["fieldConfig"]["overrides"]
        if each["matcher"] == {"id": "byName", "options": column}
    ]
    return [link["url"] for link in override["links"]]


def opened(site: Site, link: str, row: Mapping[str, str]) -> tuple[str, Mapping[str, list[str]]]:
    """Return the path and the parameters of a link to a dashboard."""
    url = urlsplit(Dashboard("axis-ntp-fleet").url(link, row, site.span))
    return url.path, parse_qs(url.query, keep_blank_values=True)


def test_a_row_of_the_fleet_links_to_its_device(site: Site) -> None:
    row = {"job": 'axis "ntp"', "device": AWKWARD, "__value": AWKWARD}
    [link] = links_of("Devices, worst first", "device")
    path, parameters = opened(site, link, row)
    assert path == "/d/axis-ntp-device"
    assert (parameters["var-job"], parameters["var-device"]) == ([row["job"]], [AWKWARD])
    assert parameters["var-instance"] == ["$__all"]
    assert parameters["var-exporter_url"] == ["http://$1"]
    assert {"from", "to"} <= set(parameters)


def test_a_row_of_the_sites_links_to_the_fleet_of_the_site(site: Site) -> None:
    [link] = links_of("Sites", "site")
    path, parameters = opened(site, link, {"__value": "north & south"})
    assert path == "/d/axis-ntp-fleet"
    assert parameters["var-site"] == ["north & south"]
    assert parameters["var-job"] == ["$__all"]
    assert parameters["var-exporter_url"] == ["http://$1"]
    assert {"from", "to"} <= set(parameters)


ADDRESSES: Final = [("fleet", "Devices, worst first", "I"), ("device", "Addresses", "A")]


@pytest.mark.parametrize(("uid", "title", "letter"), ADDRESSES)
def test_an_address_links_to_the_device_and_to_its_page_on_an_exporter(
    site: Site, uid: str, title: str, letter: str
) -> None:
    question = question_of(f"{uid}: {title} {letter}")
    [series] = answer(site, question, {"device": [AWKWARD]})
    device, page = (
        Dashboard(question.uid).url(link, series.labels, site.span)
        for link in links_of(title, "address")
    )
    assert device == f"http://{series.labels['address']}"
    # The page is there, and it is the device's.
    with urlopen(page) as response:
        assert AWKWARD in unescape(response.read().decode())


@pytest.mark.parametrize(("uid", "title", "letter"), ADDRESSES)
def test_the_exporter_of_the_links_can_be_chosen(
    site: Site, uid: str, title: str, letter: str
) -> None:
    chosen = {"exporter_url": ["https://ntp.example/axis"], "device": ["lobby"]}
    [series] = answer(site, question_of(f"{uid}: {title} {letter}"), chosen)
    page = Dashboard(f"axis-ntp-{uid}").url(links_of(title, "address")[1], series.labels, site.span)
    assert page == "https://ntp.example/axis/device/lobby"


def test_a_device_has_its_drift_and_the_time_until_its_certificate_ends(site: Site) -> None:
    chosen = {"device": [EXPIRING], "instance": [site.exporters[0]]}
    [drift] = answer(site, question_of("device: Measured drift A"), chosen)
    [left] = answer(site, question_of("device: Certificate ends in A"), chosen)
    [when] = answer(site, question_of("device: Addresses B"), chosen)
    assert drift.value == pytest.approx(20)
    assert left.value == pytest.approx(EXPIRING_SECONDS, abs=10)
    assert when.value == pytest.approx((site.span.end + EXPIRING_SECONDS) * 1000, abs=10_000)


def test_the_fastest_drifts_are_certain_and_in_ppm(site: Site) -> None:
    found = answer(site, question_of("fleet: Fastest drifts A"))
    assert len(found) == 10
    assert all(series.value == pytest.approx(17) for series in found)
