"""`completion` in real shells: installed as the docs say, what Tab completes."""

import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest

from exporter.cli import COMMANDS
from tests.support.daemon_process import COMMAND
from tests.support.programs import find_program, miss
from tests.support.terminal import Terminal, at_terminal

DOCS: Final = (Path(__file__).parents[2] / "docs/configuration.md").read_text("utf-8")

CASES: Final = [
    ("chec", ["check"]),
    ("conf", ["configure"]),
    ("check --sche", ["--scheme"]),
    ("check --scheme htt", ["http"]),
    ("rules --format ", ["operator", "prometheus"]),
    ("--log.leve", ["--log.level"]),
    ("--log.level d", ["debug"]),
    ("run --log.level d", ["debug"]),
    ("--config.file my-con", ["my-config.yaml"]),
    ("check --config.file my-con", ["my-config.yaml"]),
    ("import my-cam", ["my-cameras.csv"]),
    ("init my-fol", ["my-folder/"]),
    ("completion z", ["zsh"]),
]


def install(shell: str, home: Path) -> None:
    """Write a shell's completions to where the docs say."""
    line = rf"^axis-ntp-exporter completion {shell} > ~/(\S+)$"
    [place] = re.findall(line, DOCS, re.MULTILINE)
    file = home / place
    file.parent.mkdir(parents=True)
    command = [str(COMMAND), "completion", shell]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ran.stderr == ""
    file.write_text(ran.stdout)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with files to complete; and a command that no shell may run."""
    command = tmp_path / "bin" / "axis-ntp-exporter"
    command.parent.mkdir()
    command.write_text("#!/bin/sh\ntouch was-run\n")
    command.chmod(0o755)
    folder = tmp_path / "files"
    (folder / "my-folder").mkdir(parents=True)
    (folder / "my-config.yaml").touch()
    (folder / "my-cameras.csv").touch()
    return folder


def environment(home: Path) -> dict[str, str]:
    return {
        "PATH": f"{home}/bin:/usr/bin:/bin",
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "XDG_DATA_HOME": str(home / ".local/share"),
        "LANG": "C.UTF-8",
    }


async def press_tab(terminal: Terminal, line: str, expected: Sequence[str]) -> None:
    """Type a line and Tab, wait for the words that must appear, and clear the line."""
    start = len(terminal.text)
    typed = line.rpartition(" ")[2]
    terminal.keys(f"axis-ntp-exporter {line}\t")

    def completed() -> bool:
        _, echo, after = terminal.text[start:].partition(f"xis-ntp-exporter {line}")
        return bool(echo) and all(
            after.startswith(word.removeprefix(typed)) or word in after for word in expected
        )

    await terminal.until(completed)
    terminal.keys("\x15")


def bash_setup() -> str:
    package = Path("/usr/share/bash-completion/bash_completion")
    if not package.exists():
        miss(package.name, "bash-completion")
    return f"bind 'set show-all-if-ambiguous on'; . {package}"


WITHOUT_SETTINGS: Final = {"bash": ("--norc", "--noprofile", "-i"), "zsh": ("-f", "-i")}
ZSH_SETUP: Final = "fpath=(~/.zfunc $fpath); autoload -Uz compinit; compinit -u -D"


@pytest.mark.parametrize("shell", ["bash", "zsh"])
async def test_tab_at_a_terminal_completes_commands_flags_choices_and_files(
    shell: str, folder: Path
) -> None:
    program = find_program(shell, shell)
    setup = bash_setup() if shell == "bash" else ZSH_SETUP
    assert ZSH_SETUP.partition(";")[0] in DOCS
    home = folder.parent
    install(shell, home)
    async with at_terminal(
        *WITHOUT_SETTINGS[shell], program=program, folder=folder, environment=environment(home)
    ) as terminal:
        terminal.keys(f"{setup}; echo rea''dy\n")
        await terminal.shows("ready\r\n")
        for line, expected in CASES:
            await press_tab(terminal, line, expected)
    assert not (folder / "was-run").exists()


def test_fish_completes_commands_flags_choices_and_files(folder: Path) -> None:
    fish, home = find_program("fish", "fish"), folder.parent
    install("fish", home)
    script = "\n".join(f"complete -C 'axis-ntp-exporter {line}'; echo ====" for line, _ in CASES)
    ran = subprocess.run(
        [fish, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        cwd=folder,
        env={**os.environ, **environment(home)},
    )
    offered = ran.stdout.split("====\n")[: len(CASES)]
    words = [[row.partition("\t")[0] for row in rows.splitlines()] for rows in offered]
    missing = [
        (line, found)
        for (line, expected), found in zip(CASES, words, strict=True)
        if not set(expected) <= set(found)
    ]
    assert missing == []
    assert not (folder / "was-run").exists()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_command_and_flag_is_in_the_file(shell: str, tmp_path: Path) -> None:
    install(shell, tmp_path)
    [file] = [each for each in tmp_path.rglob("*") if each.is_file()]
    text = file.read_text()
    assert [name for name in COMMANDS if name not in text] == []
    for flag in ("selector", "audit-log", "web.listen-address", "config.auto-reload-interval"):
        assert flag in text


def test_an_unknown_shell_is_a_usage_error() -> None:
    ran = subprocess.run(
        [COMMAND, "completion", "tcsh"], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 2
    assert "invalid choice: 'tcsh' (choose from" in ran.stderr
