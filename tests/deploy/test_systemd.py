"""The systemd unit: understood, hardened as the docs say, and what the daemon needs is allowed."""

from __future__ import annotations

import argparse
import re
import shlex
import shutil
import signal
import subprocess
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import pytest
import yaml

from exporter.cli import make_parser
from exporter.commands import run
from exporter.system.file_limit import SPARE_FILES
from tests.support.programs import find_program

ROOT: Final = Path(__file__).parents[2]
UNIT: Final = ROOT / "deploy/systemd/axis-ntp-exporter.service"
RECORDED_CALLS: Final = Path(__file__).with_name("system_calls.txt")
WEB_CONFIG: Final = ROOT / "deploy/web-config.example.yml"
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


def exposure(unit: Path) -> float:
    """The level that systemd gives a unit's file: of 10, less is better."""
    analyzed = analyze("security", "--offline=true", "--no-pager", unit)
    measured = re.search(r"exposure level for \S+: ([\d.]+)", analyzed.stdout)
    assert measured is not None, analyzed
    return float(measured[1])


def test_its_exposure_is_what_the_docs_say_or_less() -> None:
    told = re.search(r"exposure\s+level ([\d.]+)", DEPLOYMENT)
    assert told is not None
    assert exposure(UNIT) <= float(told[1])


def test_its_exposure_with_the_networks_named_is_what_the_docs_say_or_less(tmp_path: Path) -> None:
    told = re.search(
        r"`(IPAddressDeny=any)` and `(IPAddressAllow=)`.*\(([\d.]+) then\)", DEPLOYMENT
    )
    assert told is not None
    there = tmp_path / UNIT.name
    closed = f"[Service]\n{told[1]}\n{told[2]}10.0.0.0/8\n"
    there.write_text(UNIT.read_text("utf-8").replace("[Service]\n", closed), "utf-8")
    assert exposure(there) <= float(told[3])


def group(name: str) -> set[str]:
    """The system calls of one of systemd's groups, those of the groups in it included."""
    listed = analyze("syscall-filter", "--no-pager", name)
    assert listed.returncode == 0, listed
    lines = [line.strip() for line in listed.stdout.splitlines()[1:]]
    return expanded(line for line in lines if line and not line.startswith("#"))


def expanded(names: Iterable[str]) -> set[str]:
    return set().union(*(group(name) if name.startswith("@") else {name} for name in names))


def allowed_calls() -> set[str]:
    """What the unit's filter lets through: its lines add and, with a tilde, take away in turn."""
    allowed: set[str] = set()
    for line in SETTINGS["SystemCallFilter"]:
        named = expanded(line.removeprefix("~").split())
        allowed = allowed - named if line.startswith("~") else allowed | named
    # systemd itself never forbids these.
    return allowed | group("@default")


def test_its_filter_lets_every_system_call_through_that_the_daemon_was_seen_to_make() -> None:
    recorded = RECORDED_CALLS.read_text("utf-8").splitlines()
    made = {line for line in recorded if not line.startswith("#")}
    assert {"execve", "sendto", "clock_adjtime", "exit_group"} <= made
    assert made - allowed_calls() == set()


def test_its_filter_forbids_what_needs_a_superuser() -> None:
    assert SETTINGS["SystemCallFilter"][0] == "@system-service"
    forbidden = group("@privileged") | group("@resources") | group("@mount") | group("@debug")
    assert (
        allowed_calls() & forbidden == {"adjtimex", "clock_adjtime"} | group("@default") & forbidden
    )


def test_it_may_talk_by_ip_of_both_versions_and_to_systemd_and_by_nothing_else() -> None:
    [families] = SETTINGS["RestrictAddressFamilies"]
    assert set(families.split()) == {"AF_INET", "AF_INET6", "AF_UNIX"}


def test_a_reload_is_the_signal_that_the_daemon_reloads_at() -> None:
    [command] = SETTINGS["ExecReload"]
    program, number, process = shlex.split(command)
    assert (program, process) == ("/bin/kill", "$MAINPID")
    assert signal.Signals[f"SIG{number.removeprefix('-')}"] is signal.SIGHUP


def test_it_may_read_of_proc_what_the_process_series_are_made_of() -> None:
    assert "ProcSubset" not in SETTINGS
    assert SETTINGS["ProtectProc"] == ["invisible"]


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


def drop_in_for_the_web_config() -> str:
    [block] = re.findall(r"\n    \[Service\]\n((?:    .*\n)+)", DEPLOYMENT)
    return str(block)


def test_the_docs_drop_in_loads_every_file_that_the_example_web_config_names() -> None:
    tls = yaml.safe_load(WEB_CONFIG.read_text("utf-8"))["tls_server_config"]
    named = {value for key, value in tls.items() if key.endswith("_file")}
    loaded = re.findall(r"LoadCredential=(\S+):/etc/axis-ntp-exporter/(\S+)", DEPLOYMENT)
    assert all(name == file for name, file in loaded)
    assert {name for name, _ in loaded} == named | {"web-config.yml"}
    assert "${CREDENTIALS_DIRECTORY}/web-config.yml" in drop_in_for_the_web_config()


def test_it_is_told_when_the_daemon_is_ready_and_whether_it_lives() -> None:
    assert SETTINGS["Type"] == ["notify"]
    assert SETTINGS["WatchdogSec"] == ["60s"]
    # A watchdog's SIGABRT then leaves the stack in the journal.
    assert "PYTHONFAULTHANDLER=1" in SETTINGS["Environment"]
