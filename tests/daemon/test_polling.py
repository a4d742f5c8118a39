"""The requests that a device gets from the daemon: one per poll, with its own credentials."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from exporter.simulator.device import SimulatedDevice
from exporter.simulator.fleet import ServedFleet, build_fleet, serve_fleet
from exporter.simulator.server import serve
from tests.daemon.series import POLLS, polls_reach
from tests.support.daemon_process import DaemonProcess, Scrape, daemon_on


@asynccontextmanager
async def polling(
    served: ServedFleet, folder: Path, interval: str, timeout: str = "5s"
) -> AsyncIterator[DaemonProcess]:
    config = served.exporter_config(interval=interval, timeout=timeout)
    async with daemon_on(config, folder) as running:
        yield running


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_in_steady_state_a_poll_is_one_request(scheme: str, tmp_path: Path) -> None:
    fleet = build_fleet(3, scheme=scheme)
    async with serve_fleet(fleet) as served, polling(served, tmp_path, "100ms") as running:
        at_least = (await running.until(polls_reach(21))).by_device(POLLS)
        requests = {d.name: d.requests.total - 1 for d in fleet.devices}
        # One more poll may be in flight.
        at_most = {n: p + 1 for n, p in (await running.scrape()).by_device(POLLS).items()}
        await running.stop()
    for device in fleet.devices:
        assert at_least[device.name] <= requests[device.name] <= at_most[device.name]
        assert device.requests.statuses[401] == 1, "the challenge of the first poll"
        assert device.requests.statuses[200] == device.requests.total - 1
        assert device.requests.connections == 1


async def test_an_expired_nonce_does_not_fail_a_poll(tmp_path: Path) -> None:
    fleet = build_fleet(1, auth="digest", nonce_lifetime_seconds=0.3)
    async with serve_fleet(fleet) as served, polling(served, tmp_path, "500ms") as running:
        found = await running.until(polls_reach(6))
    assert found.by_device("axis_ntp_poll_failures_total") == {"sim-00001": 0}
    assert fleet.devices[0].requests.statuses[401] > 3


async def test_the_next_nonce_saves_the_second_request(tmp_path: Path) -> None:
    fleet = build_fleet(1, auth="digest", nonce_lifetime_seconds=1)
    async with serve_fleet(fleet) as served, polling(served, tmp_path, "100ms") as running:
        await running.until(polls_reach(25))
    assert fleet.devices[0].requests.statuses[401] == 1


async def test_connections_closed_between_polls_do_not_fail_a_poll(
    tmp_path: Path,
) -> None:
    fleet = build_fleet(3, scheme="http")
    async with (
        serve_fleet(fleet, keepalive_seconds=0.1) as served,
        polling(served, tmp_path, "400ms") as running,
    ):
        found = await running.until(polls_reach(8))
    assert set(found.by_device("axis_ntp_poll_failures_total").values()) == {0}
    assert all(device.requests.connections >= 8 for device in fleet.devices)


async def test_hung_devices_do_not_delay_the_others(tmp_path: Path) -> None:
    fleet = build_fleet(100)
    for device in fleet.devices[::5]:
        device.fault = "hang"
    healthy = {device.name for device in fleet.devices if device.fault is None}
    # With an interval below 1 s polls are not shifted for the clock, so intervals can be counted.
    async with serve_fleet(fleet) as served, polling(served, tmp_path, "900ms") as running:
        before = await running.scrape()
        after = await running.until(lambda now: min(intervals(before, now, healthy).values()) >= 10)
    assert len(healthy) == 80
    made, due = polls_between(before, after, healthy), intervals(before, after, healthy)
    # A stall of the machine for one interval costs each device a poll; hung devices would cost
    # hundreds.
    assert sum(due.values()) - sum(made.values()) <= len(healthy)
    assert all(made[name] <= due[name] for name in healthy)
    assert all(after.by_device("axis_ntp_poll_failures_total")[name] == 0 for name in healthy)


def intervals(before: Scrape, after: Scrape, names: set[str]) -> dict[str, int]:
    """Return the number of intervals of 0.9 s between two scrapes, from the next poll times."""
    due = "axis_ntp_next_poll_timestamp_seconds"
    first, last = before.by_device(due), after.by_device(due)
    return {name: round((last[name] - first[name]) / 0.9) for name in names}


def polls_between(before: Scrape, after: Scrape, names: set[str]) -> dict[str, int]:
    first, last = (each.by_device(POLLS) for each in (before, after))
    return {name: round(last[name] - first[name]) for name in names}


async def test_a_devices_password_is_never_sent_to_another_device(tmp_path: Path) -> None:
    names = ("one", "two")
    devices = {n: SimulatedDevice(n, username=f"user-{n}", password=f"pass-{n}") for n in names}
    async with serve(devices["one"]) as one, serve(devices["two"]) as two:
        config = {
            "global": {"interval": "100ms"},
            "modules": {
                name: {
                    "scheme": "http",
                    "auth": {"username": f"user-{name}", "password": f"pass-{name}"},
                }
                for name in names
            },
            "devices": [
                {"address": served.address, "name": name, "module": name}
                for name, served in (("one", one), ("two", two))
            ],
        }
        async with daemon_on(config, tmp_path) as running:
            found = await running.until(polls_reach(5))
    assert found.by_device("axis_ntp_up") == {"one": 1, "two": 1}
    for name, device in devices.items():
        sent = {seen.request.authorization for seen in device.requests.recent} - {None}
        assert sent
        assert all(f'username="user-{name}"' in str(each) for each in sent)


async def test_a_device_that_comes_back_is_read_again(tmp_path: Path) -> None:
    fleet = build_fleet(1)
    device = fleet.devices[0]
    device.fault = "hang"
    async with (
        serve_fleet(fleet) as served,
        polling(served, tmp_path, "200ms", timeout="100ms") as running,
    ):
        await running.until(lambda found: found.by_device("axis_ntp_up") == {device.name: 0})
        device.fault = None
        await running.until(lambda found: found.by_device("axis_ntp_up") == {device.name: 1})
        await running.logs("event=device.recovered")
        assert running.text.count("event=device.failed") == 1
        assert running.text.count("event=device.recovered") == 1
