"""/probe, /discover and /config of the real daemon."""

import asyncio
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import yaml
from prometheus_client.openmetrics import parser

from exporter.simulator.fleet import build_fleet, serve_fleet
from tests.daemon.series import POLLS, UP
from tests.support.daemon_process import DaemonProcess, Scrape, daemon_on

parse_openmetrics: Any = parser.text_string_to_metric_families


async def probe(running: DaemonProcess, target: str, timeout: float = 10) -> Scrape:
    headers = {"X-Prometheus-Scrape-Timeout-Seconds": str(timeout)}
    url = f"{running.url}/probe?target={quote(target, safe='')}"
    async with running.session.get(url, headers=headers) as response:
        assert response.status == 200
        return Scrape.parse(await response.text())


async def test_a_probe_by_name_or_address_returns_only_that_devices_series(
    tmp_path: Path,
) -> None:
    fleet = build_fleet(2)
    async with serve_fleet(fleet) as served:
        config = served.exporter_config(interval="1h")
        config["devices"][0]["name"] = name = 'Größe/"1" {x}'
        async with daemon_on(config, tmp_path) as running:
            for target in (name, served.addresses[0]):
                found = await probe(running, target)
                assert found.by_device(UP) == {name: 1}
                assert {labels["device"] for _, labels, _ in found.samples} == {name}
                assert not [n for n, _, _ in found.samples if n.startswith("axis_ntp_exporter")]


async def test_a_probe_within_the_interval_makes_no_poll(
    tmp_path: Path,
) -> None:
    fleet = build_fleet(1)
    async with (
        serve_fleet(fleet) as served,
        daemon_on(served.exporter_config(interval="1h"), tmp_path) as running,
    ):
        polls = [(await probe(running, "sim-00001")).by_device(POLLS) for _ in range(3)]
    assert polls == [{"sim-00001": 1}] * 3


async def test_concurrent_probes_of_a_device_share_a_poll(tmp_path: Path) -> None:
    fleet = build_fleet(1)
    async with (
        serve_fleet(fleet) as served,
        daemon_on(served.exporter_config(interval="1h"), tmp_path) as running,
    ):
        found = await asyncio.gather(*(probe(running, "sim-00001") for _ in range(10)))
    assert [each.by_device(POLLS) for each in found] == [{"sim-00001": 1}] * 10


async def test_a_device_that_does_not_respond_is_down_within_the_scrape_timeout(
    tmp_path: Path,
) -> None:
    fleet = build_fleet(1, "fault:hang")
    async with serve_fleet(fleet) as served:
        config = served.exporter_config(interval="1h", timeout="30s")
        async with daemon_on(config, tmp_path) as running:
            before = time.monotonic()
            found = await probe(running, "sim-00001", timeout=1.5)
            assert 0.9 < time.monotonic() - before < 15
    assert found.by_device(UP) == {"sim-00001": 0}
    assert found.all("axis_ntp_last_error", reason="timeout")
    assert not found.by_device("axis_ntp_synced")


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("", 400),
        ("?target=", 400),
        ("?target=a&target=b", 400),
        ("?target=ADDRESS", 404),
        ("?target=http://ADDRESS/", 404),
        ("?target=only&address=ADDRESS&module=default", 200),
    ],
)
async def test_an_address_that_is_not_configured_is_never_contacted(
    query: str, status: int, tmp_path: Path
) -> None:
    config = {"devices": [{"address": "127.0.0.1:1", "name": "only"}]}
    async with serve_fleet(build_fleet(1)) as served, daemon_on(config, tmp_path) as running:
        address = served.addresses[0]
        path = f"/probe{query}".replace("ADDRESS", address)
        assert (await running.get(path))[0] == status
        assert served.fleet.devices[0].requests.connections == 0


@pytest.mark.parametrize("timeout", ["soon", "-1", "nan", "0"])
async def test_an_invalid_scrape_timeout_is_a_bad_request(timeout: str, tmp_path: Path) -> None:
    config = {"devices": [{"address": "127.0.0.1:1", "name": "only"}]}
    headers = {"X-Prometheus-Scrape-Timeout-Seconds": timeout}
    async with daemon_on(config, tmp_path) as running:
        url = f"{running.url}/probe?target=only"
        async with running.session.get(url, headers=headers) as response:
            assert response.status == 400
            assert "X-Prometheus-Scrape-Timeout-Seconds" in await response.text()


