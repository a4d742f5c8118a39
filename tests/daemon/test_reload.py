"""A change of the config without a restart: all or nothing, and nothing for who stays the same."""

import asyncio
import itertools
import signal
import time
from pathlib import Path

import aiohttp
import pytest
import yaml

from exporter.config import Config
from exporter.daemon import Settings, running
from exporter.simulator.fleet import build_fleet, serve_fleet
from exporter.web.listener import WebSettings
from tests.daemon.reloaded_site import (
    FAILURES,
    LOADED_AT,
    POLLS,
    SUCCESSFUL,
    UP,
    Site,
    device,
    site,
)


@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_a_reload_adds_and_removes_devices_and_says_so(tmp_path: Path, method: str) -> None:
    async with site(tmp_path) as its:
        last = its.config["devices"].pop()
        assert await its.reload(method) == (200, "Config reloaded.\n")
        found = await its.running.scrape()
        assert set(found.by_device(UP)) == {device(1), device(2)}
        assert not [labels for _, labels, _ in found.samples if labels.get("device") == device(3)]
        its.config["devices"].append(last)
        await its.reload(method)
        await its.running.until(lambda now: now.by_device(UP).get(device(3)) == 1)
    assert "event=config.reloaded added=0 removed=1 changed=0" in its.running.text
    assert "event=config.reloaded added=1 removed=0 changed=0" in its.running.text


async def test_a_hangup_reloads(tmp_path: Path) -> None:
    async with site(tmp_path) as its:
        del its.config["devices"][1:]
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(its.config))
        its.running.process.send_signal(signal.SIGHUP)
        await its.running.until(lambda now: set(now.by_device(UP)) == {device(1)})


async def test_a_broken_config_changes_nothing_and_is_told(tmp_path: Path) -> None:
    async with site(tmp_path) as its:
        before = await its.running.scrape()
        status, text = await its.reload_text("devices: [{address: a, colour: red}]")
        assert status == 500
        assert "devices[0].colour: unknown key" in text
        found = await its.running.scrape()
        assert found.all(SUCCESSFUL) == [({}, 0)]
        assert found.all(LOADED_AT) == before.all(LOADED_AT)
        assert set(found.by_device(UP)) == {device(1), device(2), device(3)}
        assert await its.reload() == (200, "Config reloaded.\n")
        found = await its.running.scrape()
        assert found.all(SUCCESSFUL) == [({}, 1)]
        assert found.all(LOADED_AT)[0][1] > before.all(LOADED_AT)[0][1]
    assert its.running.text.count("event=config.reload_failed") == 1


async def test_who_stays_the_same_keeps_connection_nonce_clock_and_turn(tmp_path: Path) -> None:
    async with site(tmp_path, 2) as its:
        before = await its.rest()
        for _ in range(20):
            its.config["devices"].append({"address": "127.0.0.1:1", "name": "extra"})
            assert (await its.reload())[0] == 200
            its.config["devices"].pop()
            assert (await its.reload())[0] == 200
        found = await its.running.scrape()
        for name in (POLLS, "axis_ntp_next_poll_timestamp_seconds", "axis_ntp_clock_steps_total"):
            assert found.by_device(name) == before.by_device(name)
        assert set(found.by_device("axis_ntp_clock_offset_seconds")) == {device(1), device(2)}
    for each in its.fleet.devices:
        assert each.requests.connections == 1
        polls = found.by_device(POLLS)[each.name]
        assert dict(each.requests.statuses) == {401: 1, 200: polls}


async def test_new_labels_show_at_once_and_keep_the_counters(tmp_path: Path) -> None:
    async with site(tmp_path, 2) as its:
        before = await its.rest()
        its.config["devices"][0]["labels"] = {"site": "new"}
        await its.reload()
        found = await its.running.scrape()
        (labels, polls) = next(row for row in found.all(POLLS) if row[0]["device"] == device(1))
        assert labels == {"device": device(1), "site": "new"}
        assert polls == before.by_device(POLLS)[device(1)]
        assert all(
            labels.get("site") == "new"
            for _, labels, _ in found.samples
            if labels.get("device") == device(1)
        )


async def test_another_address_is_another_device(tmp_path: Path) -> None:
    async with site(tmp_path, 2) as its:
        await its.running.until(lambda now: now.by_device(POLLS)[device(1)] >= 3)
        its.config["devices"][0]["address"] = "127.0.0.1:1"
        del its.config["devices"][1]
        await its.reload()
        found = await its.running.until(lambda now: now.by_device(POLLS)[device(1)] >= 1)
        assert found.by_device(UP) == {device(1): 0}
        assert found.by_device(POLLS)[device(1)] == found.by_device(FAILURES)[device(1)]


