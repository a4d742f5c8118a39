"""Time until the first response."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from bench.programs import daemon
from bench.table import Row, at_most

DEVICES: Final = 10_000
TRIES: Final = 3


def rows() -> Iterator[Row]:
    """Measure the best of three, from the start of the process."""
    first = min(_seconds_to_first_response() for _ in range(TRIES))
    yield at_most(f"start to first `/metrics` response, {DEVICES:,} devices", first, 3, " s")
    version = min(_version_seconds() for _ in range(TRIES))
    yield at_most("`--version`", version, 0.3, " s")


def _seconds_to_first_response() -> float:
    devices = [
        {"address": f"127.9.{n >> 8}.{n & 255}:1", "name": f"camera-{n}", "labels": {"site": "hq"}}
        for n in range(DEVICES)
    ]
    with (
        TemporaryDirectory() as name,
        daemon({"devices": devices}, Path(name) / "daemon") as measured,
    ):
        measured.daemon.get("/metrics")
        return measured.age_seconds()


def _version_seconds() -> float:
    command = str(Path(sys.executable).with_name("axis-ntp-exporter"))
    before = time.perf_counter()
    subprocess.run([command, "--version"], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - before
