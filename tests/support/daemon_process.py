"""The installed command as a subprocess: started, asked over HTTP, stopped by a signal.

Two ways to run the daemon: `DaemonProcess` is asynchronous, for tests whose simulated devices run
in the same event loop and must answer meanwhile. `BlockingDaemon` is for tests with real programs,
which need no event loop.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp
import yaml
from prometheus_client import parser

from tests.support.programs import LOOPBACK, HttpReply, Program, http_get, running, wait_until

PATIENCE_SECONDS: Final = 30.0
"""How long a condition may take on a loaded machine before a test fails."""

COMMAND = Path(sys.executable).with_name("axis-ntp-exporter")
SOON_READS_FILES_ANEW: Final = """
from exporter.fleet import reloader
reloader.MODULE_FILES_INTERVAL_SECONDS = 0.2
"""
"""A patch for `daemon`: it looks at the files of modules often."""

parse_text: Any = parser.text_string_to_metric_families

_LISTENING: Final = re.compile(r"event=web\.listening address=(\S+) scheme=(\S+)")

Labels = dict[str, str]


def _arguments(config: Mapping[str, Any], folder: Path, flags: tuple[str, ...]) -> list[str]:
    """Write the config; return the arguments of a daemon that uses it on a free port."""
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(dict(config)))
    return [f"--config.file={file}", f"--web.listen-address={LOOPBACK}:0", *flags]


def _listening_url(log: str) -> str:
    found = _LISTENING.search(log)
    assert found is not None, f"the daemon does not listen:\n{log}"
    return f"{found[2]}://{found[1]}"


@dataclass
class Scrape:
    """The samples of one scrape: name, labels, value."""

    samples: list[tuple[str, Labels, float]]

    @classmethod
    def parse(cls, text: str) -> Scrape:
        families = parse_text(text)
        return cls([(s.name, s.labels, s.value) for family in families for s in family.samples])

    def all(self, name: str, **labels: str) -> list[tuple[Labels, float]]:
        wanted = labels.items()
        return [(lb, value) for n, lb, value in self.samples if n == name and wanted <= lb.items()]

    def by_device(self, name: str) -> dict[str, float]:
        return {labels["device"]: value for labels, value in self.all(name)}


@dataclass
class DaemonProcess:
    """A running `axis-ntp-exporter`; `log` grows while it runs."""

    process: asyncio.subprocess.Process
    session: aiohttp.ClientSession
    log: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return _listening_url(self.text)

    @property
    def text(self) -> str:
        return "".join(self.log)

    async def get(self, path: str) -> tuple[int, str]:
        async with self.session.get(self.url + path) as response:
            return response.status, await response.text()

    async def reload(self, method: str = "POST") -> tuple[int, str]:
        async with self.session.request(method, f"{self.url}/-/reload") as response:
            return response.status, await response.text()

    async def scrape(self) -> Scrape:
        status, text = await self.get("/metrics")
        assert status == 200
        return Scrape.parse(text)

    async def until(self, met: Callable[[Scrape], bool]) -> Scrape:
        """Scrape until a condition is met; return the scrape that met it."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not met(found := await self.scrape()):
                await asyncio.sleep(0.05)
        return found

    async def ready(self) -> Scrape:
        """Wait until every device was polled once."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (await self.get("/-/ready"))[0] != 200:
                await asyncio.sleep(0.05)
        return await self.scrape()

    async def logs(self, words: str) -> None:
        """Wait until the log contains these words; fail if the command ends before."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while words not in self.text:
                assert self.process.returncode is None, f"the command ended:\n{self.text}"
                await asyncio.sleep(0.02)

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal; return the exit code."""
        if self.process.returncode is None:
            self.process.send_signal(number)
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self.process.wait()


@asynccontextmanager
async def daemon(
    *arguments: str,
    wait_for: str = "event=exporter.started",
    env: Mapping[str, str] | None = None,
    patch: str = "",
) -> AsyncIterator[DaemonProcess]:
    """Run the command until the context ends; it has logged `wait_for` when the context begins.

    `env` is added to the environment. `patch` is Python code that runs before the command.
    """
    code = f"{patch}\nimport sys, exporter.cli\nsys.exit(exporter.cli.main())"
    process = await asyncio.create_subprocess_exec(
        *((sys.executable, "-c", code) if patch else (COMMAND,)),
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, **(env or {})},
    )
    async with aiohttp.ClientSession() as session:
        started = DaemonProcess(process, session)
        reader = asyncio.create_task(_collect(started))
        try:
            await started.logs(wait_for)
            yield started
        finally:
            await started.stop()
            await reader


async def _collect(started: DaemonProcess) -> None:
    assert started.process.stdout is not None
    async for line in started.process.stdout:
        started.log.append(line.decode())


@asynccontextmanager
async def daemon_on(
    config: Mapping[str, Any],
    folder: Path,
    *flags: str,
    env: Mapping[str, str] | None = None,
    patch: str = "",
) -> AsyncIterator[DaemonProcess]:
    """Run the daemon on a config, written to `folder`."""
    async with daemon(*_arguments(config, folder, flags), env=env, patch=patch) as started:
        yield started


@dataclass(frozen=True)
class BlockingDaemon:
    """A running daemon; its methods block."""

    program: Program

    @property
    def url(self) -> str:
        return _listening_url(self.program.log())

    @property
    def address(self) -> str:
        return self.url.partition("://")[2]

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> HttpReply:
        return http_get(self.port, path, headers)

    def wait_until_polled(self) -> None:
        """Block until every device was polled once, with or without success."""
        wait_until(self._is_ready, "every device was polled", self.program.log)

    def stop(self) -> int:
        """End it as systemd does, with SIGTERM; return the exit code."""
        return self.program.stop()

    def _is_ready(self) -> bool:
        self.program.require_alive()
        return self.get("/-/ready").status == 200


@contextmanager
def blocking_daemon(
    config: Mapping[str, Any], folder: Path, *flags: str, env: Mapping[str, str] | None = None
) -> Iterator[BlockingDaemon]:
    """Run the daemon on a config, written to `folder`, until the block ends."""
    command = [str(COMMAND), *_arguments(config, folder, flags)]
    with running(command, folder / "daemon.log", _is_listening, env=env) as program:
        yield BlockingDaemon(program)


def _is_listening(program: Program) -> bool:
    return _LISTENING.search(program.log()) is not None
