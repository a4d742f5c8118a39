"""`--web.config.file` of the installed command: TLS and passwords, also changed while it runs."""

from __future__ import annotations

import asyncio
import re
import secrets
import ssl
import time
from pathlib import Path
from typing import Any

import aiohttp
import bcrypt
import pytest
import yaml

from tests.daemon.series import NOTHING
from tests.support.certificates import Authority, authority
from tests.support.command_process import run_to_end
from tests.support.daemon_process import COMMAND, PATIENCE_SECONDS, DaemonProcess, daemon, daemon_on
from tests.support.web_config import ALICE, AS_ALICE, HASH, PASSWORD, TLS, basic, write


@pytest.fixture
def ours(tmp_path: Path) -> Authority:
    return authority(tmp_path)


async def get(
    running: DaemonProcess, ours: Authority, path: str, headers: dict[str, str] | None = None
) -> tuple[int, str]:
    url, tls = running.url + path, ours.client_context()
    async with running.session.get(url, ssl=tls, headers=headers) as response:
        return response.status, await response.text()


async def until(running: DaemonProcess, ours: Authority, who: dict[str, str], status: int) -> float:
    """Get the metrics until the response has that status; return how long it took."""
    started = time.monotonic()
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (await get(running, ours, "/metrics", who))[0] != status:
            await asyncio.sleep(0.1)
    return time.monotonic() - started


def flag(file: Path) -> str:
    return f"--web.config.file={file}"


async def test_metrics_need_tls_and_a_password_and_health_no_password(
    ours: Authority, tmp_path: Path
) -> None:
    file = write(tmp_path, ALICE | TLS)
    async with daemon_on(NOTHING, tmp_path, flag(file)) as running:
        assert running.url.startswith("https://")
        assert (await get(running, ours, "/metrics"))[0] == 401
        status, text = await get(running, ours, "/metrics", AS_ALICE)
        assert status == 200
        assert "axis_ntp_exporter_build_info" in text
        assert (await get(running, ours, "/-/healthy"))[0] == 200
        assert (await get(running, ours, "/-/ready"))[0] in (200, 503)


async def test_a_new_user_and_certificate_take_effect_within_seconds(
    ours: Authority, tmp_path: Path
) -> None:
    file = write(tmp_path, ALICE | TLS)
    bob = basic("bob:of bob")
    async with daemon_on(NOTHING, tmp_path, flag(file)) as running:
        assert (await get(running, ours, "/metrics", AS_ALICE))[0] == 200
        hashed = bcrypt.hashpw(b"of bob", bcrypt.gensalt(4)).decode()
        certificate, _ = ours.issue("server")
        write(tmp_path, TLS | {"basic_auth_users": {"bob": hashed}})
        assert await until(running, ours, bob, 200) < 10
        assert (await get(running, ours, "/metrics", AS_ALICE))[0] == 401
        host, port = running.url.removeprefix("https://").split(":")
        served = await asyncio.to_thread(ssl.get_server_certificate, (host, int(port)))
        assert served in certificate.read_text()
        await running.stop()
    assert "event=web_config.loaded" in running.text
    assert "Traceback" not in running.text


