"""Open files: as many as devices need, and an error where they do not fit."""

import asyncio
from pathlib import Path

import yaml

from exporter.file_limit import SPARE_FILES
from exporter.simulator.fleet import build_fleet, serve_fleet
from tests.daemon_process import COMMAND, daemon_on


async def under_limits(soft: int, hard: int, config: dict[str, object], folder: Path) -> str:
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
            while line := (await process.stderr.readline()).decode():
                if "exporter.started" in line:
                    return (Path("/proc") / str(process.pid) / "limits").read_text()
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


async def test_devices_that_cannot_have_a_connection_each_are_told_at_start_with_the_number(
    tmp_path: Path,
) -> None:
    told = await under_limits(64, 200, devices(200), tmp_path)
    assert f"200 devices need {200 + SPARE_FILES} open files, the hard limit is 200" in told
    assert "LimitNOFILE=" in told


async def test_the_soft_limit_is_raised_to_the_hard_one(tmp_path: Path) -> None:
    limits = await under_limits(64, 400, devices(200), tmp_path)
    (row,) = [line for line in limits.splitlines() if line.startswith("Max open files")]
    assert row.split()[3:5] == ["400", "400"]


async def test_a_device_takes_one_file_and_no_more(tmp_path: Path) -> None:
    fleet = build_fleet(200, auth="digest")
    async with serve_fleet(fleet) as served:
        config = served.exporter_config(interval="500ms")
        async with daemon_on(config, tmp_path) as running:
            await running.until(
                lambda now: min(now.by_device("axis_ntp_polls_total").values(), default=0) >= 3
            )
            files = len(list(Path(f"/proc/{running.process.pid}/fd").iterdir()))
    assert 200 <= files <= 200 + 32
