"""A time server that is ntpsec. It knows no other port than 123, so it has a network of its own.

It cannot set this host's clock: it runs without the capability, and its config disables that too.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from tests.support.programs import ProgramDied, find_program

# Debian lets only one of chrony and ntpsec be installed: `.ci/run` unpacks ntpsec here.
UNPACKED: Final = Path("/opt/ntpsec/usr/sbin")

_PACKAGE: Final = "ntpsec (removes chrony: better unpack it as .ci/run does)"

SYNCHRONIZED: Final = "disable ntp\ntos orphan 8 orphanwait 1\n"
"""Believes its own clock after a second."""

UNSYNCHRONIZED: Final = "disable ntp\n"

_RUN: Final = """\
ip link set lo up
setpriv --bounding-set=-sys_time --inh-caps=-sys_time "$1" -n -c "$2" -l "$3" >"$3.out" 2>&1 &
ntpd=$!
shift 3
"$@"
code=$?
kill $ntpd
wait $ntpd
exit $code
"""


def find_ntpd() -> str:
    unpacked = UNPACKED / "ntpd"
    return str(unpacked) if unpacked.exists() else find_program("ntpd", _PACKAGE)


def ask_ntpsec(folder: Path, config: str, *arguments: str) -> tuple[Any, str]:
    """Return what the exporter's client found, and ntpsec's log."""
    ntpd, config_file, log = find_ntpd(), folder / "ntp.conf", folder / "ntp.log"
    config_file.write_text(config)
    namespace = ["--net"] if os.geteuid() == 0 else ["--map-root-user", "--net"]
    shell = ["sh", "-c", _RUN, "sh", ntpd, str(config_file), str(log)]
    client = [sys.executable, "-m", "tests.support.ask_port_123", *arguments]
    command = [find_program("unshare", "util-linux"), *namespace, *shell, *client]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=90)
    if "unshare failed" in ended.stderr:
        pytest.skip(f"this host allows no network namespaces: {ended.stderr}")
    if ended.returncode != 0:
        raise ProgramDied(f"{ended.stderr}\n{log.read_text() if log.exists() else ''}")
    return json.loads(ended.stdout), log.read_text()


def test_a_right_server_is_selectable_and_its_offset_is_true(tmp_path: Path) -> None:
    found, log = ask_ntpsec(tmp_path, SYNCHRONIZED, "--until-selectable")
    assert found.pop("width_seconds") < 1
    assert found == {"stratum": 8, "leap": 0, "is_selectable": True, "holds_the_truth": True}
    # It could not set the clock if it tried.
    assert "ntp_adjtime: Operation not permitted" in log


def test_an_unsynchronized_server_which_answers_stratum_0_and_init_is_not_selectable(
    tmp_path: Path,
) -> None:
    found, _ = ask_ntpsec(tmp_path, UNSYNCHRONIZED)
    assert (found["stratum"], found["leap"], found["is_selectable"]) == (16, 3, False)
