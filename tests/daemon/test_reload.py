"""Config reloads: all or nothing, and without effect on unchanged devices."""

import asyncio
import itertools
import re
import signal
import time
from pathlib import Path

import aiohttp
import pytest
import yaml

from exporter.config import Config
from exporter.daemon import Settings, running
from exporter.simulator.fleet import build_fleet, serve_fleet
from exporter.web.settings import WebSettings
from tests.daemon.reloaded_site import (
    LOADED_AT,
    SUCCESSFUL,
    ReloadedSite,
    name_of,
    reloaded_site,
)
from tests.daemon.series import FAILURES, POLLS, UP
from tests.support.daemon_process import Scrape


@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_a_reload_adds_and_removes_devices_and_logs_it(tmp_path: Path, method: str) -> None:
    async with reloaded_site(tmp_path) as site:
        last = site.config["devices"].pop()
        assert await site.reload(method) == (200, "Config reloaded.\n")
        found = await site.running.scrape()
        assert set(found.by_device(UP)) == {name_of(1), name_of(2)}
        assert not [labels for _, labels, _ in found.samples if labels.get("device") == name_of(3)]
        site.config["devices"].append(last)
        await site.reload(method)
        await site.running.until(lambda now: now.by_device(UP).get(name_of(3)) == 1)
    assert "event=config.reloaded added=0 removed=1 changed=0" in site.running.text
    assert "event=config.reloaded added=1 removed=0 changed=0" in site.running.text


async def test_sighup_reloads(tmp_path: Path) -> None:
    async with reloaded_site(tmp_path) as site:
        del site.config["devices"][1:]
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(site.config))
        site.running.process.send_signal(signal.SIGHUP)
        await site.running.until(lambda now: set(now.by_device(UP)) == {name_of(1)})


async def test_an_invalid_config_changes_nothing_and_is_reported(tmp_path: Path) -> None:
    async with reloaded_site(tmp_path) as site:
        before = await site.running.scrape()
        status, text = await site.reload_text("devices: [{address: a, colour: red}]")
        assert status == 500
        assert "devices[0].colour: unknown key" in text
        found = await site.running.scrape()
        assert found.all(SUCCESSFUL) == [({}, 0)]
        # Converted at each scrape from the steady clock, which is read to within some 100 ns.
        [(_, loaded_at)], [(_, loaded_before)] = found.all(LOADED_AT), before.all(LOADED_AT)
        assert loaded_at == pytest.approx(loaded_before, rel=0, abs=1e-3)
        assert set(found.by_device(UP)) == {name_of(1), name_of(2), name_of(3)}
        assert await site.reload() == (200, "Config reloaded.\n")
        found = await site.running.scrape()
        assert found.all(SUCCESSFUL) == [({}, 1)]
        assert found.all(LOADED_AT)[0][1] > before.all(LOADED_AT)[0][1]
    assert site.running.text.count("event=config.reload_failed") == 1


async def test_an_unchanged_device_keeps_its_connection_nonce_clock_and_schedule(
    tmp_path: Path,
) -> None:
    async with reloaded_site(tmp_path, 2) as site:
        before = await site.rest()
        for _ in range(20):
            site.config["devices"].append({"address": "127.0.0.1:1", "name": "extra"})
            assert (await site.reload())[0] == 200
            site.config["devices"].pop()
            assert (await site.reload())[0] == 200
        found = await site.running.scrape()
        for name in (POLLS, "axis_ntp_next_poll_timestamp_seconds", "axis_ntp_clock_steps_total"):
            assert found.by_device(name) == before.by_device(name)
        assert set(found.by_device("axis_ntp_clock_offset_seconds")) == {name_of(1), name_of(2)}
    for each in site.fleet.devices:
        assert each.requests.connections == 1
        polls = found.by_device(POLLS)[each.name]
        assert dict(each.requests.statuses) == {401: 1, 200: polls}


async def test_new_labels_take_effect_at_once_and_keep_the_counters(tmp_path: Path) -> None:
    async with reloaded_site(tmp_path, 2) as site:
        before = await site.rest()
        site.config["devices"][0]["labels"] = {"site": "new"}
        await site.reload()
        found = await site.running.scrape()
        (labels, polls) = next(row for row in found.all(POLLS) if row[0]["device"] == name_of(1))
        assert labels == {"device": name_of(1), "site": "new"}
        assert polls == before.by_device(POLLS)[name_of(1)]
        assert all(
            labels.get("site") == "new"
            for _, labels, _ in found.samples
            if labels.get("device") == name_of(1)
        )


async def test_new_thresholds_take_effect_at_once(tmp_path: Path) -> None:
    async with reloaded_site(tmp_path, 1) as site:
        page = f"/device/{name_of(1)}"
        site.fleet.devices[0].clock.offset_seconds = 0.4

        def is_measured(now: Scrape) -> bool:
            offset = now.by_device("axis_ntp_clock_offset_seconds").get(name_of(1), 0)
            uncertainty = now.by_device("axis_ntp_clock_offset_uncertainty_seconds")
            return abs(offset) - uncertainty.get(name_of(1), 0) > 0.15

        await site.running.until(is_measured)
        assert "its clock is" not in (await site.running.get(page))[1]
        site.config["thresholds"] = {"skew": {"warning": "100ms"}}
        assert await site.reload() == (200, "Config reloaded.\n")
        assert re.search(r"its clock is 0.. s ahead", (await site.running.get(page))[1])


