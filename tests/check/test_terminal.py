"""`check` at a terminal: colors, the progress bar, long texts."""

import re
import signal
from pathlib import Path

from exporter.simulator.fleet import build_fleet
from tests.support.command_process import site
from tests.support.terminal import at_terminal


async def test_a_terminal_gets_colors_and_a_progress_bar(tmp_path: Path) -> None:
    async with site(3, tmp_path, expect={}) as here:
        file = f"--config.file={here.write_config()}"
        async with at_terminal("check", file) as terminal:
            await terminal.shows("3 devices: 3 fine")
            assert await terminal.end() == 0
            assert re.search(r"\x1b\[32m *fine", terminal.screen)
            assert "3/3" in terminal.text
            assert len(re.findall(r"\bsim-0000\d ", terminal.text)) == 3


async def test_rows_come_as_devices_answer_and_those_with_problems_again_at_the_end(
    tmp_path: Path,
) -> None:
    async with site(3, tmp_path, timeout="1h", expect={}) as here:
        here.devices[0].fault, here.devices[2].fault = "hang", "unauthorized"
        file = f"--config.file={here.write_config()}"
        async with at_terminal("check", file, environment={"COLUMNS": "100"}) as terminal:
            await terminal.shows("sim-00002")
            await terminal.shows("unauthorized 401")
            terminal.process.send_signal(signal.SIGINT)
            await terminal.shows("1 unauthorized 401: sim-00003")
            assert await terminal.end() == 1
        begin, _, end = terminal.text.rpartition("DEVICE ")
    assert "sim-00001" not in begin
    assert "sim-00002" not in end
    rows = [line.split()[:3] for line in end.splitlines()[1:3]]
    addresses = here.served.addresses
    assert rows == [["sim-00003", addresses[2], "bad"], ["sim-00001", addresses[0], "not"]]


async def test_a_table_in_an_order_comes_at_the_end_with_all_devices(tmp_path: Path) -> None:
    async with site(2, tmp_path, expect={}) as here:
        file = f"--config.file={here.write_config()}"
        async with at_terminal("check", file, "--sort=name") as terminal:
            await terminal.shows("2 devices: 2 fine")
            assert await terminal.end() == 0
    assert re.findall(r"\b(sim-0000\d|DEVICE) ", terminal.text) == [
        "DEVICE",
        "sim-00001",
        "sim-00002",
    ]


async def test_no_color_is_respected(tmp_path: Path) -> None:
    async with site(1, tmp_path, expect={}) as here:
        file = f"--config.file={here.write_config()}"
        async with at_terminal("check", file, environment={"NO_COLOR": "1"}) as terminal:
            await terminal.shows("1 device: 1 fine")
            assert "\x1b[32m" not in terminal.screen


async def test_a_fingerprint_fits_on_a_line_of_80_columns(tmp_path: Path) -> None:
    async with site(build_fleet(1, scheme="https"), tmp_path, expect={}) as here:
        file = f"--config.file={here.write_config()}"
        async with at_terminal("check", file, environment={"COLUMNS": "80"}) as terminal:
            await terminal.shows("1 device: 1 fine")
            [line] = [each for each in terminal.text.splitlines() if "fingerprint" in each]
            assert len(line.split()[1]) == 64


async def test_text_of_devices_is_not_interpreted_as_markup(tmp_path: Path) -> None:
    async with site(1, tmp_path, expect={}) as here:
        here.config["devices"][0]["name"] = "[blink]:smile:[/blink] \x1b[5m"
        here.devices[0].client.configuration.static_servers = ["[red]x[/red]"]
        file = f"--config.file={here.write_config()}"
        async with at_terminal("check", file) as terminal:
            await terminal.shows("1 device: 1 fine")
            assert r"[blink]:smile:[/blink] \x1b[5m" in terminal.text
            assert "[red]x[/red] (static)" in terminal.text
            assert "\x1b[5m" not in terminal.screen


async def test_twenty_broken_devices_of_420_are_on_the_last_screen(tmp_path: Path) -> None:
    faults = ["unauthorized", "client_disabled", "not_synced", "no_servers", "drop"]
    async with site(420, tmp_path, timeout="30s", expect={}) as here:
        for number in range(20):
            here.devices[number * 21].fault = faults[number % len(faults)]
        broken = [here.devices[number * 21].name for number in range(20)]
        file = f"--config.file={here.write_config()}"
        size = {"LINES": "40", "COLUMNS": "80"}
        async with at_terminal("check", file, environment=size) as terminal:
            await terminal.shows("420 devices: 400 fine, 20 with a problem")
            assert await terminal.end() == 1
            await terminal.shows("4 unauthorized 401: ")
    last = terminal.text.splitlines()[-40:]
    rows = [line.split()[0] for line in last if re.match(r"sim-\d+ ", line)]
    assert set(broken) <= set(rows)
    assert all(len(line) <= 80 for line in last if line.startswith(("sim-", "    ", "DEVICE")))
