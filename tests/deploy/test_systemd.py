"""The systemd unit: understood, hardened as the docs say, and what the daemon needs is allowed."""

from __future__ import annotations

import argparse
import re
import shlex
import shutil
import subprocess
from collections import defaultdict
from pathlib import Path
from typing import Final

import pytest

from exporter.cli import make_parser
from exporter.commands import run
from exporter.file_limit import SPARE_FILES
from tests.real.programs import find_program

ROOT: Final = Path(__file__).parents[2]
UNIT: Final = ROOT / "deploy/systemd/axis-ntp-exporter.service"
DEPLOYMENT: Final = (ROOT / "docs/deployment.md").read_text("utf-8")


def settings() -> dict[str, list[str]]:
    """The unit's settings, each with its values in their order."""
    found = defaultdict(list)
    for line in UNIT.read_text("utf-8").splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found[name].append(value)
    return found


SETTINGS: Final = settings()


def arguments() -> argparse.Namespace:
    """The daemon's command line, read by its own parser."""
    [command] = SETTINGS["ExecStart"]
    return make_parser("run", run).parse_args(shlex.split(command)[1:])


def analyze(*words: str | Path) -> subprocess.CompletedProcess[str]:
    program = find_program("systemd-analyze", "systemd")
    return subprocess.run([program, *words], capture_output=True, text=True, check=False)


def test_systemd_understands_every_line(tmp_path: Path) -> None:
    # Where the command is installed is not systemd's grammar.
    there = tmp_path / UNIT.name
    [command] = SETTINGS["ExecStart"]
    installed = shutil.which("true")
    assert installed is not None
    there.write_text(UNIT.read_text("utf-8").replace(command, installed), "utf-8")
    verified = analyze("verify", "--man=no", there)
    assert (verified.returncode, verified.stderr) == (0, "")


def test_its_exposure_is_what_the_docs_say_or_less() -> None:
    analyzed = analyze("security", "--offline=true", "--no-pager", UNIT)
    measured = re.search(r"exposure level for \S+: ([\d.]+)", analyzed.stdout)
    told = re.search(r"exposure\s+level ([\d.]+)", DEPLOYMENT)
    assert measured is not None, analyzed
    assert told is not None
    assert float(measured[1]) <= float(told[1])


def test_it_may_read_whether_the_clock_is_synchronized() -> None:
    assert "adjtimex clock_adjtime" in SETTINGS["SystemCallFilter"]
    assert "ProtectClock" not in SETTINGS


def test_it_may_open_a_file_for_each_of_50000_devices() -> None:
    [limit] = SETTINGS["LimitNOFILE"]
    assert int(limit) >= 50_000 + SPARE_FILES


@pytest.mark.parametrize("folder", ["etc", "opt"])
def test_the_docs_install_it_where_the_unit_looks(folder: str) -> None:
    [command] = SETTINGS["ExecStart"]
    [credential] = SETTINGS["LoadCredential"]
    assert arguments().config_file == Path("/etc/axis-ntp-exporter/config.yaml")
    paths = {command.split()[0], str(arguments().config_file), credential.partition(":")[2]}
    named = {path for path in paths if path.startswith(f"/{folder}/")}
    assert named
    assert all(path in DEPLOYMENT for path in named)


def test_the_credential_has_the_name_that_the_docs_config_asks_for() -> None:
    [credential] = SETTINGS["LoadCredential"]
    name = credential.partition(":")[0]
    assert f"${{CREDENTIALS_DIRECTORY}}/{name}" in UNIT.read_text("utf-8")
    assert f"${{CREDENTIALS_DIRECTORY}}/{name}" in DEPLOYMENT


def test_it_is_told_when_the_daemon_is_ready_and_whether_it_lives() -> None:
    assert SETTINGS["Type"] == ["notify"]
    assert SETTINGS["WatchdogSec"] == ["60s"]
    # A watchdog's SIGABRT then leaves the stack in the journal.
    assert "PYTHONFAULTHANDLER=1" in SETTINGS["Environment"]
