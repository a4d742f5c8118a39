"""The help of each command: commands first, then examples, then flags; 80 columns."""

import functools
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from exporter.cli import COMMANDS, import_command, make_parser
from exporter.commands.examples import EXAMPLES

COLUMNS = 80
COMMAND = str(Path(sys.executable).with_name("axis-ntp-exporter"))


@functools.cache
def help_of(*words: str, columns: int = COLUMNS) -> str:
    command = [COMMAND, *words, "--help"]
    environment = {"COLUMNS": f"{columns}", "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
    return subprocess.run(
        command, capture_output=True, text=True, check=True, env=environment
    ).stdout


@pytest.mark.parametrize("columns", [COLUMNS, 200])
@pytest.mark.parametrize("command", COMMANDS)
def test_no_line_is_longer_than_80_columns(command: str, columns: int) -> None:
    lines = help_of(command, columns=columns).splitlines()
    assert [line for line in lines if len(line) > COLUMNS] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_examples_stand_before_flags(command: str) -> None:
    text = help_of(command)
    headings = [line for line in text.splitlines() if line.endswith(":") and line[:1].isalpha()]
    first = ["commands (each has its own --help):"] if command == "run" else []
    assert headings[: len(first) + 1] == [*first, "examples:"]
    assert "flags:" in headings
    assert text.startswith("usage: axis-ntp-exporter ")


def test_the_first_help_lists_every_command_with_what_it_does() -> None:
    text = help_of()
    listed = text.partition("commands (each has its own --help):\n")[2].partition("\n\n")[0]
    rows = [line.split(maxsplit=1) for line in listed.splitlines()]
    assert rows == [[name, summary] for name, summary in COMMANDS.items()]
    assert text == help_of("run")


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_examples_that_are_valid(command: str) -> None:
    parser = make_parser(command, import_command(command))
    text = help_of(command)
    assert EXAMPLES[command]
    for line, purpose in EXAMPLES[command]:
        assert f"  {line}\n      {purpose}\n" in text
        for part in line.split(" | "):
            program, *words = shlex.split(part.replace("\\\n", " ").split(" > ")[0])
            if program == "axis-ntp-exporter" and (command == "run" or words[0] == command):
                name = words.pop(0) if words and words[0] in COMMANDS else "run"
                its_parser = parser if name == command else make_parser(name, import_command(name))
                its_parser.parse_intermixed_args(words)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_summary_begins_with_a_verb_and_ends_without_a_point(command: str) -> None:
    summary = COMMANDS[command]
    assert summary[0].islower()
    assert not summary.endswith(".")
    assert summary.split()[0] in {
        *("poll", "show", "write", "find", "turn", "print", "run", "ask", "say"),
    }
