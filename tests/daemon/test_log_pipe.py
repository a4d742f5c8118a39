"""A log that cannot be written: polls, pages and signals go on without it."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import pytest
import yaml

from exporter.simulator.fleet import build_fleet, serve_fleet
from tests.support.command_process import asked
from tests.support.daemon_process import COMMAND, PATIENCE_SECONDS, DaemonProcess, Scrape
from tests.support.full_pipe import full_pipe

LOST = "axis_ntp_exporter_log_lines_dropped_total"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_log_pipe_that_nobody_reads_stops_neither_polls_nor_pages_nor_signals(
    number: signal.Signals, tmp_path: Path
) -> None:
    fleet = build_fleet(2)
    async with serve_fleet(fleet) as served:
        config = served.exporter_config(interval="100ms")
        with full_pipe() as stderr:
            async with daemon_logging_to(stderr, config, tmp_path) as (running, url):
                async with asyncio.timeout(PATIENCE_SECONDS):
                    while asked(fleet.devices[0], "getNTPInfo") < 5:
                        await asyncio.sleep(0.05)
                    async with running.session.post(f"{url}/-/reload") as response:
                        assert response.status == 200
                    async with running.session.get(f"{url}/metrics") as response:
                        found = Scrape.parse(await response.text())
                assert found.all(LOST) == [({}, 0)]
                assert await running.stop(number) == 0


async def test_lines_that_a_full_disk_refuses_are_counted(tmp_path: Path) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    async with daemon_logging_to(full, {"devices": []}, tmp_path) as (running, url):
        os.close(full)
        async with running.session.get(f"{url}/metrics") as response:
            found = Scrape.parse(await response.text())
        assert found.all(LOST)[0][1] >= 1
        assert await running.stop() == 0


@asynccontextmanager
async def daemon_logging_to(
    stderr: int, config: object, folder: Path
) -> AsyncIterator[tuple[DaemonProcess, str]]:
    """Run the daemon; yield it and its URL once it answers."""
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(config))
    process = await asyncio.create_subprocess_exec(
        COMMAND, f"--config.file={file}", "--web.listen-address=127.0.0.1:0", stderr=stderr
    )
    async with aiohttp.ClientSession() as session:
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while (port := listening_port(process.pid)) is None:
                    assert process.returncode is None
                    await asyncio.sleep(0.05)
            yield DaemonProcess(process, session), f"http://127.0.0.1:{port}"
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


def listening_port(process_id: int) -> int | None:
    """Return the port that a process listens on, which its log cannot tell here; proc(5)."""
    opened = set()
    for descriptor in Path(f"/proc/{process_id}/fd").iterdir():
        with suppress(FileNotFoundError):
            opened.add(str(descriptor.readlink()))
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] == "0A" and f"socket:[{fields[9]}]" in opened:
            return int(fields[1].rpartition(":")[2], 16)
    return None
