"""Real programs for tests: find, start on free ports, watch, stop."""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn, TypeVar

import pytest

LOOPBACK: Final = "127.0.0.1"
START_SECONDS: Final = 30.0
STOP_SECONDS: Final = 10.0
_PORT_TRIES: Final = 5
_LOOK_EVERY_SECONDS: Final = 0.02

Running = TypeVar("Running")


class ProgramDied(Exception):
    """A program ended before it was ready or while it was needed; `str()` shows its log."""


class PortTaken(ProgramDied):
    """Another program took the port after we had chosen it."""


@dataclass(frozen=True)
class HttpReply:
    """The response of a program to an HTTP request."""

    status: int
    headers: Mapping[str, str]
    text: str


@dataclass(frozen=True)
class Program:
    """A running program and its log file."""

    process: subprocess.Popen[bytes]
    log_file: Path

    def log(self) -> str:
        return self.log_file.read_text("utf-8", errors="replace")

    def require_alive(self) -> None:
        if (code := self.process.poll()) is None:
            return
        log = self.log()
        kind = PortTaken if "address already in use" in log.lower() else ProgramDied
        raise kind(f"{self.process.args!r} ended with {code}; its log:\n{log}")

    def stop(self) -> int:
        """Send SIGTERM, after `STOP_SECONDS` SIGKILL; return the exit code."""
        self.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            return self.process.wait(STOP_SECONDS)
        os.killpg(self.process.pid, signal.SIGKILL)
        return self.process.wait()


def find_program(name: str, package: str) -> str:
    """Return a program's path. If it is missing, skip the test, or fail it in CI."""
    # PATH of ordinary users lacks /usr/sbin, where Debian installs daemons.
    found = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"]))
    return found if found is not None else miss(name, package)


def find_library(pattern: str, package: str) -> str:
    """Return a shared library's path below /usr/lib. If it is missing, as `find_program`."""
    found = sorted(Path("/usr/lib").glob(pattern))
    return str(found[0]) if found else miss(pattern, package)


def faked_wall_clock(**settings: str) -> dict[str, str]:
    """Return the environment in which libfaketime sets a program's wall clock by `settings`."""
    library = find_library("*/faketime/libfaketime.so.1", "faketime")
    return {"LD_PRELOAD": library, "DONT_FAKE_MONOTONIC": "1", **settings}


def miss(name: str, package: str) -> NoReturn:
    """Skip a test whose program is missing, or fail it in CI."""
    reason = f"{name} IS NOT INSTALLED, this is untested: apt-get install {package}"
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@contextmanager
def running(
    command: Sequence[str],
    log_file: Path,
    ready: Callable[[Program], bool],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Iterator[Program]:
    """Run a program until the block ends, which begins when it is ready; `env` is added to ours.

    Raises `ProgramDied` with its log if it ends before, `TimeoutError` if it never gets ready.
    """
    with log_file.open("ab") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, **(env or {})},
            cwd=cwd,
            # Its own process group: no signals from the terminal, and SIGKILL reaches children.
            start_new_session=True,
        )
    program = Program(process, log_file)
    try:
        wait_until(lambda: _is_ready(program, ready), f"{command[0]} is ready", program.log)
        yield program
    finally:
        program.stop()


def _is_ready(program: Program, ready: Callable[[Program], bool]) -> bool:
    program.require_alive()
    with suppress(OSError, http.client.HTTPException):
        return ready(program)
    return False


def wait_until(
    condition: Callable[[], bool],
    what: str,
    explain: Callable[[], str] = str,
    within_seconds: float = START_SECONDS,
) -> None:
    """Block until `condition` holds. Raises `TimeoutError` with `explain()` after the timeout."""
    deadline = time.monotonic() + within_seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {within_seconds:g} s until {what}\n{explain()}")
        time.sleep(_LOOK_EVERY_SECONDS)


def free_port() -> int:
    """Return a loopback port that is free now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def enter_on_free_ports(
    stack: ExitStack, start: Callable[[], AbstractContextManager[Running]]
) -> Running:
    """Enter the context from `start`; try again on other ports after `PortTaken`."""
    for _ in range(_PORT_TRIES - 1):
        with suppress(PortTaken):
            return stack.enter_context(start())
    return stack.enter_context(start())


def http_get(port: int, path: str, headers: Mapping[str, str] | None = None) -> HttpReply:
    """Send a GET request to a program on this machine, without proxies and redirects."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=START_SECONDS)
    try:
        connection.request("GET", path, headers=dict(headers or {}))
        answer = connection.getresponse()
        return HttpReply(answer.status, dict(answer.headers), answer.read().decode())
    finally:
        connection.close()