async def test_a_probe_can_return_open_metrics(tmp_path: Path) -> None:
    fleet = build_fleet(1)
    accept = {"Accept": "application/openmetrics-text;version=1.0.0"}
    async with (
        serve_fleet(fleet) as served,
        daemon_on(served.exporter_config(interval="1h"), tmp_path) as running,
    ):
        url = f"{running.url}/probe?target=sim-00001"
        async with running.session.get(url, headers=accept) as response:
            families = list(parse_openmetrics(await response.text()))
    assert "axis_ntp_up" in {family.name for family in families}


async def test_the_button_polls_a_device_once_a_turn(tmp_path: Path) -> None:
    fleet = build_fleet(1)
    async with (
        serve_fleet(fleet) as served,
        daemon_on(served.exporter_config(interval="1h"), tmp_path) as running,
    ):
        url = f"{running.url}/poll?device=sim-00001"
        for origin, status in (("http://evil.example", 403), (running.url, 200), ("", 403)):
            async with running.session.post(url, headers={"Origin": origin}) as response:
                assert response.status == status
        async with running.session.post(url) as response:
            assert response.url.path == "/device/sim-00001"
            assert "The next poll was made early" in await response.text()
        assert (await probe(running, "sim-00001")).by_device(POLLS) == {"sim-00001": 1}


async def test_discover_lists_every_device_with_its_labels(tmp_path: Path) -> None:
    config = {
        "devices": [
            {"address": "127.0.0.1:1", "name": "gate", "labels": {"site": "hq"}},
            {"address": "127.0.0.1:2"},
            {"address": "127.0.0.1:3", "name": "left"},
            {"address": "127.0.0.1:3", "name": "right"},
        ]
    }
    async with (
        daemon_on(config, tmp_path) as running,
        running.session.get(f"{running.url}/discover") as response,
    ):
        assert response.content_type == "application/json"
        groups = await response.json()
    assert groups == [
        {"targets": ["127.0.0.1:1"], "labels": {"site": "hq", "device": "gate"}},
        {"targets": ["127.0.0.1:2"], "labels": {"device": "127.0.0.1:2"}},
        {"targets": ["left"], "labels": {"device": "left"}},
        {"targets": ["right"], "labels": {"device": "right"}},
    ]


async def test_discover_and_probe_are_limited_to_the_shard(tmp_path: Path) -> None:
    devices = [{"address": f"127.0.0.1:{n}", "name": f"cam-{n}"} for n in range(1, 11)]
    shards = []
    for index in range(2):
        async with daemon_on({"devices": devices}, tmp_path, f"--poll.shard={index}/2") as running:
            async with running.session.get(f"{running.url}/discover") as response:
                names = {group["labels"]["device"] for group in await response.json()}
            for device in devices:
                status, _ = await running.get(f"/probe?target={device['name']}")
                assert status == (200 if device["name"] in names else 404)
            shards.append(names)
    assert shards[0] | shards[1] == {device["name"] for device in devices}
    assert not shards[0] & shards[1]


async def test_the_config_page_shows_no_secrets(tmp_path: Path) -> None:
    config = {
        "modules": {"default": {"auth": {"username": "root", "password": "hunter2"}}},
        "devices": [{"address": "127.0.0.1:1", "name": "only"}],
    }
    async with daemon_on(config, tmp_path) as running:
        status, text = await running.get("/config")
    assert status == 200
    assert "hunter2" not in text
    shown = yaml.safe_load(text)
    assert shown["modules"]["default"]["auth"]["password"] == "<secret>"
    assert shown["global"] == {"interval": "1m", "timeout": "10s", "concurrency": 1000}
    assert shown["devices"][0]["name"] == "only"


async def test_the_config_is_refused_for_a_foreign_host_on_loopback(tmp_path: Path) -> None:
    config = {"devices": [{"address": "127.0.0.1:1", "name": "only"}]}
    async with daemon_on(config, tmp_path) as running:
        for host, status in (("evil.example", 403), ("localhost:1", 200)):
            url = f"{running.url}/config"
            async with running.session.get(url, headers={"Host": host}) as response:
                assert response.status == status
                assert ("name: only" in await response.text()) == (status == 200)