async def test_changed_credentials_are_tried_at_once(tmp_path: Path) -> None:
    async with site(tmp_path, 3) as its:
        before = (await its.rest()).by_device(POLLS)
        for each in its.fleet.devices:
            each.gatekeeper.password = "new"
        its.config["modules"]["default"]["auth"]["password"] = "new"
        await its.reload()
        found = await its.running.until(
            lambda now: all(now.by_device(POLLS)[name] > before[name] for name in before)
        )
        assert set(found.by_device(UP).values()) == {1}


async def test_expectations_show_at_once(tmp_path: Path) -> None:
    async with site(tmp_path, 1) as its:
        before = await its.rest()
        its.config["devices"][0]["expect"] = {"enabled": False}
        await its.reload()
        found = await its.running.scrape()
        assert found.by_device("axis_ntp_config_compliant") == {device(1): 0}
        assert found.by_device(POLLS) == before.by_device(POLLS)


async def test_a_new_interval_is_kept_from_now_on(tmp_path: Path) -> None:
    async with site(tmp_path, 1) as its:
        polls = (await its.rest()).by_device(POLLS)[device(1)]
        its.config["global"]["interval"] = "100ms"
        await its.reload()
        await its.running.until(lambda now: now.by_device(POLLS)[device(1)] >= polls + 5)


async def test_ready_stays_ready(tmp_path: Path) -> None:
    async with site(tmp_path, 1) as its:
        await its.rest()
        its.config["devices"].append({"address": "127.0.0.1:1", "name": "never polled yet"})
        await its.reload()
        assert (await its.running.get("/-/ready"))[0] == 200


async def test_a_thousand_reloads_under_load_lose_no_poll_and_leak_nothing(tmp_path: Path) -> None:
    async with site(tmp_path, 20) as its:
        await its.running.until(lambda now: min(now.by_device(POLLS).values()) >= 3)
        await reload_often(its, 100)  # what is kept once is kept by then
        resident, files = its.resident_megabytes, its.open_files
        before, started = (await its.running.scrape()).by_device(POLLS), time.monotonic()
        await reload_often(its, 1000)
        turns = (time.monotonic() - started) / 0.2
        assert its.resident_megabytes - resident < 4, "a reload must leave less than 4 KB behind"
        del before[device(11)]
        after = await its.running.scrape()
        polls = [after.by_device(POLLS)[name] - before[name] for name in before]
        assert min(polls) >= 0.9 * turns, "a machine that stalls may cost a turn, a reload none"
        failures = after.by_device(FAILURES)
        assert all(failures[name] == 0 for name in before)
        assert its.open_files <= files + 2
    assert "Traceback" not in its.running.text


async def reload_often(its: Site, times: int) -> None:
    """Ten devices get another label, one another address, each time."""
    for number in range(times):
        its.config["devices"][number % 10]["labels"] = {"round": str(number)}
        its.config["devices"][10]["address"] = f"127.0.0.1:{1 + number % 2}"
        assert (await its.reload())[0] == 200


async def test_a_reload_leaves_no_task_behind() -> None:
    fleet = build_fleet(5)
    async with serve_fleet(fleet) as served:
        document = served.exporter_config(interval="1h")
        fewer = {**document, "devices": document["devices"][:2]}
        configs = [Config.model_validate(each) for each in (document, fewer)]
        upcoming = itertools.cycle(configs)
        settings = Settings(WebSettings((("127.0.0.1", 0),)), lambda: next(upcoming))
        async with running(configs[0], settings) as (url,), aiohttp.ClientSession() as visitor:
            counts = []
            for _ in range(20):
                async with visitor.post(f"{url}/-/reload") as answer:
                    assert answer.status == 200
                counts.append(len(asyncio.all_tasks()))
        assert max(counts[10:]) <= max(counts[:10])


async def test_all_who_ask_during_a_load_share_the_next(tmp_path: Path) -> None:
    async with site(tmp_path) as its:

        async def ask() -> int:
            async with its.running.session.post(f"{its.running.url}/-/reload") as answer:
                return answer.status

        assert {*await asyncio.gather(*(ask() for _ in range(200)))} == {200}
        assert its.running.text.count("event=config.reloaded") < 100
        (tmp_path / "config.yaml").write_text("devices: 7")
        assert {*await asyncio.gather(*(ask() for _ in range(200)))} == {500}
        assert its.running.text.count("event=config.reload_failed") < 100
