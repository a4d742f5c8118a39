"""The README works as shown: its shell blocks run, its config and its command lines load."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import stat
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Final

import pytest
import yaml

from exporter.cli import COMMANDS, import_command, make_parser
from exporter.config.loader import load_config
from tests.support.programs import find_program
from tests.support.prometheus import PACKAGE

ROOT: Final = Path(__file__).parents[2]
README: Final = (ROOT / "README.md").read_text("utf-8")
PASSWORD: Final = "the password of the README's test"


def blocks(language: str) -> list[str]:
    """The fenced code blocks of a language, without their indentation."""
    fenced = rf"^( *)```{language}\n(.*?)^\1```$"
    found = re.findall(fenced, README, re.MULTILINE | re.DOTALL)
    return [textwrap.dedent(text) for _, text in found]


[CREATE_PASSWORD, RUN] = blocks("sh")
[CONFIG, SCRAPE] = blocks("yaml")


def run_shell(script: str, folder: Path, typed: str = "") -> str:
    """Run a block as a user would, with an editor that writes what is typed."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    ended = subprocess.run(
        ["sh", "-eu", "-c", script],
        cwd=folder,
        env={**os.environ, "PATH": path, "EDITOR": "tee"},
        input=typed,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the README's password file and config."""
    run_shell(CREATE_PASSWORD, tmp_path, f"{PASSWORD}\n")
    (tmp_path / "config.yaml").write_text(CONFIG)
    return tmp_path


def test_the_password_file_is_readable_by_its_owner_only(folder: Path) -> None:
    file = folder / "axis-password"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_text() == f"{PASSWORD}\n"


def test_the_config_loads_next_to_its_password_file(folder: Path) -> None:
    config = load_config(folder / "config.yaml", {})
    assert [device.name for device in config.devices] == ["lobby", "gate"]


def test_the_command_that_validates_the_config_succeeds(folder: Path) -> None:
    [validate] = [line for line in RUN.splitlines() if "--config.check" in line]
    assert PASSWORD not in run_shell(validate, folder)


def test_prometheus_accepts_the_scrape_config(tmp_path: Path) -> None:
    file = tmp_path / "prometheus.yml"
    file.write_text(SCRAPE)
    promtool = find_program("promtool", PACKAGE)
    subprocess.run([promtool, "check", "config", file], check=True, capture_output=True)
    [job] = yaml.safe_load(SCRAPE)["scrape_configs"]
    assert job["static_configs"][0]["targets"] == ["exporter.example:10123"]


def command_lines() -> list[str]:
    """Every command line of this program in a code block of README and docs."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    text = re.sub(r" *\\\n *", " ", "\n".join(page.read_text("utf-8") for page in pages))
    found = re.findall(r"^ +(?:\$ )?(axis-ntp-exporter(?: [^\[\n]+)?)$", text, re.MULTILINE)
    lines = dict.fromkeys(re.split(r"#| [|>] ", line)[0].strip() for line in found)
    return [line for line in lines if "  " not in line]  # not the list of commands


@pytest.mark.parametrize("line", command_lines())
def test_a_command_line_of_the_docs_is_valid(line: str) -> None:
    words = shlex.split(line)[1:]
    name = words.pop(0) if words and words[0] in COMMANDS else "run"
    parser = make_parser(name, import_command(name))
    assert isinstance(parser.parse_intermixed_args(words), argparse.Namespace)


def test_there_are_command_lines_of_most_commands() -> None:
    lines = command_lines()
    assert len(lines) > 10
    assert {line.split()[1] for line in lines} >= {"check", "configure"}


def test_make_demo_takes_a_port() -> None:
    command = ["make", "--dry-run", "demo", "PORT=10124"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "demo --web.listen-address=127.0.0.1:10124" in ended.stdout
