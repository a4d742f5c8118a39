"""Start and end of the installed command."""

import asyncio
import json
import signal
import socket
import sys
import time
from pathlib import Path

import pytest
import yaml

from exporter.simulator.fleet import build_fleet, serve_fleet
from tests.daemon.series import NOTHING
from tests.support.command_process import run_to_end
from tests.support.daemon_process import COMMAND, daemon, daemon_on


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_cleanly_while_polls_hang(
    number: signal.Signals, tmp_path: Path
) -> None:
    fleet = build_fleet(30, "fault:hang")
    async with serve_fleet(fleet) as served:
        config = served.exporter_config(interval="1s", timeout="1h")
        async with daemon_on(config, tmp_path) as running:
            in_flight = "axis_ntp_exporter_polls_in_flight"
            await running.until(lambda found: found.all(in_flight)[0][1] == 30)
            before = time.monotonic()
            assert await running.stop(number) == 0
            assert time.monotonic() - before < 10
    assert "Traceback" not in running.text
    assert "event=exporter.stopped" in running.text


async def test_a_signal_ends_it_while_a_request_is_incomplete(tmp_path: Path) -> None:
    async with daemon_on(NOTHING, tmp_path) as running:
        host, port = running.url.removeprefix("http://").split(":")
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\n")
        await writer.drain()
        before = time.monotonic()
        assert await running.stop() == 0
        assert time.monotonic() - before < 10
        writer.close()
    assert "Traceback" not in running.text


async def test_an_address_in_use_is_an_error_with_exit_code_1(tmp_path: Path) -> None:
    async with daemon_on(NOTHING, tmp_path) as running:
        address = running.url.removeprefix("http://")
        file = tmp_path / "config.yaml"
        code, output = await run_to_end(
            str(COMMAND), f"--config.file={file}", f"--web.listen-address={address}"
        )
    assert code == 1
    assert f"cannot listen on {address}: " in output
    assert "; choose another address with --web.listen-address" in output
    assert "Traceback" not in output


async def test_it_listens_on_every_given_address(tmp_path: Path) -> None:
    second = "--web.listen-address=127.0.0.1:0"
    async with daemon_on(NOTHING, tmp_path, second) as running:
        assert running.text.count("event=web.listening") == 2


async def test_the_telemetry_path_can_be_changed(tmp_path: Path) -> None:
    async with daemon_on(NOTHING, tmp_path, "--web.telemetry-path=/m") as running:
        assert (await running.get("/m"))[0] == 200
        assert (await running.get("/metrics"))[0] == 404


async def test_log_lines_can_be_json(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(NOTHING))
    flags = ("--log.format=json", "--web.listen-address=127.0.0.1:0")
    async with daemon(f"--config.file={file}", *flags, wait_for="exporter.started") as running:
        await running.stop()
    events = [json.loads(line)["event"] for line in running.text.splitlines()]
    assert events[-2:] == ["exporter.stopping", "exporter.stopped"]


async def test_python_m_exporter_is_the_command() -> None:
    code, output = await run_to_end(sys.executable, "-m", "exporter", "--version")
    assert (code, output) == await run_to_end(str(COMMAND), "--version")
    assert output.startswith("axis-ntp-exporter ")


async def test_the_demo_shows_all_its_devices() -> None:
    flags = ("demo", "--web.listen-address=127.0.0.1:0")
    async with daemon(*flags, wait_for="Press Ctrl-C to stop") as running:
        found = await running.until(lambda found: len(found.by_device("axis_ntp_up")) == 20)
        assert found.by_device("axis_ntp_up")["lobby"] == 1
        assert f"{running.url}/metrics" in running.text
        assert "so the log warns `time_server.is_this_host`" in running.text
        assert running.text.count("event=time_server.is_this_host") == 3
        assert await running.stop(signal.SIGINT) == 0
    assert "Traceback" not in running.text


async def test_the_demo_on_a_port_in_use_says_how_to_choose_another() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        flags = ("demo", "--devices=1", f"--web.listen-address={address}")
        code, output = await run_to_end(str(COMMAND), *flags)
    assert code == 1
    assert f"demo: cannot listen on {address}: " in output
    assert "; choose another address with --web.listen-address" in output
    assert "Traceback" not in output


async def test_simulate_writes_a_config_for_the_daemon(
    tmp_path: Path,
) -> None:
    file = tmp_path / "fleet.yaml"
    flags = ("--devices=3", "--scheme=https", "--listen=127.0.0.1:0", f"--write-config={file}")
    async with daemon("simulate", *flags, wait_for="simulated devices") as simulated:
        config = yaml.safe_load(file.read_text())
        config["global"]["interval"] = "500ms"
        async with daemon_on(config, tmp_path) as running:
            found = await running.ready()
        assert set(found.by_device("axis_ntp_synced").values()) == {1}
        assert await simulated.stop(signal.SIGINT) == 0
    assert "Traceback" not in simulated.text
