"""How long one step holds up the event loop while the whole fleet changes.

`python -m tests.hostile.hold_ups` prints the table.

Measures the CPU time of each callback of the loop: other programs do not count, nor does the thread
that reads the files, which Python interrupts every 5 ms.
"""

import asyncio
import json
import os
import sys
import tempfile
import time
from asyncio.events import Handle
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple
from unittest.mock import patch

import aiohttp

from exporter import daemon
from exporter.config import Config, load_config
from exporter.daemon import Settings
from exporter.fleet import reloader
from exporter.fleet.registry import Fleet
from exporter.system.process import collect_rarely, freeze_existing_objects
from exporter.web.settings import WebSettings

DEVICES: Final = 100_000
LIMIT_MS: Final = 100.0
"""No step may hold up the event loop for longer. The table is below 60 ms; other programs share the
memory with a test."""

_INTERVAL_SECONDS: Final = 86_400
"""So that hardly any device is polled meanwhile."""


class HoldUp(NamedTuple):
    """What was done with how many devices, the CPU time of the longest callback, and how long."""

    what: str
    devices: int
    ms: float
    seconds: float


@dataclass
class _Site:
    """A daemon that discovers devices in `file`, and whose config is `config_file`."""

    file: Path
    config_file: Path
    fleet: Fleet
    url: str
    visitor: aiohttp.ClientSession

    def write(self, count: int, name: str = "cam", port: int = 9) -> None:
        groups = (
            {
                "targets": [_address(n, port)],
                "labels": {"device": f"{name}-{n}", "site": f"hq{n % 100}"},
            }
            for n in range(count)
        )
        new = self.file.with_suffix(".new")
        new.write_text(f"[{','.join(map(json.dumps, groups))}]")
        new.rename(self.file)

    async def list(self, count: int, name: str = "cam", port: int = 9) -> None:
        """List devices, and wait until the fleet is the same."""
        await asyncio.to_thread(self.write, count, name, port)
        while len(self.fleet) != count or (count and not self._has(f"{name}-{count - 1}", port)):
            await asyncio.sleep(0.1)
        # The rest of the same update: its objects are freed.
        await self.ask("post", "/-/reload")

    async def configure(self, count: int) -> None:
        """Load a config of `count` devices instead of the discovered ones."""
        await self.ask("post", "/-/reload")
        while len(self.fleet) != count:
            await asyncio.sleep(0.1)

    def write_config(self, count: int) -> None:
        """Write a config of `count` devices, and none that are discovered."""
        lines = (
            f"- {{address: '{_address(n, 9)}', name: dev-{n}, labels: {{site: hq{n % 100}}}}}\n"
            for n in range(count)
        )
        head = f"global: {{interval: {_INTERVAL_SECONDS}s}}\ndevices:\n"
        self.config_file.write_text(head + "".join(lines))

    def _has(self, name: str, port: int) -> bool:
        return name in self.fleet and self.fleet[name].target.address.endswith(f":{port}")

    async def ask(self, method: str, path: str) -> None:
        async with self.visitor.request(method, self.url + path) as response:
            assert response.status == 200
            # Not `read`, which joins the parts: 30 ms of the visitor's, not of the exporter's.
            async for _ in response.content.iter_any():
                pass


def _address(n: int, port: int) -> str:
    return f"127.{n >> 16}.{n >> 8 & 255}.{n & 255}:{port}"


@asynccontextmanager
async def _site(folder: Path) -> AsyncIterator[_Site]:
    file = folder / "targets.json"
    tree = {
        "global": {"interval": f"{_INTERVAL_SECONDS}s"},
        "file_sd_configs": [{"files": [str(file)], "refresh_interval": "100ms"}],
    }
    config_file = folder / "config.yaml"
    config_file.write_text(json.dumps(tree))

    def load() -> Config:
        return load_config(config_file, {})

    config, fleet = load(), Fleet()
    settings = Settings(WebSettings((("127.0.0.1", 0),)), load)
    with (
        patch.object(daemon, "Fleet", lambda: fleet),
        # No device answers, so that there are no connections.
        patch.object(reloader, "raise_file_limit", lambda _devices: None),
    ):
        async with daemon.running(config, settings) as (url,), aiohttp.ClientSession() as visitor:
            freeze_existing_objects()
            yield _Site(file, config_file, fleet, url, visitor)


@contextmanager
def _longest_callback_ms() -> Iterator[Callable[[], float]]:
    """Yield a function that returns the longest CPU time of a callback since its last call."""
    longest, run = 0.0, Handle._run

    def measured(handle: Handle) -> None:
        nonlocal longest
        began = time.thread_time()
        run(handle)
        longest = max(longest, time.thread_time() - began)

    def take() -> float:
        nonlocal longest
        taken, longest = longest * 1000, 0.0
        return taken

    with patch.object(Handle, "_run", measured):
        yield take


async def measure_hold_ups(folder: Path, listed: int, *, every: bool) -> list[HoldUp]:
    """Do everything that concerns all devices, and measure.

    Not `every` leaves out two changes of the list, and the config then has half as many devices.
    """
    devices, rows = listed, list[HoldUp]()
    with _longest_callback_ms() as take:
        async with _site(folder) as site:

            async def row(what: str, work: Awaitable[None]) -> None:
                await asyncio.sleep(0)  # what this callback has done so far does not count
                take()
                began = time.monotonic()
                await work
                rows.append(HoldUp(what, devices, take(), time.monotonic() - began))

            await row("all devices are listed for the first time", site.list(devices))
            await row("a config without devices is reloaded", site.ask("post", "/-/reload"))
            for path in ("/metrics", "/discover", "/"):
                await row(f"`{path}` is asked for", site.ask("get", path))
            if every:
                await row("all addresses change", site.list(devices, port=10))
                await row("all names change", site.list(devices, "dev"))
            await row("all devices are removed", site.list(0))
            if not every:
                devices //= 2
            await asyncio.to_thread(site.write_config, devices)
            await row("a config of all devices is loaded", site.configure(devices))
            await row("the same config is reloaded", site.ask("post", "/-/reload"))
            await row("`/config` of all devices is asked for", site.ask("get", "/config"))
    return rows


def main() -> None:
    """Print a row per step."""
    devices = int(sys.argv[1]) if len(sys.argv) > 1 else DEVICES
    collect_rarely()
    terminal, sys.stdout = sys.stdout, open(os.devnull, "w")  # noqa: PTH123, SIM115 - of the daemon's log
    with tempfile.TemporaryDirectory() as folder:
        rows = asyncio.run(measure_hold_ups(Path(folder), devices, every=True))
    terminal.write("| step | ms | s |\n| --- | --- | --- |\n")
    for what, _devices, ms, seconds in rows:
        terminal.write(f"| {what} | {ms:.0f} | {seconds:.1f} |\n")


if __name__ == "__main__":
    main()
