"""Faults and their notifications, with the real Prometheus and Alertmanager.

A minute of the rules is a second here (tests/alerting/site.py). Every scenario lists all its
notifications, including resolved ones; any other notification fails the test.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.alerting.inbox import Inbox, Notice
from tests.alerting.scenarios import (
    DEVIATING,
    DEVICE_DOWN,
    DRIFTING,
    EXPORTER_KILLED,
    FAULTS,
    FLEET_UNREACHABLE,
    HOST_CLOCK_MEASURED,
    HOST_CLOCK_WRONG,
    HOST_UNSYNCHRONIZED,
    OFF_FROM_THE_START,
    SECONDS_TO_THE_LIMIT,
    SERVER_DEAD,
    SERVER_DOWN,
    USERS_OF_DEAD_SERVER,
    WRONG,
    DeviceFault,
    Scenario,
    lose_server,
    make_members,
    nothing,
    nts,
    set_dead,
    use_server,
)
from tests.alerting.site import SCALE, AlertingSite, alerting_site
from tests.alerting.table import DOCS, Row, documented_times, measured, write_table
from tests.support.chrony import chrony
from tests.support.programs import LOOPBACK

# One site for all of them.
pytestmark = pytest.mark.xdist_group("alerting")

TABLE_FILE: Final = "AXIS_NTP_ALERTING_TABLE"
"""The environment variable that names the page whose table is to be measured again."""

Suppressed = set[tuple[str, str, str]]
"""Device, alert, severity."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AlertingSite]:
    members = {member.device.name: member for member in make_members(healthy=12)}
    for name, seconds in OFF_FROM_THE_START.items():
        lose_server(members[name].device, seconds)
    nts(enabled=True)(members[DEVIATING].device)
    with alerting_site(list(members.values()), tmp_path_factory.mktemp("site")) as site:
        yield site


@pytest.fixture(scope="module")
def rows() -> Iterator[list[Row]]:
    """Collect the measured rows; write them to the page of the environment variable, if set."""
    rows: list[Row] = []
    yield rows
    if page := os.environ.get(TABLE_FILE):
        write_table(rows, Path(page))


@dataclass(frozen=True)
class FaultsRun:
    """The result of all device faults, which run at the same time on different devices.

    Meanwhile the kernel of the exporter's host says unsynchronized.
    """

    inbox: Inbox
    suppressed: Suppressed
    began: dict[str, float]
    repaired: float


@pytest.fixture(scope="module")
def faults_run(site: AlertingSite) -> FaultsRun:
    began = time.monotonic()
    site.set_kernel_flag(synchronized=False)
    for each in FAULTS:
        each.begin(site.fleet.device(each.device))
    firing = {each.scenario.notice(each.device, "firing") for each in FAULTS}
    wait_until_notified(site, site.started, firing | {HOST_UNSYNCHRONIZED.notice("", "firing")})
    suppressed = suppressed_now(site)
    repaired = time.monotonic()
    site.set_kernel_flag(synchronized=True)
    for each in FAULTS:
        each.repair(site.fleet.device(each.device))
    site.wait_until_quiet()
    begins = dict.fromkeys(["", *(each.device for each in FAULTS)], began)
    begins |= {WRONG: site.started, DRIFTING: began + SECONDS_TO_THE_LIMIT}
    return FaultsRun(site.inbox.since(site.started), suppressed, begins, repaired)


def wait_until_notified(site: AlertingSite, since: float, expected: set[Notice]) -> None:
    """Block until all these notifications were received and no other is pending."""
    site.eventually(lambda: expected <= site.inbox.since(since).notices(), f"received: {expected}")
    site.settle()


def suppressed_now(site: AlertingSite) -> Suppressed:
    found = site.alertmanager.alerts("suppressed")
    return {(each.get("device", ""), each["alertname"], each["severity"]) for each in found}


@pytest.mark.parametrize("each", FAULTS, ids=lambda each: each.device)
def test_a_device_fault_notifies_its_receiver_and_is_resolved(
    each: DeviceFault, faults_run: FaultsRun, rows: list[Row]
) -> None:
    notices = {one for one in faults_run.inbox.notices() if one.device == each.device}
    assert notices == each.scenario.notices(each.device)
    began = faults_run.began[each.device]
    # A step is not repaired: its alert ends after the window.
    ended = began if each.repair is nothing else faults_run.repaired
    rows.append(measured(each.scenario, each.device, faults_run.inbox, began, ended, SCALE))


