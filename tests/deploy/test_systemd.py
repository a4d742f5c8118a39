"""The systemd unit is valid, as hardened as documented, and allows what the daemon needs."""

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
from exporter.system.process import SPARE_FILES
from tests.support.programs import find_program

ROOT: Final = Path(__file__).parents[2]
UNIT: Final = ROOT / "deploy/systemd/axis-ntp-exporter.service"
RECORDED_CALLS: Final = Path(__file__).with_name("system_calls.txt")
WEB_CONFIG: Final = ROOT / "deploy/web-config.example.yml"
DEPLOYMENT: Final = (ROOT / "docs/deployment.md").read_text("utf-8")


def settings() -> dict[str, list[str]]:
    """Return the unit's settings, each with its values in order."""
    found = defaultdict(list)
    for line in UNIT.read_text("utf-8").splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found[name].append(value)
    return found


SETTINGS: Final = settings()


def arguments() -> argparse.Namespace:
    """Parse the daemon's command line with its own parser."""
    [command] = SETTINGS["ExecStart"]
    return make_parser("run", run).parse_args(shlex.split(command)[1:])


def analyze(*words: str | Path) -> subprocess.CompletedProcess[str]:
    program = find_program("systemd-analyze", "systemd")
    return subprocess.run([program, *words], capture_output=True, text=True, check=False)


def test_systemd_understands_every_line(tmp_path: Path) -> None:
    # The command is not installed here, so check the unit with another one.
    copy = tmp_path / UNIT.name
    [command] = SETTINGS["ExecStart"]
    installed = shutil.which("true")
    assert installed is not None
    copy.write_text(UNIT.read_text("utf-8").replace(command, installed), "utf-8")
    verified = analyze("verify", "--man=no", copy)
    assert (verified.returncode, verified.stderr) == (0, "")


def exposure(unit: Path) -> float:
    """Return the exposure level of a unit file by systemd: 0 (best) to 10."""
    analyzed = analyze("security", "--offline=true", "--no-pager", unit)
    measured = re.search(r"exposure level for \S+: ([\d.]+)", analyzed.stdout)
    assert measured is not None, analyzed
    return float(measured[1])


def test_the_exposure_is_at_most_the_documented_one() -> None:
    documented = re.search(r"exposure\s+level ([\d.]+)", DEPLOYMENT)
    assert documented is not None
    assert exposure(UNIT) <= float(documented[1])


def test_the_exposure_with_allowed_networks_is_at_most_the_documented_one(tmp_path: Path) -> None:
    documented = re.search(
        r"`(IPAddressDeny=any)` and `(IPAddressAllow=)`.*\(([\d.]+) then\)", DEPLOYMENT
    )
    assert documented is not None
    copy = tmp_path / UNIT.name
    closed = f"[Service]\n{documented[1]}\n{documented[2]}10.0.0.0/8\n"
    copy.write_text(UNIT.read_text("utf-8").replace("[Service]\n", closed), "utf-8")
    assert exposure(copy) <= float(documented[3])


def group(name: str) -> set[str]:
    """Return the system calls of one of systemd's groups, including its subgroups."""
    listed = analyze("syscall-filter", "--no-pager", name)
    assert listed.returncode == 0, listed
    lines = [line.strip() for line in listed.stdout.splitlines()[1:]]
    return expanded(line for line in lines if line and not line.startswith("#"))


def expanded(names: Iterable[str]) -> set[str]:
    return set().union(*(group(name) if name.startswith("@") else {name} for name in names))


def allowed_calls() -> set[str]:
    """Return the allowed calls: lines of the filter add, lines with a tilde remove."""
    allowed: set[str] = set()
    for line in SETTINGS["SystemCallFilter"]:
        named = expanded(line.removeprefix("~").split())
        allowed = allowed - named if line.startswith("~") else allowed | named
    # systemd always allows these.
    return allowed | group("@default")


