"""The helpers that find, start and stop real programs."""

from __future__ import annotations

import contextlib
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.programs import (
    LOOPBACK,
    PortTaken,
    Program,
    ProgramDied,
    enter_on_free_ports,
    find_program,
    free_port,
    running,
)


def test_a_missing_program_skips_the_test_and_names_its_package(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="apt-get install some-package"):
        find_program("no-such-program", "some-package")


def test_a_missing_program_fails_the_test_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="apt-get install some-package"):
        find_program("no-such-program", "some-package")


def test_a_program_that_dies_shows_its_log(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import sys; sys.exit('no such luck')"]
    with (
        pytest.raises(ProgramDied, match="no such luck"),
        running(command, tmp_path / "log", lambda _: False),
    ):
        pass


def test_a_used_port_raises_port_taken(tmp_path: Path) -> None:
    with socket.create_server((LOOPBACK, 0)) as taken:
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "http.server", "--bind", LOOPBACK, str(port)]
        with (
            pytest.raises(PortTaken),
            running(command, tmp_path / "log", lambda _: False),
        ):
            pass


def test_a_start_on_a_used_port_is_retried() -> None:
    tries: list[int] = []

    @contextlib.contextmanager
    def start() -> Iterator[int]:
        tries.append(free_port())
        if len(tries) < 3:
            raise PortTaken
        yield tries[-1]

    with ExitStack() as stack:
        assert enter_on_free_ports(stack, start) == tries[2]


def test_stopping_a_program_returns_its_exit_code(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "print('ready', flush=True); import time; time.sleep(60)"]

    def ready(program: Program) -> bool:
        return "ready" in program.log()

    with running(command, tmp_path / "log", ready) as program:
        assert program.stop() == -15
