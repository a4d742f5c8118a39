"""The installed command as a subprocess: started, asked over HTTP, stopped by a signal.

Asynchronous, for tests whose simulated devices live in the same loop and must answer meanwhile;
tests beside real programs, which need no loop, have `tests/real/daemon_process.py`.
"""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from prometheus_client import parser

PATIENCE_SECONDS = 30.0
"""How long a condition may take on a loaded machine before a test gives up."""

COMMAND = Path(sys.executable).with_name("axis-ntp-exporter")
parse_text: Any = parser.text_string_to_metric_families

Labels = dict[str, str]


@dataclass
class Scrape:
    """What one scrape of /metrics had."""

    samples: list[tuple[str, Labels, float]]

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
        found = re.search(r"event=web\.listening address=(\S+) scheme=(\S+)", self.text)
        assert found is not None, f"the daemon does not listen:\n{self.text}"
        return f"{found[2]}://{found[1]}"

    @property
    def text(self) -> str:
        return "".join(self.log)

    async def get(self, path: str) -> tuple[int, str]:
        async with self.session.get(self.url + path) as response:
            return response.status, await response.text()

    async def scrape(self) -> Scrape:
        status, text = await self.get("/metrics")
        assert status == 200
        return Scrape(
            [(s.name, s.labels, s.value) for family in parse_text(text) for s in family.samples]
        )

    async def until(self, met: Callable[[Scrape], bool]) -> Scrape:
        """Scrape until a condition is met; the scrape that met it."""
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

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal; the exit code."""
        if self.process.returncode is None:
            self.process.send_signal(number)
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self.process.wait()


@asynccontextmanager
async def daemon(
    *arguments: str,
    wait_for: str = "event=exporter.started",
    env: Mapping[str, str] | None = None,
) -> AsyncIterator[DaemonProcess]:
    """Run the command until the context ends; it has logged `wait_for` when the context begins.

    `env` is added to the environment.
    """
    process = await asyncio.create_subprocess_exec(
        COMMAND,
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, **(env or {})},
    )
    async with aiohttp.ClientSession() as session:
        running = DaemonProcess(process, session)
        reader = asyncio.create_task(_collect(running))
        try:
            await _logged(running, wait_for)
            yield running
        finally:
            await running.stop()
            await reader


async def _collect(running: DaemonProcess) -> None:
    assert running.process.stdout is not None
    async for line in running.process.stdout:
        running.log.append(line.decode())


async def _logged(running: DaemonProcess, words: str) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while words not in running.text:
            assert running.process.returncode is None, f"the command ended:\n{running.text}"
            await asyncio.sleep(0.02)


@asynccontextmanager
async def daemon_on(
    config: dict[str, Any], folder: Path, *flags: str, env: Mapping[str, str] | None = None
) -> AsyncIterator[DaemonProcess]:
    """Run the daemon on a config."""
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(config))
    listen = "--web.listen-address=127.0.0.1:0"
    async with daemon(f"--config.file={file}", listen, *flags, env=env) as running:
        yield running
