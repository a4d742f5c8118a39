"""The README works as shown: its shell blocks run, its config and its command lines load."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import stat
import subprocess
import textwrap
from pathlib import Path
from typing import Final

import pytest
import yaml

from exporter.cli import COMMANDS, import_command, make_parser
from exporter.config.loader import load_config
from tests.support.daemon_process import COMMAND
from tests.support.programs import find_program
from tests.support.prometheus import PACKAGE
from tests.support.terminal import at_terminal

ROOT: Final = Path(__file__).parents[2]
README: Final = (ROOT / "README.md").read_text("utf-8")
PASSWORD: Final = "the password of the README's test"


def blocks(language: str) -> list[str]:
    """The fenced code blocks of a language, without their indentation."""
    fenced = rf"^( *)```{language}\n(.*?)^\1```$"
    found = re.findall(fenced, README, re.MULTILINE | re.DOTALL)
    return [textwrap.dedent(text) for _, text in found]


[INIT, FIND, PIN, RUN] = blocks("sh")
[DEVICES, SCRAPE] = blocks("yaml")


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    """The folder that the README's first block makes, for a user who types name and password."""
    environment = {"PATH": f"{COMMAND.parent}{os.pathsep}{os.environ['PATH']}"}
    async with at_terminal(
        "-euc", f"{INIT}pwd", program="sh", folder=tmp_path, environment=environment
    ) as terminal:
        for question, typed in (("Username", "ntp-exporter"), ("Password: ", PASSWORD)):
            await terminal.shows(question)
            terminal.keys(f"{typed}\n")
        assert await terminal.end() == 0
        await terminal.shows(f"{tmp_path}/cameras\r\n")
        assert PASSWORD not in terminal.text
    return tmp_path / "cameras"


def test_the_password_file_is_readable_by_its_owner_only(folder: Path) -> None:
    file = folder / "axis-password"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_text() == f"{PASSWORD}\n"


def test_the_config_reads_what_find_writes_and_what_the_readme_lists(folder: Path) -> None:
    [found] = re.findall(r"--output (\S+)", FIND)
    (folder / found).write_text("- targets: [192.168.0.92]\n")
    with (folder / "config.yaml").open("a") as config:
        config.write(DEVICES)
    [validate] = [line for line in RUN.splitlines() if "--config.check" in line]
    path = f"{COMMAND.parent}{os.pathsep}{os.environ['PATH']}"
    ran = subprocess.run(
        ["sh", "-euc", validate],
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    expected = f"valid, 3 devices (2 from the config, 1 from {found}), 0 problems\n"
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, f"config.yaml: {expected}", "")
    names = [device.name for device in load_config(folder / "config.yaml", {}).devices]
    assert names == ["lobby", "gate"]


def test_the_readme_goes_from_init_to_prometheus_and_verifies_each_certificate() -> None:
    section = README.partition("## Run it on your devices")[2].partition("\n## ")[0]
    steps = ["exporter init", "exporter find", "check --pin", "exporter check\n", "--config.check"]
    places = [section.index(step) for step in [*steps, "scrape_configs", "exporter rules"]]
    assert places == sorted(places)
    assert "insecure" not in README


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
    assert {word for line in lines for word in line.split()[1:2]} >= {"check", "configure"}


def test_make_demo_takes_a_port() -> None:
    command = ["make", "--dry-run", "demo", "PORT=10124"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "demo --web.listen-address=127.0.0.1:10124" in ended.stdout
