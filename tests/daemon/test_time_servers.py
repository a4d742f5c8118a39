"""The installed command asks time servers and shows what it found."""

import asyncio
import html
import re
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.simulator.fleet import build_fleet, serve_fleet
from exporter.simulator.time_server import SimulatedTimeServer, serve_time_server
from tests.support.daemon_process import Scrape, daemon_on

UP = "axis_ntp_time_server_up"
OFFSET = "axis_ntp_time_server_offset_seconds"
DEVICES = "axis_ntp_time_server_devices"
HOST_OFFSET = "axis_ntp_exporter_host_clock_offset_seconds"
HOST_UNCERTAINTY = "axis_ntp_exporter_host_clock_offset_uncertainty_seconds"


def by_server(found: Scrape, name: str) -> dict[str, float]:
    return {labels["server"]: value for labels, value in found.all(name)}


async def test_servers_are_asked_and_the_hosts_offset_is_what_most_of_them_say(
    tmp_path: Path,
) -> None:
    servers = [
        SimulatedTimeServer(offset_seconds=0.5),
        SimulatedTimeServer(offset_seconds=0.5),
        SimulatedTimeServer(offset_seconds=0.5),
        SimulatedTimeServer(offset_seconds=0.5),
        SimulatedTimeServer(offset_seconds=-7),
        SimulatedTimeServer(offset_seconds=0.5, root_dispersion_seconds=10),
        SimulatedTimeServer(answers=False),
    ]
    async with AsyncExitStack() as stack:
        names = [await stack.enter_async_context(serve_time_server(each)) for each in servers]
        config = {"time_servers": {"servers": names, "timeout": "200ms"}}
        running = await stack.enter_async_context(daemon_on(config, tmp_path))
        found = await running.until(lambda scrape: len(by_server(scrape, UP)) == 7)
        assert [*by_server(found, UP).values()] == [1, 1, 1, 1, 1, 1, 0]
        offsets = by_server(found, OFFSET)
        assert offsets[names[0]] == pytest.approx(0.5, abs=0.1)
        assert offsets[names[4]] == pytest.approx(-7, abs=0.1)
        assert names[6] not in offsets
        selectable = by_server(found, "axis_ntp_time_server_selectable")
        assert [*selectable.values()] == [1, 1, 1, 1, 1, 0]
        [(_, offset)] = found.all(HOST_OFFSET)
        [(_, uncertainty)] = found.all(HOST_UNCERTAINTY)
        assert abs(offset - -0.5) <= uncertainty < 0.25
        [(_, failures)] = found.all(
            "axis_ntp_time_server_failures_total", server=names[6], reason="timeout"
        )
        assert failures == 1
        assert [*by_server(found, "axis_ntp_time_server_queries_total").values()] == [1] * 7
        await running.logs("event=time_server.failed")
    assert all(server.requests == 1 for server in servers)


async def test_without_time_servers_there_are_no_such_series(tmp_path: Path) -> None:
    async with daemon_on({"devices": []}, tmp_path) as running:
        status, text = await running.get("/metrics")
    assert status == 200
    assert "axis_ntp_time_server" not in text
    assert not [line for line in text.splitlines() if line.startswith(HOST_OFFSET)]


