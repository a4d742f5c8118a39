"""`check` at a terminal: colors, the progress bar, long texts."""

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
            assert "\x1b[32mfine" in terminal.screen
            assert "3/3" in terminal.text


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
