"""The limit of open files: raised for the devices, and an error if it is too low."""

import asyncio
import json
import resource
from pathlib import Path

import yaml

from exporter.simulator.fleet import build_fleet, serve_fleet
from exporter.system.process import SPARE_FILES
from exporter.web.limits import MAX_CONNECTIONS
from tests.daemon.series import polls, polls_reach, sd_failures
from tests.support.daemon_process import COMMAND, SOON_READS_FILES_ANEW, daemon_on


async def under_limits(soft: int, hard: int, config: dict[str, object], folder: Path) -> str:
    """Return what the daemon logs until it has started, and the limits it then runs with."""
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(config))
    process = await asyncio.create_subprocess_exec(
        "bash",
        "-c",
        f'ulimit -Sn {soft} && ulimit -Hn {hard} && exec "$@"',
        "bash",
        COMMAND,
        f"--config.file={file}",
        "--web.listen-address=127.0.0.1:0",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    try:
        async with asyncio.timeout(30):
            logged = ""
            while line := (await process.stderr.readline()).decode():
                logged += line
                if "exporter.started" in line:
                    return logged + (Path("/proc") / str(process.pid) / "limits").read_text()
                if "exporter.start_failed" in line:
                    assert await process.wait() == 1
                    return line
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
    raise AssertionError("neither started nor failed")


def devices(count: int) -> dict[str, object]:
    return {"devices": [{"address": f"127.0.0.1:{1 + n}"} for n in range(count)]}


async def test_more_devices_than_open_files_is_an_error_at_the_start_with_the_number(
    tmp_path: Path,
) -> None:
    line = await under_limits(64, 200, devices(200), tmp_path)
    assert f"200 devices need {200 + SPARE_FILES} open files, the hard limit is 200" in line
    assert "LimitNOFILE=" in line


async def test_the_soft_file_limit_is_raised_to_the_hard_one(tmp_path: Path) -> None:
    limits = await under_limits(64, 400, devices(200), tmp_path)
    (row,) = [line for line in limits.splitlines() if line.startswith("Max open files")]
    assert row.split()[3:5] == ["400", "400"]


async def test_a_limit_that_visitors_can_use_up_is_a_warning_with_the_number(
    tmp_path: Path,
) -> None:
    config = devices(200) | {"global": {"concurrency": 50}}
    needed = 200 + 50 + MAX_CONNECTIONS + SPARE_FILES
    logged = await under_limits(64, needed - 1, config, tmp_path)
    assert f"event=files.limit_low limit={needed - 1} needed={needed} " in logged
    assert "--web.max-connections" in logged
    assert "files.limit_low" not in await under_limits(64, needed, config, tmp_path)


async def test_a_device_needs_one_file_descriptor(tmp_path: Path) -> None:
    fleet = build_fleet(200, auth="digest")
    async with serve_fleet(fleet) as served:
        config = served.exporter_config(interval="500ms")
        async with daemon_on(config, tmp_path) as running:
            await running.until(polls_reach(3))
            files = len(list(Path(f"/proc/{running.process.pid}/fd").iterdir()))
    assert 200 <= files <= 200 + 32


async def test_a_reload_with_too_many_devices_fails_with_the_number(tmp_path: Path) -> None:
    async with daemon_on(devices(10), tmp_path) as running:
        limit_files_of(running.process.pid)
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(devices(200)))
        status, text = await running.reload()
        assert status == 500
        assert f"200 devices need {200 + SPARE_FILES} open files" in text
        assert len(polls(await running.scrape())) == 10


async def test_too_many_discovered_devices_are_rejected_logged_and_counted(
    tmp_path: Path,
) -> None:
    file = tmp_path / "found.json"
    file.write_text("[]")
    config = devices(10) | {
        "file_sd_configs": [{"files": [str(file)], "refresh_interval": "100ms"}]
    }
    async with daemon_on(config, tmp_path) as running:
        limit_files_of(running.process.pid)
        file.write_text(json.dumps([{"targets": [f"127.0.0.2:{1 + n}" for n in range(200)]}]))
        found = await running.until(lambda now: any(sd_failures(now).values()))
        assert len(polls(found)) == 10
    assert f"210 devices need {210 + SPARE_FILES} open files" in running.text


async def test_a_password_can_change_while_too_many_devices_are_discovered(tmp_path: Path) -> None:
    found, password = tmp_path / "found.json", tmp_path / "password"
    found.write_text("[]")
    password.write_text("one")
    config = devices(10) | {
        "file_sd_configs": [{"files": [str(found)], "refresh_interval": "100ms"}],
        "modules": {"default": {"auth": {"username": "root", "password_file": str(password)}}},
    }
    async with daemon_on(config, tmp_path, patch=SOON_READS_FILES_ANEW) as running:
        limit_files_of(running.process.pid)
        found.write_text(json.dumps([{"targets": [f"127.0.0.2:{1 + n}" for n in range(200)]}]))
        await running.until(lambda now: any(sd_failures(now).values()))
        for changed in ("two", "three"):
            password.write_text(changed)
            before = running.text.count("config.files_read")
            async with asyncio.timeout(20):
                while running.text.count("config.files_read") == before:
                    await asyncio.sleep(0.05)
        assert len(polls(await running.scrape())) == 10


def limit_files_of(pid: int) -> None:
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (200, 200))


async def test_auto_reload_logs_a_config_that_stays_too_large_once(tmp_path: Path) -> None:
    flags = ("--config.enable-auto-reload", "--config.auto-reload-interval=50ms")
    async with daemon_on(
        {**devices(10), "global": {"interval": "100ms"}}, tmp_path, *flags
    ) as running:
        limit_files_of(running.process.pid)
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(devices(200)))
        await running.until(
            lambda now: now.all("axis_ntp_exporter_config_last_reload_successful") == [({}, 0)]
        )
        # The interval of auto-reload passes several times.
        await running.until(polls_reach(int(max(polls(await running.scrape()).values())) + 3))
        assert len((await running.scrape()).by_device("axis_ntp_polls_total")) == 10
    assert running.text.count("event=config.reload_failed") == 1