async def test_clients_without_a_tls_handshake_do_not_delay_the_end(
    ours: Authority, tmp_path: Path
) -> None:
    file = write(ours.folder, TLS)
    async with daemon_on(NOTHING, tmp_path, flag(file)) as running:
        host, port = running.url.removeprefix("https://").split(":")
        connections = [await asyncio.open_connection(host, int(port)) for _ in range(2)]
        connections[0][1].write(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"HTTP" not in await connections[0][0].read()
        before = time.monotonic()
        assert await running.stop() == 0
        assert time.monotonic() - before < 10
        for _, writer in connections:
            writer.close()
    assert "Traceback" not in running.text
    assert "level=error" not in running.text


async def test_it_does_not_end_later_because_of_a_flood_of_wrong_passwords(tmp_path: Path) -> None:
    # Such a slow hash that the waiting requests, four per address, would need half a minute.
    hashed = bcrypt.hashpw(b"x", bcrypt.gensalt(14)).decode()
    file = write(tmp_path, {"basic_auth_users": {"alice": hashed}})
    async with daemon_on(NOTHING, tmp_path, flag(file)) as running:
        visits = (guess(running, f"127.0.0.{last}") for last in range(1, 17) for _ in range(4))
        flood = [asyncio.create_task(visit) for visit in visits]
        await asyncio.sleep(0.3)
        before = time.monotonic()
        assert await running.stop() == 0
        assert time.monotonic() - before < 10
        await asyncio.gather(*flood, return_exceptions=True)
    assert "Traceback" not in running.text


async def guess(running: DaemonProcess, address: str) -> None:
    """Send a wrong password from one of this machine's addresses."""
    connector = aiohttp.TCPConnector(local_addr=(address, 0))
    async with aiohttp.ClientSession(connector=connector) as visitor:
        who = basic(f"alice:{secrets.token_hex()}")
        async with visitor.get(f"{running.url}/metrics", headers=who) as response:
            await response.read()


BROKEN: dict[str, Any] = {
    "tls_server_config": {"cert_file": "nowhere", "key_file": "server.key", "min_version": "1"},
    "basic_auth_users": {"alice": PASSWORD},
}


def lines(file: Path, folder: Path) -> list[str]:
    return [
        f"{file}:4: tls_server_config.cert_file: cannot read {folder}/nowhere: "
        "No such file or directory",
        f"{file}:6: tls_server_config.min_version: "
        "must be one of 'TLS10', 'TLS11', 'TLS12' or 'TLS13'",
        f"{file}:2: basic_auth_users.alice: is not a bcrypt hash; "
        "create one with `htpasswd -nBC 10 NAME`",
    ]


async def test_an_invalid_web_config_prevents_the_start_and_every_error_is_printed(
    ours: Authority, tmp_path: Path
) -> None:
    file, config = write(ours.folder, BROKEN), tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump(NOTHING))
    code, output = await run_to_end(str(COMMAND), f"--config.file={config}", flag(file))
    assert (code, output.splitlines()) == (1, lines(file, tmp_path))


async def test_config_check_prints_the_errors_of_both_files(
    ours: Authority, tmp_path: Path
) -> None:
    file, config = write(ours.folder, BROKEN), tmp_path / "config.yaml"
    config.write_text("device: []")
    code, output = await run_to_end(
        str(COMMAND), "--config.check", f"--config.file={config}", flag(file)
    )
    first = f"{config}:1: device: unknown key (did you mean devices?)"
    assert (code, output.splitlines()) == (1, [first, *lines(file, tmp_path)])


async def test_config_check_reports_valid_files(ours: Authority, tmp_path: Path) -> None:
    file, config = write(ours.folder, ALICE | TLS), tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump(NOTHING))
    code, output = await run_to_end(
        str(COMMAND), "--config.check", f"--config.file={config}", flag(file)
    )
    assert (code, output) == (0, f"{config}: valid, 1 device\n{file}: valid, TLS, 1 user\n")


@pytest.mark.parametrize("log_format", ["logfmt", "json"])
async def test_no_secret_of_the_web_config_is_logged(
    log_format: str, ours: Authority, tmp_path: Path
) -> None:
    file, config = write(ours.folder, ALICE), tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump(NOTHING))
    flags = (f"--config.file={config}", "--log.level=debug", f"--log.format={log_format}")
    listen = "--web.listen-address=127.0.0.1:0"
    async with daemon(*flags, flag(file), listen, wait_for="exporter.started") as running:
        [port] = re.findall(r"127\.0\.0\.1:(\d+)", running.text)
        for who in (AS_ALICE, basic("alice:wr0ng-password"), {}):
            url = f"http://127.0.0.1:{port}/metrics"
            async with running.session.get(url, headers=who) as response:
                await response.read()
        write(ours.folder, {"basic_auth_users": {"alice": PASSWORD}})
        await running.logs("web_config.reload_failed")
        await running.stop()
    for secret in (PASSWORD, PASSWORD[:8], HASH, HASH[8:20], "wr0ng", AS_ALICE["Authorization"]):
        assert secret not in running.text


async def test_the_demo_accepts_a_web_config(ours: Authority) -> None:
    file = write(ours.folder, TLS)
    flags = ("demo", "--devices=1", "--web.listen-address=127.0.0.1:0", flag(file))
    async with daemon(*flags, wait_for="Press Ctrl-C to stop") as running:
        assert f"{running.url}/metrics" in running.text
        assert (await get(running, ours, "/metrics"))[0] == 200
