"""`configure` at a terminal: the question, colors, the progress bar."""

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support import terminal as terminal_of_tests
from tests.support.command_process import CommandSite, asked, is_new, is_old, site
from tests.support.terminal import Terminal


@asynccontextmanager
async def at_terminal(here: CommandSite, *words: str, **settings: Any) -> AsyncIterator[Terminal]:
    file = f"--config.file={here.write_config()}"
    async with terminal_of_tests.at_terminal("configure", file, *words, **settings) as running:
        yield running


@pytest.mark.parametrize("answer", ["y\n", "YES\n"])
async def test_it_shows_the_differences_asks_once_and_changes_them(
    answer: str, tmp_path: Path
) -> None:
    async with site(2, tmp_path) as here, at_terminal(here, "--apply") as terminal:
        await terminal.asks()
        assert "sim-00002" in terminal.text
        assert "maxpoll: 10 → 12" in terminal.text
        assert "Change 2 devices? [y/N]" in terminal.text
        assert all(is_old(device) for device in here.devices)
        terminal.keys(answer)
        assert await terminal.end() == 0
        assert all(is_new(device) for device in here.devices)
        assert terminal.text.count("[y/N]") == 1


@pytest.mark.parametrize("answer", ["\n", "n\n", "yes please\n", "\x04"], ids=ascii)
async def test_nothing_is_changed_without_a_yes(answer: str, tmp_path: Path) -> None:
    async with site(1, tmp_path) as here, at_terminal(here, "--apply") as terminal:
        await terminal.asks()
        terminal.keys(answer)
        assert await terminal.end() == 1
        assert asked(here.devices[0]) == 0
        await terminal.shows("Nothing was changed.")


async def test_interrupting_the_question_means_no(tmp_path: Path) -> None:
    async with site(1, tmp_path) as here, at_terminal(here, "--apply") as terminal:
        await terminal.asks()
        terminal.process.send_signal(signal.SIGINT)
        assert await terminal.end() == 1
        assert asked(here.devices[0]) == 0
        await terminal.shows("Nothing was changed.")
        assert "Traceback" not in terminal.text


async def test_input_typed_before_the_question_is_ignored(tmp_path: Path) -> None:
    async with (
        site(1, tmp_path) as here,
        at_terminal(here, "--apply", typed_before="y\n") as terminal,
    ):
        await terminal.asks()
        terminal.keys("n\n")
        assert await terminal.end() == 1
        assert asked(here.devices[0]) == 0


async def test_the_question_follows_a_summary(tmp_path: Path) -> None:
    async with site(2, tmp_path) as here:
        here.devices[0].fault = "drop"
        async with at_terminal(here, "--apply") as terminal:
            await terminal.asks()
            assert "2 devices: 1 different, 1 unreachable" in terminal.text


async def test_losing_the_terminal_at_the_question_means_no(tmp_path: Path) -> None:
    with (tmp_path / "list").open("wb") as file:
        async with (
            site(1, tmp_path) as here,
            at_terminal(here, "--apply", "--json", stdout=file.fileno()) as terminal,
        ):
            await terminal.asks()
            terminal.hang_up()
            assert await terminal.end() == 1
            assert asked(here.devices[0]) == 0
    assert '"result": "different"' in (tmp_path / "list").read_text()


async def test_it_does_not_ask_if_nothing_differs(tmp_path: Path) -> None:
    async with (
        site(1, tmp_path, expect={"maxpoll": 10}) as here,
        at_terminal(here, "--apply") as terminal,
    ):
        assert await terminal.end() == 0
        await terminal.shows("Every device is as expected.")
        assert "[y/N]" not in terminal.text


async def test_with_json_the_question_appears_on_stderr(tmp_path: Path) -> None:
    with (tmp_path / "list").open("wb") as file:
        async with (
            site(1, tmp_path) as here,
            at_terminal(here, "--apply", "--json", stdout=file.fileno()) as terminal,
        ):
            await terminal.asks()
            assert "maxpoll: 10 → 12" in terminal.text
            terminal.keys("y\n")
            assert await terminal.end() == 0
    assert '"result": "set"' in (tmp_path / "list").read_text()


async def test_a_terminal_gets_colors_and_a_progress_bar(tmp_path: Path) -> None:
    async with site(3, tmp_path) as here, at_terminal(here) as terminal:
        assert await terminal.end() == 1
        await terminal.shows("3 devices: 3 different")
        assert "\x1b[33mdifferent" in terminal.screen
        assert "3/3" in terminal.text


async def test_text_of_devices_is_not_interpreted_as_markup(tmp_path: Path) -> None:
    async with site(1, tmp_path) as here:
        here.config["devices"][0]["name"] = "[blink]:smile:[/blink] \x1b[5m"
        here.devices[0].client.configuration.static_servers = ["[red]x[/red]"]
        async with at_terminal(here) as terminal:
            assert await terminal.end() == 1
            await terminal.shows("1 device: 1 different")
            assert r"[blink]:smile:[/blink] \x1b[5m" in terminal.text
            assert '"[red]x[/red]"' in terminal.text
            assert "\x1b[5m" not in terminal.screen
