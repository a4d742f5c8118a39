"""`init` writes a config that works and a password that nobody else can read."""

import signal
import stat
from pathlib import Path

import pytest

from exporter.config import load_config
from exporter.config.files import read_credentials
from tests.support.command_process import Run, running_command
from tests.support.terminal import at_terminal

PASSWORD = "a $ecret: pässword"


async def run_init(folder: Path, *words: str, typed: str = f"{PASSWORD}\n") -> Run:
    async with running_command("init", *words, typed=typed.encode(), folder=folder) as run:
        pass
    return run


@pytest.mark.parametrize("username", ["root", "ntp$user", 'a "quoted" name', "用户"])
async def test_the_config_has_the_account_and_is_valid(username: str, tmp_path: Path) -> None:
    run = await run_init(tmp_path, "new/site", f"--username={username}")
    folder = tmp_path / "new" / "site"
    assert (run.code, run.err) == (0, "")
    assert PASSWORD not in run.out
    files = "new/site/config.yaml, new/site/pins.yaml and new/site/axis-password"
    assert run.out.startswith(f"Wrote {files} (only you can read it).")
    assert stat.S_IMODE((folder / "axis-password").stat().st_mode) == 0o600
    config = load_config(folder / "config.yaml", {})
    account = read_credentials(config.module("default").auth)
    assert account is not None
    assert (account.username, account.password) == (username, PASSWORD)
    async with running_command("run", "--config.check", folder=folder) as check:
        pass
    assert (check.code, check.out) == (0, "config.yaml: valid, 0 devices, 0 problems\n")


@pytest.mark.parametrize("existing", ["config.yaml", "axis-password", "pins.yaml"])
async def test_nothing_is_overwritten(existing: str, tmp_path: Path) -> None:
    (tmp_path / existing).write_text("mine")
    run = await run_init(tmp_path, "--username=root")
    assert run.code == 1
    assert run.err == f"init: {existing} exists already, and nothing is overwritten\n"
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [(existing, "mine")]


@pytest.mark.parametrize(
    ("words", "typed", "problem"),
    [
        ((), PASSWORD, "--username is missing, and there is no terminal to ask for it"),
        (("--username=a:b",), PASSWORD, "the username must not contain a colon"),
        (("--username=root",), "", "init: no password: type it or pipe it in\n"),
        (("--username=root",), "x" * 1_001, "the password must have at most 1,000 characters"),
    ],
)
async def test_an_account_that_cannot_work_is_refused_and_nothing_written(
    words: tuple[str, ...], typed: str, problem: str, tmp_path: Path
) -> None:
    run = await run_init(tmp_path, *words, typed=typed)
    assert run.code == 2
    assert problem in run.err
    assert [*tmp_path.iterdir()] == []


async def test_an_empty_password_at_the_terminal_is_asked_again(tmp_path: Path) -> None:
    async with at_terminal("init", folder=tmp_path) as terminal:
        await terminal.until(lambda: "Username on the devices [root]: " in terminal.text)
        terminal.keys("\n")
        await terminal.until(lambda: "Password: " in terminal.text)
        terminal.keys("\n")
        await terminal.until(lambda: terminal.text.count("Password: ") == 2)
        terminal.keys(f"{PASSWORD}\n")
        assert await terminal.end() == 0
    assert (tmp_path / "axis-password").read_text() == f"{PASSWORD}\n"


@pytest.mark.parametrize("words", [(), ("--username=root",)], ids=["username", "password"])
async def test_an_interrupted_question_is_one_line_and_nothing_is_written(
    words: tuple[str, ...], tmp_path: Path
) -> None:
    async with at_terminal("init", "new", *words, folder=tmp_path) as terminal:
        await terminal.until(lambda: terminal.text.endswith(": "))
        terminal.process.send_signal(signal.SIGINT)
        assert await terminal.end() == 1
        await terminal.shows("\ninit: interrupted")
    assert [*tmp_path.iterdir()] == []


async def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    run = await run_init(tmp_path, "file/x", "--username=root")
    assert run.code == 1
    assert run.err == "init: file/x/devices: cannot be written: Not a directory\n"
