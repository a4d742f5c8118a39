"""Real programs for tests: found or loudly missing, started on free ports, watched, stopped."""

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
    """Somebody else got the port between our choosing it and the program's binding it."""


@dataclass(frozen=True)
class HttpReply:
    """What a program answered to a plain request."""

    status: int
    headers: Mapping[str, str]
    text: str


@dataclass(frozen=True)
class Program:
    """A running program and the file that takes what it prints."""

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
        """Ask it to end with SIGTERM, insist after a while; the exit code."""
        self.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            return self.process.wait(STOP_SECONDS)
        os.killpg(self.process.pid, signal.SIGKILL)
        return self.process.wait()


def find_program(name: str, package: str) -> str:
    """A program's path. Without it the test is skipped, or fails where CI promised it."""
    # An ordinary user's PATH has no sbin, where Debian keeps daemons.
    found = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"]))
    return found if found is not None else miss(name, package)


def find_library(pattern: str, package: str) -> str:
    """A shared library's path, below /usr/lib. Skips or fails as `find_program` does."""
    found = sorted(Path("/usr/lib").glob(pattern))
    return str(found[0]) if found else miss(pattern, package)


def faked_wall_clock(**settings: str) -> dict[str, str]:
    """The environment in which libfaketime puts a program's wall clock off, as `settings` say."""
    library = find_library("*/faketime/libfaketime.so.1", "faketime")
    return {"LD_PRELOAD": library, "DONT_FAKE_MONOTONIC": "1", **settings}


def miss(name: str, package: str) -> NoReturn:
    """Skip a test whose program is not there, or fail where CI promised it."""
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
    """Run a program from when it is ready until the block ends; `env` adds to ours.

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
            # Of its own group: a terminal's signals are not meant for it, SIGKILL reaches all.
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
    """Block until `condition` holds. Raises `TimeoutError` with `explain()` if it does not."""
    deadline = time.monotonic() + within_seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {within_seconds:g} s until {what}\n{explain()}")
        time.sleep(_LOOK_EVERY_SECONDS)


def free_port() -> int:
    """A loopback port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def enter_on_free_ports(
    stack: ExitStack, start: Callable[[], AbstractContextManager[Running]]
) -> Running:
    """Enter what `start` gives; again, on other ports, if one was taken meanwhile."""
    for _ in range(_PORT_TRIES - 1):
        with suppress(PortTaken):
            return stack.enter_context(start())
    return stack.enter_context(start())


def http_get(port: int, path: str, headers: Mapping[str, str] | None = None) -> HttpReply:
    """GET from a program on this machine; no proxies, no redirects, one connection."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=START_SECONDS)
    try:
        connection.request("GET", path, headers=dict(headers or {}))
        answer = connection.getresponse()
        return HttpReply(answer.status, dict(answer.headers), answer.read().decode())
    finally:
        connection.close()