def test_device_faults_cause_no_other_notifications(faults_run: FaultsRun) -> None:
    expected = [each.scenario.notices(each.device) for each in FAULTS]
    assert faults_run.inbox.notices() == HOST_UNSYNCHRONIZED.notices("").union(*expected)


def test_inhibited_alerts_fire_without_a_notification(faults_run: FaultsRun) -> None:
    assert faults_run.suppressed == {
        (each.device, alert.name, alert.severity)
        for each in FAULTS
        for alert in each.scenario.suppressed
    }


def test_the_kernels_flag_has_an_alert_and_silences_no_skew(
    faults_run: FaultsRun, rows: list[Row]
) -> None:
    inbox, began = faults_run.inbox, faults_run.began[""]
    [skew] = [
        each.scenario.notice(DRIFTING, "firing") for each in FAULTS if each.device == DRIFTING
    ]
    assert skew in inbox.since(began).notices()
    rows.append(measured(HOST_UNSYNCHRONIZED, "", inbox, began, faults_run.repaired, SCALE))


@dataclass
class DyingServer:
    """The last of three time servers that the exporter asks; some devices use it as well."""

    site: AlertingSite
    folder: Path
    port: int
    process: ExitStack

    @property
    def name(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    def die(self) -> None:
        self.process.close()
        self._tell_devices(dead=True)

    def revive(self) -> None:
        self.process.enter_context(chrony(self.folder, port=self.port))
        self._tell_devices(dead=False)

    def _tell_devices(self, *, dead: bool) -> None:
        for device in self.site.fleet.devices:
            set_dead(device, self.name, dead=dead)

    def seen(self, *, up: bool, since: float) -> float:
        """Return when the exporter first saw that it answers, or that it does not."""
        series = f'axis_ntp_time_server_up{{server="{self.name}"}} == {int(up)}'
        now, monotonic = time.time(), time.monotonic()
        start = now - (monotonic - since)
        # A step further than now, which has the sample of the last second too.
        [found] = self.site.prometheus.query_range(series, start, now + 1, 1)
        return monotonic - (now - min(found.values[0][0], now))


@contextmanager
def time_servers(site: AlertingSite, folder: Path) -> Iterator[DyingServer]:
    """Let the exporter ask three time servers until the block ends; they run and answered."""
    with ExitStack() as stack:
        ports = [stack.enter_context(chrony(folder)) for _ in range(2)]
        process = stack.enter_context(ExitStack())
        dying = DyingServer(site, folder, process.enter_context(chrony(folder)), process)
        for name in USERS_OF_DEAD_SERVER:
            use_server(site.fleet.device(name), dying.name)
        site.exporter.set_time_servers([*(f"{LOOPBACK}:{port}" for port in ports), dying.name])
        stack.callback(site.exporter.set_time_servers, [])
        site.prometheus.wait_for("count(axis_ntp_time_server_up == 1) == 3")
        users = f'axis_ntp_time_server_devices{{server="{dying.name}"}}'
        site.prometheus.wait_for(f"{users} == {len(USERS_OF_DEAD_SERVER)}")
        yield dying


@pytest.mark.usefixtures("faults_run")
def test_time_servers_tell_a_dead_server_and_a_wrong_host_clock_from_wrong_devices(
    site: AlertingSite, rows: list[Row], tmp_path: Path
) -> None:
    # At the same time, because a server is asked every 16 s at most.
    with time_servers(site, tmp_path) as server:
        began = time.monotonic()
        site.set_kernel_flag(synchronized=False)
        server.die()
        site.exporter.set_host_clock(3.0)
        measured_wrong = {HOST_CLOCK_MEASURED.notice("", "firing")}
        site.eventually(lambda: measured_wrong <= site.inbox.since(began).notices(), "a suspicion")
        [suspect] = site.prometheus.query("job_instance:axis_ntp_exporter_clock:suspect")
        clock_repaired = time.monotonic()
        site.exporter.set_host_clock(0.0)
        users = users_of(site, server.name)
        stalled = {SERVER_DEAD.notice(name, "firing") for name in users}
        wait_until_notified(site, began, stalled | {SERVER_DOWN.notice("", "firing")})
        unsynced = site.prometheus.query("axis_ntp_synced == 0")
        skews = f'ALERTS{{alertname="AxisNTPClockSkew"}}[{time.monotonic() - began:.0f}s]'
        skewed = site.prometheus.query(f"last_over_time({skews})")
        repaired = time.monotonic()
        server.revive()
        site.wait_until_quiet()
        failed, answered = (
            server.seen(up=False, since=began),
            server.seen(up=True, since=repaired),
        )
        # Last: without a measurement the flag has an alert.
        site.set_kernel_flag(synchronized=True)
    inbox = site.inbox.since(began)
    # The devices' median would be -3.
    assert 2.9 < suspect.value < 3
    assert (users, unsynced, skewed) == (set(USERS_OF_DEAD_SERVER), [], [])
    expected = (SERVER_DEAD.notices(name) for name in users)
    of_exporter = SERVER_DOWN.notices("") | HOST_CLOCK_MEASURED.notices("")
    assert inbox.notices() == of_exporter.union(*expected)
    for scenario, device, start, end in (
        (SERVER_DOWN, "", failed, answered),
        (SERVER_DEAD, USERS_OF_DEAD_SERVER[0], began, repaired),
        (HOST_CLOCK_MEASURED, "", began, clock_repaired),
    ):
        rows.append(measured(scenario, device, inbox, start, end, SCALE))


def users_of(site: AlertingSite, server: str) -> set[str]:
    found = site.prometheus.query(f'axis_ntp_server_info{{server="{server}",active="true"}}')
    return {series.labels["device"] for series in found}


@dataclass
class Timing:
    """Measures the times of one scenario of a whole exporter."""

    site: AlertingSite
    scenario: Scenario
    began: float
    repaired: float = 0.0

    def fired(self) -> None:
        """Block until its alert was received as firing; the repair begins now."""
        wait_until_notified(self.site, self.began, {self.scenario.notice("", "firing")})
        self.repaired = time.monotonic()


@contextmanager
def timed(site: AlertingSite, scenario: Scenario, rows: list[Row]) -> Iterator[Timing]:
    """Expect exactly the notifications of a scenario, which the block begins and repairs."""
    timing = Timing(site, scenario, time.monotonic())
    yield timing
    site.wait_until_quiet()
    inbox = site.inbox.since(timing.began)
    assert inbox.notices() == scenario.notices("")
    rows.append(measured(scenario, "", inbox, timing.began, timing.repaired, SCALE))


# After the device faults, which are repaired by then.
@pytest.mark.usefixtures("faults_run")
def test_an_unreachable_fleet_is_one_notification_not_one_per_device(
    site: AlertingSite, rows: list[Row]
) -> None:
    with timed(site, FLEET_UNREACHABLE, rows) as timing:
        for device in site.fleet.devices:
            device.fault = "hang"
        every = {(d.name, DEVICE_DOWN.name, DEVICE_DOWN.severity) for d in site.fleet.devices}
        site.eventually(lambda: suppressed_now(site) == every, "all are down and inhibited")
        timing.fired()
        heal_between_two_scrapes(site)


@pytest.mark.usefixtures("faults_run")
def test_a_killed_exporter_is_one_notification_and_its_return_none(
    site: AlertingSite, rows: list[Row]
) -> None:
    with timed(site, EXPORTER_KILLED, rows) as timing:
        site.exporter.kill()
        timing.fired()
        site.exporter.start()


@pytest.mark.usefixtures("faults_run")
def test_a_wrong_host_clock_is_one_notification_not_one_per_device(
    site: AlertingSite, rows: list[Row]
) -> None:
    with timed(site, HOST_CLOCK_WRONG, rows) as timing:
        site.exporter.set_host_clock(3.0)
        timing.fired()
        site.exporter.set_host_clock(0.0)


@pytest.mark.skipif(TABLE_FILE in os.environ, reason="the table is being measured again")
def test_the_measured_times_are_close_to_the_documented_ones(rows: list[Row]) -> None:
    documented = documented_times(DOCS)
    beside = {
        row.scenario.name: (row.times, documented[row.scenario.name])
        for row in rows
        if not row.is_close_to(documented[row.scenario.name])
    }
    assert rows
    assert beside == {}


def heal_between_two_scrapes(site: AlertingSite) -> None:
    """Remove the fault of every device while Prometheus is stopped.

    Otherwise Prometheus could see a part of the fleet up again and send DeviceDown alerts for the
    rest, which would be right but is not this scenario.
    """
    prometheus = site.prometheus.program.process
    prometheus.send_signal(signal.SIGSTOP)
    try:
        for device in site.fleet.devices:
            device.fault = None
        site.wait_until_all_are_up()
    finally:
        prometheus.send_signal(signal.SIGCONT)
