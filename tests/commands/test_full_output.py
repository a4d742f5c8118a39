"""An output that cannot be written is one line and exit code 1, whichever command prints it."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from exporter.cli import COMMANDS
from exporter.simulator.fleet import build_fleet
from tests.support.command_process import asked, site
from tests.support.daemon_process import COMMAND, PATIENCE_SECONDS

FULL, BROKEN = "No space left on device", "Broken pipe"

CONFIG = "devices: [{address: '127.0.0.1:1'}, {address: '127.0.0.1:2'}]"

LINES = [
    "check",
    "check --verbose",
    "check --only-problems",
    "check --format=csv",
    "check --format=json",
    "check --watch",
    "check 127.0.0.1:1",
    "configure",
    "configure --verbose",
    "configure --json",
    "find 127.0.0.1 --ports=1",
    "import devices.csv",
    "init new --username=root",
    "rules",
    "rules --format=operator",
    "run --config.check",
    "run --config.check --offline",
    "simulate --devices=1 --listen=127.0.0.1:0",
    "demo --devices=1 --web.listen-address=127.0.0.1:0 --log.level=error",
    *(f"{name} --help" for name in COMMANDS),
    "help",
    "version",
]


@contextmanager
def unwritable(problem: str) -> Iterator[int]:
    """A full disk, or a pipe that nobody reads."""
    if problem == FULL:
        output = os.open("/dev/full", os.O_WRONLY)
    else:
        reading, output = os.pipe()
        os.close(reading)
    yield output
    os.close(output)


async def run_into(output: int, words: str, folder: Path) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        COMMAND,
        *words.split(),
        stdin=asyncio.subprocess.PIPE,
        stdout=output,
        stderr=asyncio.subprocess.PIPE,
        cwd=folder,
    )
    async with asyncio.timeout(PATIENCE_SECONDS):
        _, err = await process.communicate(b"password\n")
    return process.returncode, err.decode()


@pytest.mark.parametrize("words", LINES)
async def test_an_output_that_cannot_be_written_is_one_line_and_exit_code_1(
    words: str, tmp_path: Path
) -> None:
    (tmp_path / "config.yaml").write_text(CONFIG)
    (tmp_path / "devices.csv").write_text("name,address\nlobby,192.0.2.1\n")
    for problem in (FULL, BROKEN) if words in ("check", "find 127.0.0.1 --ports=1") else (FULL,):
        with unwritable(problem) as output:
            end = await run_into(output, words, tmp_path)
        assert end == (1, f"axis-ntp-exporter: cannot write the output: {problem}\n")


async def test_configure_names_what_it_has_changed_if_the_output_fails_meanwhile(
    tmp_path: Path,
) -> None:
    async with site(build_fleet(3, "fault:set_hang"), tmp_path, timeout="1h") as here:
        here.devices[0].fault = None
        reading, output = os.pipe()
        file = f"--config.file={here.write_config()}"
        process = await asyncio.create_subprocess_exec(
            COMMAND,
            *("configure", file, "--apply", "--yes", "--concurrency=1"),
            stdout=output,
            stderr=asyncio.subprocess.PIPE,
        )
        os.close(output)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not asked(here.devices[1]):
                await asyncio.sleep(0.02)
            os.close(reading)
            process.terminate()
            assert process.stderr is not None
            await process.stderr.readline()
            process.terminate()
            _, err = await process.communicate()
        one, two, _ = here.served.addresses
    assert err.decode().splitlines() == [
        f"sim-00001 ({one}): set",
        f"sim-00002 ({two}): uncertain: interrupted during the change: the device has its old or"
        " its new settings",
        f"axis-ntp-exporter: cannot write the output: {BROKEN}",
    ]
    assert process.returncode == 1


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("check nobody", 2),
        ("configure --yes", 2),
        ("rules --config.file=x", 2),
        ("nocommand", 2),
        ("run --offline", 2),
        ("run --nonsense", 2),
        ("help nocommand", 2),
    ],
)
async def test_a_usage_error_keeps_its_code_if_it_cannot_be_told(
    words: str, code: int, tmp_path: Path
) -> None:
    (tmp_path / "config.yaml").write_text(CONFIG)
    with unwritable(FULL) as full:
        process = await asyncio.create_subprocess_exec(
            COMMAND, *words.split(), stderr=full, cwd=tmp_path
        )
        assert await process.wait() == code
