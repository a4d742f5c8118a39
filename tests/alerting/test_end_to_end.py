"""Faults of a site, and what its people are told: with the real Prometheus and Alertmanager.

A minute of the rules is a second here (tests/alerting/site.py). Every scenario says all that is
told of it, resolved included; whatever else is told makes it fail.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.alerting.inbox import Inbox, Told
from tests.alerting.scenarios import (
    DEVIATING,
    DEVICE_DOWN,
    DRIFTING,
    EXPORTER_KILLED,
    FAULTS,
    FLEET_UNREACHABLE,
    HOST_CLOCK_WRONG,
    SECONDS_TO_THE_LIMIT,
    SERVERLESS_SINCE_LONG,
    WRONG,
    Fault,
    Scenario,
    lose_server,
    make_members,
    nothing,
    nts,
)
from tests.alerting.site import SCALE, Site, running_site
from tests.alerting.table import DOCS, Row, documented_times, measured, write_table

# One site for all of them.
pytestmark = pytest.mark.xdist_group("alerting")

TABLE_FILE: Final = "AXIS_NTP_ALERTING_TABLE"
"""The environment variable that names the page whose table is to be measured anew."""

Suppressed = set[tuple[str, str, str]]
"""Device, alert, severity."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    members = {member.device.name: member for member in make_members(healthy=12)}
    for name, seconds in SERVERLESS_SINCE_LONG.items():
        lose_server(members[name].device, seconds)
    nts(enabled=True)(members[DEVIATING].device)
    with running_site(list(members.values()), tmp_path_factory.mktemp("site")) as site:
        yield site


@pytest.fixture(scope="module")
def rows() -> Iterator[list[Row]]:
    """The measured rows; written into the page that the environment names, if it does."""
    rows: list[Row] = []
    yield rows
    if page := os.environ.get(TABLE_FILE):
        write_table(rows, Path(page))


@dataclass(frozen=True)
class Course:
    """How the faults of single devices went: all at a time, each on a device of its own."""

    inbox: Inbox
    suppressed: Suppressed
    began: dict[str, float]
    mended: float


@pytest.fixture(scope="module")
def course(site: Site) -> Course:
    began = time.monotonic()
    for each in FAULTS:
        each.begin(site.fleet.device(each.device))
    firing = {each.scenario.told(each.device, "firing") for each in FAULTS}
    until_told(site, site.started, firing)
    suppressed = suppressed_now(site)
    mended = time.monotonic()
    for each in FAULTS:
        each.mend(site.fleet.device(each.device))
    site.calm_down()
    begins = dict.fromkeys([each.device for each in FAULTS], began)
    begins |= {WRONG: site.started, DRIFTING: began + SECONDS_TO_THE_LIMIT}
    return Course(site.inbox.since(site.started), suppressed, begins, mended)


def until_told(site: Site, since: float, told: set[Told]) -> None:
    """Block until all of this is told, and nothing is under way that could still be told."""
    site.eventually(lambda: told <= site.inbox.since(since).told(), f"all is told: {told}")
    site.settle()


def suppressed_now(site: Site) -> Suppressed:
    found = site.alertmanager.alerts("suppressed")
    return {(each.get("device", ""), each["alertname"], each["severity"]) for each in found}


@pytest.mark.parametrize("each", FAULTS, ids=lambda each: each.device)
def test_a_fault_of_a_device_is_told_to_whom_it_concerns_and_resolved(
    each: Fault, course: Course, rows: list[Row]
) -> None:
    told = {told for told in course.inbox.told() if told.device == each.device}
    assert told == each.scenario.all_told(each.device)
    began = course.began[each.device]
    # Nothing mends a jump: it is told until its window is over.
    ended = began if each.mend is nothing else course.mended
    rows.append(measured(each.scenario, each.device, course.inbox, began, ended, SCALE))


def test_of_faults_of_devices_nothing_else_is_told(course: Course) -> None:
    all_told = [each.scenario.all_told(each.device) for each in FAULTS]
    assert course.inbox.told() == set().union(*all_told)


def test_what_another_alert_makes_pointless_fires_and_is_not_told(course: Course) -> None:
    assert course.suppressed == {
        (each.device, alert.name, alert.severity)
        for each in FAULTS
        for alert in each.scenario.suppressed
    }


@dataclass
class Watch:
    """Takes the time of one scenario of a whole exporter."""

    site: Site
    scenario: Scenario
    began: float
    mended: float = 0.0

    def fired(self) -> None:
        """Block until it is told as firing; from here on it is mended."""
        until_told(self.site, self.began, {self.scenario.told("", "firing")})
        self.mended = time.monotonic()


@contextmanager
def watched(site: Site, scenario: Scenario, rows: list[Row]) -> Iterator[Watch]:
    """The block lets a scenario begin and end: it is told, resolved, and nothing else is told."""
    watch = Watch(site, scenario, time.monotonic())
    yield watch
    site.calm_down()
    inbox = site.inbox.since(watch.began)
    assert inbox.told() == scenario.all_told("")
    rows.append(measured(scenario, "", inbox, watch.began, watch.mended, SCALE))


# After the faults of single devices: what befell those is over by then.
@pytest.mark.usefixtures("course")
def test_a_fleet_that_cannot_be_reached_is_told_once_and_not_by_device(
    site: Site, rows: list[Row]
) -> None:
    with watched(site, FLEET_UNREACHABLE, rows) as watch:
        for device in site.fleet.devices:
            device.fault = "hang"
        every = {(d.name, DEVICE_DOWN.name, DEVICE_DOWN.severity) for d in site.fleet.devices}
        site.eventually(lambda: suppressed_now(site) == every, "all are down, and not told")
        watch.fired()
        heal_between_two_scrapes(site)


@pytest.mark.usefixtures("course")
def test_an_exporter_that_is_killed_is_told_and_its_return_makes_no_noise(
    site: Site, rows: list[Row]
) -> None:
    with watched(site, EXPORTER_KILLED, rows) as watch:
        site.exporter.kill()
        watch.fired()
        site.exporter.start()


@pytest.mark.usefixtures("course")
def test_a_wrong_clock_of_the_exporters_host_is_told_once_and_not_by_device(
    site: Site, rows: list[Row]
) -> None:
    with watched(site, HOST_CLOCK_WRONG, rows) as watch:
        site.exporter.set_host_clock(3.0)
        watch.fired()
        site.exporter.set_host_clock(0.0)


@pytest.mark.skipif(TABLE_FILE in os.environ, reason="the table is being measured anew")
def test_what_was_measured_is_about_what_the_docs_say(rows: list[Row]) -> None:
    told = documented_times(DOCS)
    beside = {
        row.scenario.name: (row.times, told[row.scenario.name])
        for row in rows
        if not row.is_about(told[row.scenario.name])
    }
    assert rows
    assert beside == {}


def heal_between_two_scrapes(site: Site) -> None:
    """Let every device answer again, with Prometheus looking only when all of them do.

    Seen half-way, the fleet is reachable again and its stragglers are down: that is right, and may
    be told, but it is not this scenario.
    """
    prometheus = site.prometheus.program.process
    prometheus.send_signal(signal.SIGSTOP)
    try:
        for device in site.fleet.devices:
            device.fault = None
        site.wait_until_all_are_up()
    finally:
        prometheus.send_signal(signal.SIGCONT)
