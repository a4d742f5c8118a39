"""The exporter as its users run it: the command, a config file, a process of its own.

It blocks, and is started and watched like the real programs beside it; tests whose devices are
simulated in their own loop, which blocking would stop, have `tests/support/daemon_process.py`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from tests.support.programs import LOOPBACK, HttpReply, Program, http_get, running, wait_until

_PROJECT: Final = Path(__file__).parents[2]
_LISTENING: Final = re.compile(rf"event=web\.listening address={re.escape(LOOPBACK)}:(\d+)")


@dataclass(frozen=True)
class DaemonProcess:
    """A running daemon that serves on loopback."""

    port: int
    program: Program

    @property
    def address(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    @property
    def base_url(self) -> str:
        return f"http://{self.address}"

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> HttpReply:
        return http_get(self.port, path, headers)

    def wait_until_polled(self) -> None:
        """Block until every device was polled once, well or not."""
        wait_until(self._is_ready, "every device was polled", self.program.log)

    def log_lines(self) -> list[str]:
        return self.program.log().splitlines()

    def stop(self) -> int:
        """End it as systemd does, with SIGTERM; the exit code."""
        return self.program.stop()

    def _is_ready(self) -> bool:
        self.program.require_alive()
        return self.get("/-/ready").status == 200


@contextmanager
def running_daemon(
    config: Mapping[str, Any],
    folder: Path,
    *flags: str,
    env: Mapping[str, str] | None = None,
) -> Iterator[DaemonProcess]:
    """Run the daemon on a config, written to `folder`, until the block ends."""
    config_file = folder / "config.yaml"
    config_file.write_text(yaml.safe_dump(dict(config)))
    command = [sys.executable, "-m", "exporter", f"--config.file={config_file}"]
    command += [f"--web.listen-address={LOOPBACK}:0", *flags]
    log_file = folder / "daemon.log"
    with running(command, log_file, _is_listening, env=env, cwd=_PROJECT) as program:
        yield DaemonProcess(_port(program), program)


def _is_listening(program: Program) -> bool:
    return _LISTENING.search(program.log()) is not None


def _port(program: Program) -> int:
    found = _LISTENING.search(program.log())
    assert found, program.log()
    return int(found[1])
