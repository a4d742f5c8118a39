"""The clocks of a simulated fleet as the daemon measures them, against their true offsets."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from exporter.clock.host import kernel_says_synchronized
from exporter.simulator.fleet import SimulatedFleet, build_fleet, serve_fleet
from tests.daemon.series import POLLS
from tests.support.daemon_process import DaemonProcess, Scrape, daemon_on
from tests.support.programs import faked_wall_clock
from tests.support.wall_clock import WallClock

OFFSET = "axis_ntp_clock_offset_seconds"
UNCERTAINTY = "axis_ntp_clock_offset_uncertainty_seconds"
STEPS = "axis_ntp_clock_steps_total"


@pytest.fixture
def wall() -> WallClock:
    return WallClock()


def assert_truth_inside(found: Scrape, fleet: SimulatedFleet, wall: WallClock) -> None:
    uncertainty, moved = found.by_device(UNCERTAINTY), wall.moved_seconds()
    for name, offset in found.by_device(OFFSET).items():
        truth = fleet.device(name).clock.offset_seconds
        numbers = f"{name}: {offset=} {truth=} {uncertainty[name]=} {moved=}"
        assert abs(offset - truth) <= uncertainty[name] + moved, numbers


def fewest_polls(found: Scrape) -> float:
    return min(found.by_device(POLLS).values())


async def after_another_poll(running: DaemonProcess, found: Scrape) -> Scrape:
    return await running.until(lambda now: fewest_polls(now) > fewest_polls(found))


@asynccontextmanager
async def read_every_second(
    fleet: SimulatedFleet, folder: Path, *flags: str, keepalive_seconds: float = 180
) -> AsyncIterator[DaemonProcess]:
    async with serve_fleet(fleet, keepalive_seconds=keepalive_seconds) as served:
        config = served.exporter_config(interval="1s", timeout="1s")
        async with daemon_on(config, folder, *flags) as running:
            yield running


def first_poll_seconds(log: str) -> dict[str, float]:
    """Return how long each device's first poll took, as the log says at level debug."""
    polls = re.findall(r"event=poll\.ended device=(\S+) .*?seconds=(\S+)", log)
    return {name: float(seconds) for name, seconds in reversed(polls)}


async def test_one_poll_of_a_digest_device_measures_its_clock_to_half_its_duration(
    tmp_path: Path, wall: WallClock
) -> None:
    fleet = build_fleet(8, auth="digest")
    truths = (0.0, 3.25, -0.4, 1e6, -7200.125, 86_400.5, -time.time(), 4.3e9 - time.time())
    for device, truth in zip(fleet.devices, truths, strict=True):
        device.clock.offset_seconds = truth
    started = wall.now()
    async with read_every_second(fleet, tmp_path, "--log.level=debug") as running:
        found = await running.ready()
        elapsed_seconds = wall.now().steady_seconds - started.steady_seconds
    uncertainty, first = found.by_device(UNCERTAINTY), first_poll_seconds(running.text)
    assert uncertainty.keys() == first.keys() == {device.name for device in fleet.devices}
    # The first poll contains the challenge. 100 ppm of drift, and the reading of the host's clocks.
    slack = elapsed_seconds * 100e-6 + 0.001
    assert all(uncertainty[name] <= first[name] / 2 + slack for name in first), (uncertainty, first)
    assert_truth_inside(found, fleet, wall)
    for device in fleet.devices:
        ended = running.text.count(f"event=poll.ended device={device.name} ")
        # One for the challenge, and one of a poll that the end of the daemon cancelled.
        assert device.requests.total <= ended + 2


async def test_dates_alone_measure_to_20_ms_and_always_contain_the_true_offset(
    tmp_path: Path, wall: WallClock
) -> None:
    async with asyncio.TaskGroup() as both:
        for keepalive_seconds in (180, 0.1):
            folder = tmp_path / str(keepalive_seconds)
            folder.mkdir()
            both.create_task(dates_alone_measure(keepalive_seconds, folder, wall))


async def dates_alone_measure(keepalive_seconds: float, folder: Path, wall: WallClock) -> None:
    fleet = build_fleet(6, scheme="https", auth="basic")
    for number, device in enumerate(fleet.devices):
        device.clock.offset_seconds = 0.137 * number - 3
    async with read_every_second(fleet, folder, keepalive_seconds=keepalive_seconds) as running:
        found = await running.ready()
        # 12 polls on an idle machine (bench/clock.py), some more on a loaded one.
        while max(found.by_device(UNCERTAINTY).values()) > 0.020:
            assert_truth_inside(found, fleet, wall)
            assert fewest_polls(found) < 60
            found = await after_another_poll(running, found)
    for device in fleet.devices:
        assert device.requests.statuses[401] == 1, "no extra request for the clock"
        assert device.requests.total <= found.by_device(POLLS)[device.name] + 3


