"""`make bench`: measures every number of docs/performance.md on this machine."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import pytest

from bench import big_fleet, clock, poll_cost, scrape_cost, scrape_over_http, startup
from bench.table import print_table

PARTS: Final = {
    "clock": clock.rows,
    "scrape": scrape_cost.rows,
    "http": scrape_over_http.rows,
    "start": startup.rows,
    "poll": poll_cost.rows,
    "fleet": big_fleet.rows,
}
"""The parts of the benchmark, by their name for `python -m bench NAME …`."""


def _machine() -> str:
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(": ")[2]
            break
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],  # noqa: S607 - any git will do
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    cores = len(os.sched_getaffinity(0))
    date = time.strftime("%Y-%m-%d")
    return f"{model}, {cores} cores, Python {platform.python_version()}; {date}, commit {commit}"


def main(names: list[str]) -> None:
    """Print the tables of the named parts, or of all parts without names."""
    print(_machine())
    missed = [name for name in names or PARTS if not _measure(name)]
    if missed:
        sys.exit(f"not measured: {', '.join(missed)}")


def _measure(name: str) -> bool:
    print(f"\n## {name}\n")
    try:
        print_table(PARTS[name]())
    except pytest.skip.Exception as missing:
        # A real program is missing: tests skip, and the benchmark cannot measure.
        print(f"\n{name}: {missing}", flush=True)
        return False
    return True


if __name__ == "__main__":
    main(sys.argv[1:])