async def test_a_reload_changes_the_servers_and_keeps_those_that_stay(tmp_path: Path) -> None:
    first, second = SimulatedTimeServer(), SimulatedTimeServer()
    async with serve_time_server(first) as one, serve_time_server(second) as other:
        config: dict[str, Any] = {"time_servers": {"servers": [one]}}
        async with daemon_on(config, tmp_path) as running:
            await running.until(lambda scrape: bool(scrape.all(UP)))
            config["time_servers"]["servers"] = [one, other]
            (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
            assert (await running.reload())[0] == 200
            await running.until(lambda scrape: len(scrape.all(UP)) == 2)
            (tmp_path / "config.yaml").write_text("{devices: []}")
            assert (await running.reload())[0] == 200
            assert (await running.scrape()).all(UP) == []
    assert (first.requests, second.requests) == (1, 1)


async def test_the_devices_that_use_a_server_are_counted_and_theirs_are_asked_if_allowed(
    tmp_path: Path,
) -> None:
    fleet = build_fleet(4)
    async with serve_time_server(SimulatedTimeServer()) as server, serve_fleet(fleet) as served:
        allowed = "localhost"  # the name is allowed, but no device's server is on this host
        for device in fleet.devices[:3]:
            device.client.configuration.static_servers = [server, allowed, "192.0.2.1"]
            device.client.configuration.servers_source = "static"
        config = served.exporter_config(interval="200ms")
        config["time_servers"] = {
            "servers": [server],
            "used_by_devices": True,
            "allowed": [allowed],
        }
        async with daemon_on(config, tmp_path) as running:
            found = await running.until(lambda scrape: len(scrape.all(UP)) == 2)
            assert by_server(found, DEVICES) == {server: 3, allowed: 3}
            assert by_server(found, UP) == {server: 1, allowed: 0}
            for device in fleet.devices[1:3]:
                device.client.configuration.static_servers = [server]
            await running.until(lambda scrape: by_server(scrape, DEVICES)[allowed] == 1)
            fleet.devices[0].client.configuration.static_servers = ["192.0.2.1"]
            await running.until(lambda scrape: by_server(scrape, DEVICES)[allowed] == 0)
            [(_, failures)] = (await running.scrape()).all(
                "axis_ntp_time_server_failures_total", server=allowed, reason="dns"
            )
            assert failures == 1


async def test_probe_has_no_series_of_time_servers(tmp_path: Path) -> None:
    fleet = build_fleet(1)
    async with serve_time_server(SimulatedTimeServer()) as server, serve_fleet(fleet) as served:
        config = served.exporter_config(interval="200ms")
        config["time_servers"] = {"servers": [server]}
        async with daemon_on(config, tmp_path) as running:
            await running.until(lambda scrape: bool(scrape.all(UP)))
            async with asyncio.timeout(30):
                status, text = await running.get(f"/probe?target={served.addresses[0]}")
    assert status == 200
    assert "axis_ntp_up" in text
    assert "time_server" not in text


def host_clock_of(page: str) -> tuple[str, str]:
    """Return class and text of what a status page says about the host's clock."""
    found = re.search(r'<p id="host-clock" data-live class="([^"]*)">(.*)</p>', page)
    assert found is not None
    return found[1], html.unescape(re.sub(r"<[^>]+>", "", found[2]))


@pytest.mark.parametrize(
    ("ahead_seconds", "style", "words"),
    [
        (
            -0.25,
            "dim",
            r"this host's clock: \+2\d\d\.\d{3} ms ± \S+ ms \(2 of 3 time servers\); time server "
            r"127\.0\.0\.1:\d+: no response from 127\.0\.0\.1 within \S+ s",
        ),
        (
            3.6,
            "summary bad",
            r"✕ this host's clock: -3\.\d+ s ± \S+ ms \(2 of 3 time servers\); every measured "
            r"offset is wrong by that much; time server 127\.0\.0\.1:\d+: no response from \S+ "
            r"within \S+ s",
        ),
    ],
)
async def test_the_pages_show_the_hosts_clock_and_the_true_offset_of_a_device(
    ahead_seconds: float, style: str, words: str, tmp_path: Path
) -> None:
    """A device whose clock is like the host's is as far from the true time as the host."""
    right = [SimulatedTimeServer(offset_seconds=ahead_seconds) for _ in range(2)]
    dead, fleet = SimulatedTimeServer(answers=False), build_fleet(1)
    async with AsyncExitStack() as stack:
        served = await stack.enter_async_context(serve_fleet(fleet))
        names = [
            await stack.enter_async_context(serve_time_server(each)) for each in (*right, dead)
        ]
        config = served.exporter_config(interval="200ms")
        config["time_servers"] = {"servers": names, "timeout": "200ms"}
        running = await stack.enter_async_context(daemon_on(config, tmp_path))
        await running.ready()
        await running.until(lambda scrape: len(by_server(scrape, UP)) == 3)
        _, page = await running.get("/")
        _, device_page = await running.get(f"/device/{fleet.devices[0].name}")
    shown_style, text = host_clock_of(page)
    assert shown_style == style
    assert re.fullmatch(words, text), text
    found = re.search(r"<dt>against the time servers</dt><dd>([+-]\d+\.\d+) (m?s) ± ", device_page)
    assert found is not None
    true_seconds = float(found[1]) / (1000 if found[2] == "ms" else 1)
    assert true_seconds == pytest.approx(-ahead_seconds, abs=0.1)


async def test_without_time_servers_the_page_has_the_kernels_word(tmp_path: Path) -> None:
    async with daemon_on({"devices": []}, tmp_path) as running:
        says = (await running.scrape()).all("axis_ntp_exporter_host_clock_synchronized")
        style, text = host_clock_of((await running.get("/"))[1])
    expected = {
        1.0: ("dim", "this host's clock: kernel says synchronized"),
        0.0: ("summary warning", "! this host's clock is not verified: kernel says unsynchronized"),
    }
    [(_, value)] = says
    assert (style, text) == (
        expected[value][0],
        f"{expected[value][1]}, no time_servers configured",
    )
