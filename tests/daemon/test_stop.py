"""SIGTERM ends the process soon, whatever it is doing. `docs/reliability.md` has the numbers."""

import asyncio
import json
import os
import signal
import socket
from pathlib import Path

from tests.daemon.series import NOTHING
from tests.support.daemon_process import DaemonProcess, daemon_on
from tests.support.stopping import PROMISED_SECONDS, seconds_to_end

HUNG_READ = """
import time
from exporter.commands import run
load, calls = run.load_config, []

def load_or_hang(*arguments):
    calls.append(arguments)
    if len(calls) > 1:
        print("event=hangs", flush=True)
        time.sleep(1000)
    return load(*arguments)

run.load_config = load_or_hang
"""

PARSING = """
from exporter.config import loader
parse, calls = loader.parse_yaml, []

def announce_and_parse(*arguments, **options):
    calls.append(arguments)
    print(f"event=parses number={len(calls)}", flush=True)
    return parse(*arguments, **options)

loader.parse_yaml = announce_and_parse
"""

NO_FILE_LIMIT = """
from exporter.fleet import reloader
reloader.raise_file_limit = lambda devices: None
"""

APPLYING = """
from exporter.fleet.reconciler import Reconciler
add, added = Reconciler._add, []

def add_and_announce(self, spec, device):
    add(self, spec, device)
    added.append(spec)
    if len(added) == 1000:
        print("event=applies", flush=True)

Reconciler._add = add_and_announce
"""


async def stops_soon(running: DaemonProcess) -> None:
    seconds = await seconds_to_end(running.process.pid, signal.SIGTERM)
    assert await running.process.wait() == 0
    assert seconds < PROMISED_SECONDS
    assert "Traceback" not in running.text
    assert "Fatal" not in running.text


async def stops_soon_among_reloads(running: DaemonProcess, event: str) -> None:
    """Send SIGTERM when an event of five reloads has been logged."""
    reloads = [asyncio.create_task(running.reload()) for _ in range(5)]
    await running.logs(event)
    await stops_soon(running)
    await asyncio.gather(*reloads, return_exceptions=True)


async def test_sigterm_ends_it_while_the_config_is_a_pipe(tmp_path: Path) -> None:
    async with daemon_on(NOTHING, tmp_path) as running:
        (tmp_path / "config.yaml").unlink()
        os.mkfifo(tmp_path / "config.yaml")
        await stops_soon_among_reloads(running, "event=config.reload_failed")


async def test_sigterm_ends_it_while_a_reload_waits_for_a_disk_that_hangs(tmp_path: Path) -> None:
    async with daemon_on(NOTHING, tmp_path, patch=HUNG_READ) as running:
        await stops_soon_among_reloads(running, "event=hangs")


async def test_sigterm_ends_it_while_a_config_of_100_000_devices_is_parsed(tmp_path: Path) -> None:
    async with daemon_on(NOTHING, tmp_path, patch=PARSING) as running:
        lines = (f"- address: 127.{n >> 16}.{n >> 8 & 255}.{n & 255}\n" for n in range(100_000))
        (tmp_path / "config.yaml").write_text(f"devices:\n{''.join(lines)}")
        reload = asyncio.create_task(running.reload())
        await running.logs("event=parses number=2")
        await stops_soon(running)
        await asyncio.gather(reload, return_exceptions=True)


async def test_sigterm_ends_it_while_a_file_of_60_mb_is_parsed(tmp_path: Path) -> None:
    target = json.dumps({"targets": ["127.0.0.1:9"], "labels": {"site": "\U0001f3e2"}})
    document = f"[{(',' + ' ' * 550).join([target] * 100_000)}]"
    (tmp_path / "sd.json").write_text(document)
    sd = {"files": ["sd.json"], "refresh_interval": "100ms"}
    async with daemon_on({"file_sd_configs": [sd]}, tmp_path) as running:
        await stops_soon(running)


async def test_sigterm_ends_it_while_a_probe_waits_for_a_device_that_hangs(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as device:
        address = f"127.0.0.1:{device.getsockname()[1]}"
        config = {
            "global": {"interval": "1h", "timeout": "1h"},
            "modules": {"default": {"scheme": "http"}},
            "devices": [{"address": address}],
        }
        async with daemon_on(config, tmp_path) as running:
            probe = asyncio.create_task(running.get(f"/probe?target={address}"))
            in_flight = "axis_ntp_exporter_polls_in_flight"
            await running.until(lambda found: found.all(in_flight)[0][1] == 1)
            await stops_soon(running)
            await asyncio.gather(probe, return_exceptions=True)


async def test_sigterm_ends_it_while_50_000_devices_are_being_applied(tmp_path: Path) -> None:
    targets = [f"127.{n >> 16}.{n >> 8 & 255}.{n & 255}:9" for n in range(50_000)]
    (tmp_path / "sd.json").write_text(json.dumps([{"targets": targets}]))
    config = {"global": {"interval": "1h"}, "file_sd_configs": [{"files": ["sd.json"]}]}
    async with daemon_on(config, tmp_path, patch=NO_FILE_LIMIT + APPLYING) as running:
        await running.logs("event=applies")
        await stops_soon(running)
