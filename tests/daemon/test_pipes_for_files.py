"""A pipe where a file was: refused at once, whoever opens it; nothing waits for its writer."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.daemon.series import NOTHING
from tests.support.command_process import run_to_end
from tests.support.daemon_process import COMMAND, daemon_on
from tests.support.stopping import PROMISED_SECONDS, seconds_to_end

NO_FILE = "not a regular file"


async def test_a_reload_refuses_a_pipe_and_the_next_one_loads_the_file(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    async with daemon_on(NOTHING, tmp_path) as running:
        file.unlink()
        os.mkfifo(file)
        for _ in range(2):
            status, text = await running.reload()
            assert status == 500
            assert NO_FILE in text
        file.unlink()
        file.write_text(yaml.safe_dump(NOTHING))
        assert (await running.reload())[0] == 200
        file.unlink()
        os.mkfifo(file)
        await running.reload()
        assert await running.stop() == 0


async def test_a_pipe_for_the_web_config_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "web.yml"
    file.write_text("{}")
    async with daemon_on(NOTHING, tmp_path, f"--web.config.file={file}") as running:
        file.unlink()
        os.mkfifo(file)
        await running.logs("event=web_config.reload_failed")
        assert NO_FILE in running.text
        assert (await running.get("/metrics"))[0] == 200
        assert await running.stop() == 0


@pytest.mark.parametrize(
    "module",
    [
        {"auth": {"username": "root", "password_file": "pipe"}},
        {"auth": {"username_file": "pipe", "password": "pass"}},
        {"tls_config": {"ca_file": "pipe"}},
        {"tls_config": {"cert_file": "pipe"}},
        {"tls_config": {"cert_file": "config.yaml", "key_file": "pipe"}},
    ],
)
async def test_a_pipe_for_a_file_that_the_config_names_is_refused(
    module: object, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "pipe")
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump({"modules": {"default": module}}))
    for flags in ((), ("--config.check",)):
        code, output = await run_to_end(str(COMMAND), f"--config.file={file}", *flags)
        assert code == 1
        assert f"pipe: {NO_FILE}" in output


@pytest.mark.parametrize("key", ["cert_file", "key_file", "client_ca_file"])
async def test_a_pipe_for_a_file_that_the_web_config_names_is_refused(
    key: str, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "pipe")
    files = {"cert_file": "other", "key_file": "other", key: "pipe"}
    (tmp_path / "web.yml").write_text(yaml.safe_dump({"tls_server_config": files}))
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(NOTHING))
    flags = (f"--config.file={tmp_path}/config.yaml", f"--web.config.file={tmp_path}/web.yml")
    code, output = await run_to_end(str(COMMAND), *flags)
    assert code == 1
    assert f"pipe: {NO_FILE}" in output


@pytest.mark.parametrize(
    "hanging", ["await asyncio.to_thread(time.sleep, 1000)", "time.sleep(1000)"]
)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_process_whatever_hangs(number: signal.Signals, hanging: str) -> None:
    program = f"""
import asyncio, time, uvloop
from exporter.system.signals import run_unless, stop_signals

async def hang():
    {hanging}

async def main():
    with stop_signals() as stop:
        print("started", flush=True)
        await run_unless(stop, hang())

uvloop.run(main())
"""
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert asyncio.run(seconds_to_end(process.pid, number)) < PROMISED_SECONDS
        assert process.wait() == 0