async def test_a_step_is_counted_once(tmp_path: Path, wall: WallClock) -> None:
    fleet = build_fleet(3, scheme="http", auth="digest")
    forward, backward, steady = fleet.devices
    counted = {forward.name: 1, backward.name: 1, steady.name: 0}
    async with read_every_second(fleet, tmp_path) as running:
        await running.until(lambda now: fewest_polls(now) >= 2)
        forward.clock.step(3.0)
        backward.clock.step(-0.4)
        found = await running.until(lambda now: now.by_device(STEPS) == counted)
        later = await running.until(lambda now: fewest_polls(now) >= fewest_polls(found) + 3)
        assert_truth_inside(later, fleet, wall)
    assert later.by_device(STEPS) == counted
    assert running.text.count("event=device.clock_stepped") == 2


RESPONDING = [
    "unauthorized",
    "stale_every_request",
    "factory_new",
    "wrong_role_403",
    "not_found",
    "http_503",
    "redirect",
    "not_json",
    "huge_body",
    "slow_body",
    "api_error_1000",
    "api_error_4002",
]
SILENT = ["hang", "drop", "slow_headers"]
WITHOUT_DATE = ["date_absent", "date_nonsense"]
WITH_ODD_DATE = ["date_rfc850", "date_asctime", "foreign_nonce"]


async def test_every_response_measures_the_clock_and_only_a_response_does(
    tmp_path: Path, wall: WallClock
) -> None:
    fleet = build_fleet(60, "mixed")
    states = {member.labels["state"]: member.device.name for member in fleet.members}
    async with read_every_second(fleet, tmp_path) as running:
        found = await running.ready()
    up, offset = found.by_device("axis_ntp_up"), found.by_device(OFFSET)
    seen = {state: (up[name], name in offset) for state, name in states.items()}
    assert {state: seen[state] for state in RESPONDING} == dict.fromkeys(RESPONDING, (0, True))
    assert {state: seen[state] for state in SILENT} == dict.fromkeys(SILENT, (0, False))
    assert {s: seen[s] for s in WITHOUT_DATE} == dict.fromkeys(WITHOUT_DATE, (1, False))
    assert {s: seen[s] for s in WITH_ODD_DATE} == dict.fromkeys(WITH_ODD_DATE, (1, True))
    assert set(found.by_device(STEPS).values()) == {0}
    assert_truth_inside(found, fleet, wall)


async def test_a_clock_is_unknown_while_the_device_does_not_respond(
    tmp_path: Path, wall: WallClock
) -> None:
    fleet = build_fleet(1)
    (device,) = fleet.devices
    async with serve_fleet(fleet) as served:
        config = served.exporter_config(interval="500ms", timeout="200ms")
        async with daemon_on(config, tmp_path) as running:
            await running.until(lambda now: device.name in now.by_device(OFFSET))
            device.fault = "hang"
            await running.until(lambda now: device.name not in now.by_device(OFFSET))
            device.fault = None
            found = await running.until(lambda now: device.name in now.by_device(OFFSET))
    assert_truth_inside(found, fleet, wall)
    assert found.by_device(STEPS) == {device.name: 0}


async def test_the_hosts_clock_status_is_the_kernels(tmp_path: Path) -> None:
    config = {"devices": [{"address": "127.0.0.1:1"}]}
    async with daemon_on(config, tmp_path) as running:
        found = await running.scrape()
    values = [value for _, value in found.all("axis_ntp_exporter_host_clock_synchronized")]
    synchronized = kernel_says_synchronized()
    assert values == ([] if synchronized is None else [float(synchronized)])


async def test_a_step_of_the_hosts_clock_moves_every_offset_and_counts_no_device_step(
    tmp_path: Path, wall: WallClock
) -> None:
    fleet = build_fleet(3, scheme="http", auth="digest")
    host_offset = tmp_path / "host-clock"
    host_offset.write_text("+0.000\n")
    faked = faked_wall_clock(FAKETIME_TIMESTAMP_FILE=str(host_offset), FAKETIME_NO_CACHE="1")
    async with serve_fleet(fleet) as served:
        config = served.exporter_config(interval="1s", timeout="1s")
        async with daemon_on(config, tmp_path, env=faked) as running:
            await running.ready()
            host_offset.write_text("-7.500\n")
            found = await running.until(
                lambda now: all(abs(o - 7.5) < 0.1 for o in now.by_device(OFFSET).values())
            )
            later = await after_another_poll(running, found)
    for device in fleet.devices:
        device.clock.step(7.5)
    assert_truth_inside(later, fleet, wall)
    assert set(later.by_device(STEPS).values()) == {0}
    assert running.text.count("event=host.clock_stepped") == 1
    assert "event=device.clock_stepped" not in running.text