async def test_a_device_with_a_new_address_starts_from_zero(tmp_path: Path) -> None:
    async with reloaded_site(tmp_path, 2) as site:
        await site.running.until(lambda now: now.by_device(POLLS)[name_of(1)] >= 3)
        site.config["devices"][0]["address"] = "127.0.0.1:1"
        del site.config["devices"][1]
        await site.reload()
        found = await site.running.until(lambda now: now.by_device(POLLS)[name_of(1)] >= 1)
        assert found.by_device(UP) == {name_of(1): 0}
        assert found.by_device(POLLS)[name_of(1)] == found.by_device(FAILURES)[name_of(1)]


async def test_changed_credentials_are_used_at_once(tmp_path: Path) -> None:
    async with reloaded_site(tmp_path, 3) as site:
        before = (await site.rest()).by_device(POLLS)
        for each in site.fleet.devices:
            each.login.password = "new"
        site.config["modules"]["default"]["auth"]["password"] = "new"
        await site.reload()
        found = await site.running.until(
            lambda now: all(now.by_device(POLLS)[name] > before[name] for name in before)
        )
        assert set(found.by_device(UP).values()) == {1}


async def test_changed_expectations_take_effect_at_once(tmp_path: Path) -> None:
    async with reloaded_site(tmp_path, 1) as site:
        before = await site.rest()
        site.config["devices"][0]["expect"] = {"enabled": False}
        await site.reload()
        found = await site.running.scrape()
        assert found.by_device("axis_ntp_config_compliant") == {name_of(1): 0}
        assert found.by_device(POLLS) == before.by_device(POLLS)


async def test_a_changed_interval_takes_effect_at_once(tmp_path: Path) -> None:
    async with reloaded_site(tmp_path, 1) as site:
        polls = (await site.rest()).by_device(POLLS)[name_of(1)]
        site.config["global"]["interval"] = "100ms"
        await site.reload()
        await site.running.until(lambda now: now.by_device(POLLS)[name_of(1)] >= polls + 5)


async def test_ready_stays_ready_after_a_reload(tmp_path: Path) -> None:
    async with reloaded_site(tmp_path, 1) as site:
        await site.rest()
        site.config["devices"].append({"address": "127.0.0.1:1", "name": "never polled yet"})
        await site.reload()
        assert (await site.running.get("/-/ready"))[0] == 200


async def test_a_thousand_reloads_lose_no_poll_and_leak_nothing(tmp_path: Path) -> None:
    async with reloaded_site(tmp_path, 20) as site:
        await site.running.until(lambda now: min(now.by_device(POLLS).values()) >= 3)
        await reload_often(site, 100)  # fills caches that are filled once
        resident, files = site.resident_megabytes, site.open_files
        before, started = (await site.running.scrape()).by_device(POLLS), time.monotonic()
        await reload_often(site, 1000)
        intervals = (time.monotonic() - started) / 0.2
        assert site.resident_megabytes - resident < 4, "a reload must leave less than 4 KB behind"
        del before[name_of(11)]
        after = await site.running.scrape()
        polls = [after.by_device(POLLS)[name] - before[name] for name in before]
        assert min(polls) >= 0.9 * intervals, "a stalled machine may cost a poll, a reload must not"
        failures = after.by_device(FAILURES)
        assert all(failures[name] == 0 for name in before)
        assert site.open_files <= files + 2
    assert "Traceback" not in site.running.text


async def reload_often(site: ReloadedSite, times: int) -> None:
    """Reload that many times; each time change a label of ten devices and the address of one."""
    for number in range(times):
        site.config["devices"][number % 10]["labels"] = {"round": str(number)}
        site.config["devices"][10]["address"] = f"127.0.0.1:{1 + number % 2}"
        assert (await site.reload())[0] == 200


async def test_a_reload_leaks_no_task() -> None:
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


async def test_reload_requests_during_a_reload_share_the_next_one(tmp_path: Path) -> None:
    async with reloaded_site(tmp_path, log_level="debug") as site:

        async def ask() -> int:
            return (await site.running.reload())[0]

        assert {*await asyncio.gather(*(ask() for _ in range(20)))} == {200}
        assert site.running.text.count("event=config.reloaded") < 10
        (tmp_path / "config.yaml").write_text("devices: 7")
        assert {*await asyncio.gather(*(ask() for _ in range(20)))} == {500}
        assert site.running.text.count("event=config.reload_failed") < 10


async def test_a_reload_that_changes_nothing_is_logged_only_at_debug_level(tmp_path: Path) -> None:
    async with reloaded_site(tmp_path, log_level="debug") as site:
        lines = [await reload_line(site)]
        site.config["time_servers"] = {"timeout": "1s"}
        lines += [await reload_line(site), await reload_line(site)]
        await site.reload_text("devices: 7")
        lines.append(await reload_line(site))
    levels = [re.findall("level=([a-z]+)", line)[0] for line in lines]
    assert levels == ["debug", "info", "debug", "info"]


async def reload_line(site: ReloadedSite) -> str:
    """Reload the site's config and return the line that is logged."""
    before = site.running.text.count("event=config.reloaded")
    assert await site.reload() == (200, "Config reloaded.\n")
    while True:
        lines = [line for line in site.running.text.splitlines() if "=config.reloaded" in line]
        if len(lines) > before:
            return lines[-1]
        await asyncio.sleep(0.001)


@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_a_page_of_another_host_cannot_reload(method: str, tmp_path: Path) -> None:
    async with reloaded_site(tmp_path, log_level="debug") as site:
        url, ask = f"{site.running.url}/-/reload", site.running.session.request
        for headers in ({"Origin": "http://evil.example"}, {"Host": "evil.example"}):
            async with ask(method, url, headers=headers) as response:
                assert response.status == 403
                assert "Refused: " in await response.text()
        async with ask(method, url, headers={"Origin": site.running.url}) as response:
            assert response.status == 200
    assert site.running.text.count("event=config.reloaded") == 1