def test_the_filter_allows_every_recorded_system_call() -> None:
    recorded = RECORDED_CALLS.read_text("utf-8").splitlines()
    made = {line for line in recorded if not line.startswith("#")}
    assert {"execve", "sendto", "clock_adjtime", "exit_group"} <= made
    assert made - allowed_calls() == set()


def test_the_filter_forbids_privileged_calls() -> None:
    assert SETTINGS["SystemCallFilter"][0] == "@system-service"
    forbidden = group("@privileged") | group("@resources") | group("@mount") | group("@debug")
    assert (
        allowed_calls() & forbidden == {"adjtimex", "clock_adjtime"} | group("@default") & forbidden
    )


def test_only_ip_and_unix_sockets_are_allowed() -> None:
    [families] = SETTINGS["RestrictAddressFamilies"]
    assert set(families.split()) == {"AF_INET", "AF_INET6", "AF_UNIX"}


def test_a_reload_sends_sighup() -> None:
    [command] = SETTINGS["ExecReload"]
    shell, option, script = shlex.split(command)
    kill, number, process = shlex.split(script)
    # systemd makes `$` of `$$`.
    assert (shell, option, kill, process) == ("/bin/sh", "-c", "kill", "$$MAINPID")
    assert signal.Signals[f"SIG{number.removeprefix('-')}"] is signal.SIGHUP


def test_proc_is_readable_for_the_process_series() -> None:
    assert "ProcSubset" not in SETTINGS
    assert SETTINGS["ProtectProc"] == ["invisible"]


def test_the_clock_status_is_readable() -> None:
    assert "adjtimex clock_adjtime" in SETTINGS["SystemCallFilter"]
    assert "ProtectClock" not in SETTINGS


def test_the_file_limit_fits_50000_devices() -> None:
    [limit] = SETTINGS["LimitNOFILE"]
    assert int(limit) >= 50_000 + SPARE_FILES


@pytest.mark.parametrize("folder", ["etc", "opt"])
def test_the_docs_install_files_where_the_unit_expects_them(folder: str) -> None:
    [command] = SETTINGS["ExecStart"]
    [credential] = SETTINGS["LoadCredential"]
    assert arguments().config_file == Path("/etc/axis-ntp-exporter/config.yaml")
    paths = {command.split()[0], str(arguments().config_file), credential.partition(":")[2]}
    named = {path for path in paths if path.startswith(f"/{folder}/")}
    assert named
    assert all(path in DEPLOYMENT for path in named)


def test_the_credential_has_the_name_in_the_documented_config() -> None:
    [credential] = SETTINGS["LoadCredential"]
    name = credential.partition(":")[0]
    assert f"${{CREDENTIALS_DIRECTORY}}/{name}" in UNIT.read_text("utf-8")
    assert f"${{CREDENTIALS_DIRECTORY}}/{name}" in DEPLOYMENT


def drop_in_for_the_web_config() -> str:
    [block] = re.findall(r"\n    \[Service\]\n((?:    .*web-config.*\n)(?:    .*\n)+)", DEPLOYMENT)
    return str(block)


def test_the_documented_drop_in_loads_every_file_of_the_example_web_config() -> None:
    tls = yaml.safe_load(WEB_CONFIG.read_text("utf-8"))["tls_server_config"]
    named = {value for key, value in tls.items() if key.endswith("_file")}
    loaded = re.findall(r"LoadCredential=(\S+):/etc/axis-ntp-exporter/(\S+)", DEPLOYMENT)
    assert all(name == file for name, file in loaded)
    assert {name for name, _ in loaded} == named | {"web-config.yml"}
    assert "${CREDENTIALS_DIRECTORY}/web-config.yml" in drop_in_for_the_web_config()


def test_systemd_gets_readiness_and_watchdog_notifications() -> None:
    assert SETTINGS["Type"] == ["notify"]
    assert SETTINGS["WatchdogSec"] == ["60s"]
    # With this, the watchdog's SIGABRT leaves a stack trace in the journal.
    assert "PYTHONFAULTHANDLER=1" in SETTINGS["Environment"]
