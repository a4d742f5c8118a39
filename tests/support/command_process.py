"""The installed command as a subprocess: `check` and `configure` on simulated devices."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from exporter.simulator.device import SimulatedDevice
from exporter.simulator.fleet import ServedFleet, SimulatedFleet, build_fleet, serve_fleet
from tests.support.daemon_process import COMMAND, PATIENCE_SECONDS

WANTED = {"enabled": True, "maxpoll": 12, "static_servers": ["10.0.0.1", "10.0.0.2"]}
"""The `expect` of these tests: two parameters of a healthy simulated device differ from it."""

DIFFERENCES = [
    {"parameter": "maxpoll", "now": 10, "wanted": 12},
    {
        "parameter": "static_servers",
        "now": ["192.0.2.123", "192.0.2.124"],
        "wanted": ["10.0.0.1", "10.0.0.2"],
    },
]
"""The two differences, as the command prints them."""

SET = "setNTPClientConfiguration"
GET = "getNTPInfo"


@dataclass
class Run:
    """A command; `out` and `err` grow while it runs."""

    process: asyncio.subprocess.Process
    output: dict[str, bytearray] = field(
        default_factory=lambda: {"out": bytearray(), "err": bytearray()}
    )

    @property
    def code(self) -> int:
        assert self.process.returncode is not None
        return self.process.returncode

    @property
    def out(self) -> str:
        return self.output["out"].decode()

    @property
    def err(self) -> str:
        return self.output["err"].decode()

    @property
    def documents(self) -> dict[str, Any]:
        """Return the `--json` output by device."""
        return {each["device"]: each for each in json.loads(self.out)}

    @property
    def results(self) -> dict[str, str]:
        return {name: each["result"] for name, each in self.documents.items()}

    def signal(self, number: signal.Signals = signal.SIGINT) -> None:
        self.process.send_signal(number)

    async def until(self, met: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not met():
                assert self.process.returncode is None, f"it ended:\n{self.out}{self.err}"
                await asyncio.sleep(0.02)


@dataclass
class CommandSite:
    """A served fleet, its config, and a folder for files."""

    served: ServedFleet
    config: dict[str, Any]
    folder: Path

    @property
    def devices(self) -> list[SimulatedDevice]:
        return self.served.fleet.devices

    @property
    def audit_file(self) -> Path:
        return self.folder / "audit"

    @property
    def audit(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.audit_file.read_text().splitlines()]

    def write_config(self) -> Path:
        file = self.folder / "config.yaml"
        file.write_text(yaml.safe_dump(self.config))
        return file

    @asynccontextmanager
    async def configuring(
        self,
        *words: str,
        command: Path = COMMAND,
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> AsyncIterator[Run]:
        """Run `configure` while the context lasts, and wait for its end."""
        file = f"--config.file={self.write_config()}"
        async with running_command(
            "configure", file, *words, command=command, environment=environment
        ) as run:
            yield run

    async def configure(self, *words: str, **environment: str) -> Run:
        """Run `configure` to its end."""
        async with self.configuring(*words, environment=environment) as run:
            pass
        return run


@asynccontextmanager
async def running_command(
    *words: str,
    command: Path = COMMAND,
    environment: Mapping[str, str] = MappingProxyType({}),
    typed: bytes = b"",
    folder: Path | None = None,
) -> AsyncIterator[Run]:
    """Run the command with `typed` on its standard input; wait for its end after the context."""
    process = await asyncio.create_subprocess_exec(
        command,
        *words,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "COLUMNS": "", **environment},  # pytest-xdist sets it
        cwd=folder,
    )
    run = Run(process)
    assert process.stdin is not None
    process.stdin.write(typed)
    process.stdin.close()
    readers = [
        asyncio.create_task(_collect(stream, run.output[name]))
        for name, stream in (("out", process.stdout), ("err", process.stderr))
    ]
    try:
        yield run
        async with asyncio.timeout(PATIENCE_SECONDS):
            await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
        await asyncio.gather(process.wait(), *readers)


async def _collect(stream: asyncio.StreamReader | None, into: bytearray) -> None:
    assert stream is not None
    while chunk := await stream.read(65_536):
        into += chunk


@asynccontextmanager
async def site(
    fleet: SimulatedFleet | int, folder: Path, *, timeout: str = "5s", expect: object = None
) -> AsyncIterator[CommandSite]:
    """Serve a fleet (or that many healthy devices) whose module expects `WANTED` or `expect`."""
    built = build_fleet(fleet) if isinstance(fleet, int) else fleet
    async with serve_fleet(built) as served:
        config = served.exporter_config(interval="1s", timeout=timeout)
        config["modules"]["default"]["expect"] = WANTED if expect is None else expect
        yield CommandSite(served, config, folder)


def asked(device: SimulatedDevice, method: str = SET) -> int:
    """Return how often an API method was called."""
    return device.requests.api_methods[method]


def is_new(device: SimulatedDevice) -> bool:
    there = device.client.configuration
    return (there.maxpoll, there.static_servers) == (12, ["10.0.0.1", "10.0.0.2"])


def is_old(device: SimulatedDevice) -> bool:
    there = device.client.configuration
    return (there.maxpoll, there.static_servers) == (10, ["192.0.2.123", "192.0.2.124"])


async def run_to_end(*arguments: str) -> tuple[int | None, str]:
    """Run any program; return its exit code and its output, standard error included."""
    process = await asyncio.create_subprocess_exec(
        *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    return process.returncode, output.decode()
