"""The measured programs, each in a process of its own, and the resources they use.

The load (simulated devices, Prometheus) and the daemon run on different cores if there are two, and
only the daemon's own CPU time is counted.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from prometheus_client.parser import text_string_to_metric_families

from exporter.system.text import parse_duration
from tests.support.daemon_process import BlockingDaemon, blocking_daemon
from tests.support.programs import running, wait_until

_CORES: Final = sorted(os.sched_getaffinity(0))
_TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")
_PORT: Final = 18_100
_POLLS: Final = "axis_ntp_polls_total"
_LEAST_MADE: Final = 0.98


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """Run the programs that start within the block on a core, counted from the last one."""
    os.sched_setaffinity(0, {_CORES[-1 - core % len(_CORES)]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, _CORES)


@contextmanager
def load_core() -> Iterator[None]:
    """Run the programs that start within the block on another core than the measured one."""
    with on_core(1):
        yield


@contextmanager
def simulated_fleet(
    count: int, folder: Path, network: int, **flags: str
) -> Iterator[dict[str, Any]]:
    """Run simulated devices on 127.`network`.…; yield the exporter's config for them."""
    file = folder / f"fleet-{network}.yaml"
    command = [sys.executable, "-m", "exporter", "simulate", f"--devices={count}"]
    command += [f"--listen=127.{network}.0.1:{_PORT + network}", f"--write-config={file}"]
    command += ["--spread=shared"]
    command += [f"--{name}={value}" for name, value in flags.items()]
    with load_core(), running(command, folder / f"fleet-{network}.log", _serves):
        config: dict[str, Any] = yaml.load(file.read_text(), yaml.CSafeLoader)
        yield config


def _serves(program: Any) -> bool:  # noqa: ANN401 - tests.support.programs.Program
    return "simulated devices" in program.log()


def polled_every(config: Mapping[str, Any], interval: str, timeout: str = "10s") -> dict[str, Any]:
    """Return a config with another interval and timeout."""
    return {**config, "global": {"interval": interval, "timeout": timeout}}


@dataclass(frozen=True)
class Measured:
    """A running daemon and its resource usage."""

    daemon: BlockingDaemon

    @property
    def pid(self) -> int:
        """The process id."""
        return self.daemon.program.process.pid

    def cpu_seconds(self) -> float:
        """Return the CPU time of the process, user and system."""
        user, system = self._ticks()[11:13]
        return (int(user) + int(system)) / _TICKS_PER_SECOND

    def age_seconds(self) -> float:
        """Return the time since the process was started."""
        started = int(self._ticks()[19]) / _TICKS_PER_SECOND
        return time.clock_gettime(time.CLOCK_BOOTTIME) - started

    def _ticks(self) -> list[str]:
        """Return the fields of /proc/PID/stat from the third on (proc_pid_stat(5))."""
        return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()

    def resident_megabytes(self) -> float:
        """Return the resident memory."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def most_resident_megabytes(self) -> float:
        """Return the peak of the resident memory (`VmHWM`)."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024 / 1e6

    def samples(self, *names: str) -> dict[str, list[tuple[dict[str, str], float]]]:
        """Return the labels and values of the daemon's series with these names."""
        found: dict[str, list[tuple[dict[str, str], float]]] = {name: [] for name in names}
        text = self.daemon.get("/metrics").text
        wanted = "\n".join(line for line in text.splitlines() if line.startswith(names)) + "\n"
        for family in text_string_to_metric_families(wanted):
            for sample in family.samples:
                if sample.name in found:
                    found[sample.name].append((sample.labels, sample.value))
        return found

    def polls(self) -> float:
        """Return the number of polls."""
        return sum(
            value for _, value in self.samples("axis_ntp_polls_total")["axis_ntp_polls_total"]
        )


@contextmanager
def daemon(config: Mapping[str, Any], folder: Path) -> Iterator[Measured]:
    """Run the exporter with a config, on a core of its own."""
    folder.mkdir()
    with on_core(0), blocking_daemon(config, folder) as process:
        yield Measured(process)


def wait_for_first_polls(measured: Measured, within_seconds: float) -> None:
    """Wait until every device was polled once."""
    wait_until(
        lambda: measured.daemon.get("/-/ready").status == 200,  # noqa: PLR2004 - HTTP OK
        "every device was polled",
        within_seconds=within_seconds,
    )


def polls_per_second(config: Mapping[str, Any]) -> float:
    """Return how many polls are due per second."""
    return len(config["devices"]) / parse_duration(config["global"]["interval"])


def cpu_per_poll(measured: Measured, seconds: float, due_per_second: float) -> float:
    """Measure the CPU microseconds per poll over a number of seconds.

    Due polls are counted, because counting made polls needs a scrape, which costs CPU and time. If
    fewer polls were made than due, those are counted.
    """
    polls, started, cpu_seconds = measured.polls(), time.monotonic(), measured.cpu_seconds()
    time.sleep(seconds)
    cpu_seconds = measured.cpu_seconds() - cpu_seconds
    due = due_per_second * (time.monotonic() - started)
    if (made := measured.polls() - polls) < _LEAST_MADE * due:
        raise RuntimeError(f"only {made:.0f} of {due:.0f} due polls were made")
    return cpu_seconds / min(due, made) * 1e6


def bare_loop_cpu_per_poll(config: Mapping[str, Any], folder: Path, seconds: float) -> float:
    """Measure the CPU microseconds per poll of the bare loop."""
    file = folder / "bare.yaml"
    file.write_text(yaml.safe_dump(dict(config)))
    command = [sys.executable, "-m", "bench.bare_loop", str(file), "2", str(seconds)]
    with on_core(0):
        run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    return float(run.stdout)
