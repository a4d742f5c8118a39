"""A change of the config without a restart: all or nothing, and nothing for who stays the same."""

import asyncio
import itertools
import os
import signal
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import trustme
import yaml
from aiohttp import web

from exporter.app import Settings, running
from exporter.config import Config
from exporter.simulator.fleet import Fleet, build_fleet, serve_fleet
from exporter.web.serving import WebSettings
from tests.daemon_process import DaemonProcess, Scrape, daemon_on

POLLS = "axis_ntp_polls_total"
FAILURES = "axis_ntp_poll_failures_total"
UP = "axis_ntp_up"
SUCCESSFUL = "axis_ntp_exporter_config_last_reload_successful"
LOADED_AT = "axis_ntp_exporter_config_last_reload_success_timestamp_seconds"


class Site:
    """A daemon on a simulated fleet, and the config file that it is reloaded from."""

    def __init__(
        self, fleet: Fleet, config: dict[str, Any], running: DaemonProcess, folder: Path
    ) -> None:
        self.fleet = fleet
        self.config = config
        self.running = running
        self.folder = folder

    async def reload(self, method: str = "POST") -> tuple[int, str]:
        text = yaml.safe_dump(self.config)
        return await self.reload_text(text, method)

    async def reload_text(self, text: str, method: str = "POST") -> tuple[int, str]:
        (self.folder / "config.yaml").write_text(text)
        url = f"{self.running.url}/-/reload"
        async with self.running.session.request(method, url) as response:
            return response.status, await response.text()

    @property
    def resident_megabytes(self) -> float:
        """Memory that the daemon holds."""
        statm = Path(f"/proc/{self.running.process.pid}/statm").read_text()
        return int(statm.split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6

    @property
    def open_files(self) -> int:
        """How many file descriptors the daemon has open."""
        return len([*Path(f"/proc/{self.running.process.pid}/fd").iterdir()])

    async def rest(self) -> Scrape:
        """Poll every device no more for an hour; how things stand then."""
        self.config["global"]["interval"] = "1h"
        await self.reload()
        in_flight = "axis_ntp_exporter_polls_in_flight"
        return await self.running.until(lambda now: now.all(in_flight) == [({}, 0)])


@asynccontextmanager
async def site(folder: Path, count: int = 3) -> AsyncIterator[Site]:
    fleet = build_fleet(count, auth="digest")
    async with serve_fleet(fleet) as served:
        config = served.exporter_config(interval="200ms", timeout="5s")
        async with daemon_on(config, folder) as running:
            await running.ready()
            yield Site(fleet, config, running, folder)


def device(number: int) -> str:
    return f"sim-{number:05}"


@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_a_reload_adds_and_removes_devices_and_says_so(tmp_path: Path, method: str) -> None:
    async with site(tmp_path) as its:
        last = its.config["devices"].pop()
        assert await its.reload(method) == (200, "The config was loaded.\n")
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
        assert await its.reload() == (200, "The config was loaded.\n")
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


async def test_a_password_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    fleet = build_fleet(1, auth="digest")
    secret = tmp_path / "password"
    secret.write_text("pass\n")
    async with serve_fleet(fleet) as served:
        config = served.exporter_config(interval="1s")
        config["modules"]["default"]["auth"] = {"username": "root", "password_file": "password"}
        async with daemon_on(config, tmp_path) as running:
            await running.ready()
            secret.write_text("")
            async with asyncio.timeout(30):
                while "event=config.file_unusable" not in running.text:
                    await asyncio.sleep(0.05)
            fleet.devices[0].gatekeeper.password = "new"
            await running.until(lambda now: now.by_device(UP) == {device(1): 0})
            secret.write_text("new\n")
            await running.until(lambda now: now.by_device(UP) == {device(1): 1})
    assert running.text.count("event=config.file_unusable") == 1
    assert "is empty" in running.text
    assert running.text.count("event=config.files_read") == 1


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


async def test_auto_reload_takes_a_changed_secret_of_the_config_for_a_change_of_the_config(
    tmp_path: Path,
) -> None:
    secret = tmp_path / "password"
    secret.write_text("old")
    module = {"auth": {"username": "root", "password_file": "password"}}
    config = {"modules": {"default": module}, "devices": [{"address": "127.0.0.1:1"}]}
    flags = ("--config.enable-auto-reload", "--config.auto-reload-interval=50ms")
    async with daemon_on(config, tmp_path, *flags) as running:
        async with asyncio.timeout(4):  # before files are looked at for their own sake
            for number in itertools.count():
                secret.write_text(f"new {number}")
                await asyncio.sleep(0.2)
                if "event=config.reloaded" in running.text:
                    break
    assert "event=config.files_read" not in running.text


async def test_auto_reload_takes_a_config_once_the_file_that_it_lacked_is_there(
    tmp_path: Path,
) -> None:
    flags = ("--config.enable-auto-reload", "--config.auto-reload-interval=50ms")
    async with daemon_on({"devices": []}, tmp_path, *flags) as running:
        module = {"auth": {"username": "root", "password_file": "late"}}
        config = {"modules": {"default": module}, "devices": [{"address": "127.0.0.1:1"}]}
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
        await said(running, "event=config.reload_failed")
        (tmp_path / "late").write_text("pass")
        await running.until(lambda now: now.all(SUCCESSFUL) == [({}, 1)])
        assert len((await running.scrape()).by_device(POLLS)) == 1
    assert running.text.count("event=config.reload_failed") == 1


async def said(running: DaemonProcess, words: str) -> None:
    async with asyncio.timeout(30):
        while words not in running.text:
            await asyncio.sleep(0.02)


async def test_one_modules_unusable_secret_keeps_no_others_from_being_read(tmp_path: Path) -> None:
    fleet = build_fleet(1, auth="digest")
    for name in ("one", "other"):
        (tmp_path / name).write_text("pass")
    async with serve_fleet(fleet) as served:
        config = served.exporter_config(interval="1s")
        of_fleet = config["modules"]["default"]
        auth = {"username": "root", "password_file": "one"}
        config["modules"]["other"] = {**of_fleet, "auth": {**auth, "password_file": "other"}}
        config["devices"][0]["module"] = "other"
        config["modules"]["default"] = {**of_fleet, "auth": auth}
        async with daemon_on(config, tmp_path) as running:
            await running.ready()
            (tmp_path / "one").write_text("")
            (tmp_path / "other").write_text("new")
            fleet.devices[0].gatekeeper.password = "new"
            await said(running, "event=config.files_read")
            await running.until(lambda now: now.by_device(UP) == {device(1): 1})
    assert "event=config.file_unusable module=default" in running.text


async def test_a_ca_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    old, new = trustme.CA(), trustme.CA()
    trusted = tmp_path / "ca.pem"
    old.cert_pem.write_to_path(trusted)
    async with https_device(new) as address:
        module = {"scheme": "https", "tls_config": {"ca_file": "ca.pem"}}
        config = {
            "global": {"interval": "1s"},
            "modules": {"default": module},
            "devices": [{"address": address, "name": "lobby"}],
        }
        async with daemon_on(config, tmp_path) as running:
            await running.until(lambda now: now.by_device(UP) == {"lobby": 0})
            trusted.write_text("")
            await said(running, "event=config.file_unusable")
            new.cert_pem.write_to_path(trusted)
            await running.until(lambda now: now.by_device(UP) == {"lobby": 1})
    assert f"{trusted}: cannot be used" in running.text


@asynccontextmanager
async def https_device(authority: trustme.CA) -> AsyncIterator[str]:
    """A device with a certificate that `authority` has signed; its address."""

    async def answer(_request: web.Request) -> web.Response:
        return web.json_response({"apiVersion": "1.0", "data": {"client": {"enabled": True}}})

    app = web.Application()
    app.router.add_post("/axis-cgi/ntp.cgi", answer)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        yield f"127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_auto_reload_takes_a_changed_config_by_itself_and_tries_a_broken_one_once(
    tmp_path: Path,
) -> None:
    fleet = build_fleet(2)
    flags = ("--config.enable-auto-reload", "--config.auto-reload-interval=50ms")
    async with serve_fleet(fleet) as served:
        config = served.exporter_config(interval="200ms")
        async with daemon_on(config, tmp_path, *flags) as running:
            (tmp_path / "config.yaml").write_text("devices: 7")
            await running.until(lambda now: now.all(SUCCESSFUL) == [({}, 0)])
            await asyncio.sleep(0.3)
            del config["devices"][1]
            (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
            await running.until(lambda now: now.all(SUCCESSFUL) == [({}, 1)])
            assert set((await running.scrape()).by_device(UP)) == {device(1)}
    assert running.text.count("event=config.reload_failed") == 1


async def test_without_auto_reload_a_changed_config_is_left_alone(tmp_path: Path) -> None:
    flags = ("--config.auto-reload-interval=50ms",)
    config = {"devices": [{"address": "127.0.0.1:1", "name": "one"}]}
    async with daemon_on(config, tmp_path, *flags) as running:
        (tmp_path / "config.yaml").write_text("devices: []")
        await asyncio.sleep(0.3)
        assert set((await running.scrape()).by_device(POLLS)) == {"one"}
    assert "config.reload" not in running.text
