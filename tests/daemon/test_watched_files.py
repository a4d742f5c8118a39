"""Files that the daemon watches: always secrets and certificates, the config with auto-reload."""

import asyncio
import itertools
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trustme
import yaml
from aiohttp import web

from exporter.simulator.fleet import build_fleet, serve_fleet
from tests.daemon.reloaded_site import (
    SUCCESSFUL,
    name_of,
)
from tests.daemon.series import POLLS, UP
from tests.support.daemon_process import SOON_READS_FILES_ANEW, daemon_on


async def test_a_password_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    fleet = build_fleet(1, auth="digest")
    secret = tmp_path / "password"
    secret.write_text("pass\n")
    async with serve_fleet(fleet) as served:
        config = served.exporter_config(interval="1s")
        config["modules"]["default"]["auth"] = {"username": "root", "password_file": "password"}
        async with daemon_on(config, tmp_path, patch=SOON_READS_FILES_ANEW) as running:
            await running.ready()
            secret.write_text("")
            await running.logs("event=config.file_unusable")
            fleet.devices[0].login.password = "new"
            await running.until(lambda now: now.by_device(UP) == {name_of(1): 0})
            secret.write_text("new\n")
            await running.until(lambda now: now.by_device(UP) == {name_of(1): 1})
    assert running.text.count("event=config.file_unusable") == 1
    assert "is empty" in running.text
    assert running.text.count("event=config.files_read") == 1


async def test_auto_reload_reloads_the_config_when_one_of_its_secrets_changes(
    tmp_path: Path,
) -> None:
    secret = tmp_path / "password"
    secret.write_text("old")
    module = {"auth": {"username": "root", "password_file": "password"}}
    config = {"modules": {"default": module}, "devices": [{"address": "127.0.0.1:1"}]}
    flags = ("--config.enable-auto-reload", "--config.auto-reload-interval=50ms")
    async with daemon_on(config, tmp_path, *flags) as running:
        async with asyncio.timeout(4):  # sooner than the daemon checks secret files themselves
            for number in itertools.count():
                secret.write_text(f"new {number}")
                await asyncio.sleep(0.2)
                if "event=config.reloaded" in running.text:
                    break
    assert "event=config.files_read" not in running.text


async def test_auto_reload_loads_a_config_when_its_missing_file_appears(
    tmp_path: Path,
) -> None:
    flags = ("--config.enable-auto-reload", "--config.auto-reload-interval=50ms")
    async with daemon_on({"devices": []}, tmp_path, *flags) as running:
        module = {"auth": {"username": "root", "password_file": "late"}}
        config = {"modules": {"default": module}, "devices": [{"address": "127.0.0.1:1"}]}
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
        await running.logs("event=config.reload_failed")
        (tmp_path / "late").write_text("pass")
        await running.until(lambda now: now.all(SUCCESSFUL) == [({}, 1)])
        assert len((await running.scrape()).by_device(POLLS)) == 1
    assert running.text.count("event=config.reload_failed") == 1


async def test_an_unusable_secret_of_one_module_does_not_affect_other_modules(
    tmp_path: Path,
) -> None:
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
        async with daemon_on(config, tmp_path, patch=SOON_READS_FILES_ANEW) as running:
            await running.ready()
            (tmp_path / "one").write_text("")
            (tmp_path / "other").write_text("new")
            fleet.devices[0].login.password = "new"
            await running.logs("event=config.files_read")
            await running.until(lambda now: now.by_device(UP) == {name_of(1): 1})
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
        async with daemon_on(config, tmp_path, patch=SOON_READS_FILES_ANEW) as running:
            await running.until(lambda now: now.by_device(UP) == {"lobby": 0})
            trusted.write_text("")
            await running.logs("event=config.file_unusable")
            new.cert_pem.write_to_path(trusted)
            await running.until(lambda now: now.by_device(UP) == {"lobby": 1})
    assert f"tls_config.ca_file: cannot use {trusted}: " in running.text


@asynccontextmanager
async def https_device(authority: trustme.CA) -> AsyncIterator[str]:
    """Serve a device with a certificate from `authority`; yield its address."""

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


async def test_auto_reload_loads_a_changed_config_and_tries_an_invalid_one_once(
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
            assert set((await running.scrape()).by_device(UP)) == {name_of(1)}
    assert running.text.count("event=config.reload_failed") == 1


async def test_auto_reload_never_loads_half_a_config(tmp_path: Path) -> None:
    flags = ("--config.enable-auto-reload", "--config.auto-reload-interval=1s")
    devices = [{"address": f"127.0.0.1:{port}"} for port in range(1, 22)]
    config = {"global": {"interval": "1h"}, "devices": devices}
    async with daemon_on(config, tmp_path, *flags) as running:
        # A slow writer, for more than one interval. Each part is a valid config of fewer devices.
        lines = yaml.safe_dump({"devices": devices}).splitlines(keepends=True)
        for end in range(2, len(lines) + 1):
            (tmp_path / "config.yaml").write_text("".join(lines[:end]))
            await asyncio.sleep(0.06)
        await running.logs("event=config.reloaded")
        assert len((await running.scrape()).by_device(POLLS)) == len(devices)
    assert running.text.count("event=config.reloaded") == 1
    assert "removed=0" in running.text


async def test_without_auto_reload_a_changed_config_is_ignored(tmp_path: Path) -> None:
    flags = ("--config.auto-reload-interval=50ms",)
    config = {"devices": [{"address": "127.0.0.1:1", "name": "one"}]}
    async with daemon_on(config, tmp_path, *flags) as running:
        (tmp_path / "config.yaml").write_text("devices: []")
        await asyncio.sleep(0.3)
        assert set((await running.scrape()).by_device(POLLS)) == {"one"}
    assert "config.reload" not in running.text
