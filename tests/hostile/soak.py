"""`make soak`: a daemon among hostile devices while its files, devices and visitors change.

Prints a row of numbers each minute. Exits with 1 if a number breaks its limit.
`SOAK_MINUTES` (20) is how long it runs.
"""

from __future__ import annotations

import asyncio
import os
import random
import ssl
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import aiohttp
import yaml

from exporter.simulator.fleet import SimulatedFleet, build_fleet, serve_fleet
from tests.daemon.series import FAILURES, POLLS
from tests.hostile.site import INTERVAL_SECONDS, Site, serve_site, usage_of, watched_health
from tests.support import web_config
from tests.support.certificates import Authority, authority
from tests.support.daemon_process import DaemonProcess, Scrape, daemon_on

STABLE: Final = 50
TOGGLED: Final = 20
"""Devices that every other reload removes."""
DISCOVERED: Final = 10
ROTATING: Final = 5
"""Devices whose password changes."""

WARM_UP_SECONDS: Final = 30.0
RELOAD_SECONDS: Final = 2.0
SD_SECONDS: Final = 3.0
PASSWORD_SECONDS: Final = 30.0
CERTIFICATE_SECONDS: Final = 20.0
SCRAPE_SECONDS: Final = 5.0
ROW_SECONDS: Final = 60.0

MORE_MEMORY_MB: Final = 60.0
MORE_OPEN_FILES: Final = 150
MORE_THREADS: Final = 8
POLLS_LOST: Final = 0.2
STOP_SECONDS: Final = 2.0

LOG: Final = Path(tempfile.gettempdir()) / "axis-ntp-exporter-soak.log"

COLUMNS: Final = (
    "minute", "memory MB", "open files", "threads", "CPU %", "CPU wait %", "slowest health ms",
    "polls done", "polls lost", "polls failed", "counters backwards", "error lines", "reloads",
)  # fmt: skip


@dataclass
class Soak:
    """The running daemon, what changes around it, and what was seen."""

    site: Site
    rotating: SimulatedFleet
    running: DaemonProcess
    folder: Path
    authority: Authority
    reloads: int = 0
    counters: dict[tuple[str, frozenset[tuple[str, str]]], float] = field(default_factory=dict)
    backwards: set[str] = field(default_factory=set)
    violations: list[str] = field(default_factory=list)

    @property
    def stable(self) -> list[str]:
        return self.site.good[:STABLE]

    @property
    def error_lines(self) -> list[str]:
        """The errors that the log should not have: a broken config is refused on purpose."""
        return [
            line
            for line in self.running.log
            if ("level=error" in line and "config.reload_failed" not in line) or "Traceback" in line
        ]

    def note_counters(self, found: Scrape) -> None:
        """Compare every counter with the last scrape, but for devices that come and go."""
        coming_and_going = set(self.site.good) - set(self.stable)
        for name, labels, value in found.samples:
            if not name.endswith(("_total", "_count", "_bucket")):
                continue
            # A discovered file is deleted at times, and its counter with it.
            if labels.get("device") in coming_and_going or "sd_refresh" in name:
                continue
            key = (name, frozenset((k, v) for k, v in labels.items() if k != "turn"))
            if value < self.counters.get(key, 0):
                self.backwards.add(f"{name}{labels}: {self.counters[key]:g} to {value:g}")
            self.counters[key] = value


async def forever(seconds: float, step: Callable[[int], Awaitable[None]]) -> None:
    for turn in count(1):
        await step(turn)
        await asyncio.sleep(seconds)


def replace(file: Path, text: str) -> None:
    new = file.with_name(f"{file.name}.new")
    new.write_text(text)
    new.replace(file)


def changes(soak: Soak) -> Iterator[tuple[float, Callable[[int], Awaitable[None]]]]:
    """Yield what changes, and how often."""
    file, config = soak.folder / "config.yaml", soak.site.config
    discovered = soak.site.config["devices"][STABLE + TOGGLED : STABLE + TOGGLED + DISCOVERED]
    toggled = set(soak.site.good[STABLE : STABLE + TOGGLED])
    devices = [each for each in config["devices"] if each not in discovered]

    async def reload(turn: int) -> None:
        kept = [each for each in devices if turn % 2 or each["name"] not in toggled]
        labels = {"turn": str(turn)}
        kept[0] = {**kept[0], "labels": labels}
        text = yaml.safe_dump({**config, "devices": kept})
        broken = turn % 10 == 0
        replace(file, text[: len(text) // 2] + "\n]" if broken else text)
        status, answer = await soak.running.reload()
        soak.reloads += 1
        if status != (500 if broken else 200):
            soak.violations.append(f"reload {turn}: {status} {answer[:300]}")

    async def rewrite_targets(turn: int) -> None:
        targets = soak.folder / "targets.yaml"
        names = [each for each in discovered if random.random() < 0.7]
        text = yaml.safe_dump(
            [{"targets": [e["address"]], "labels": {"device": e["name"]}} for e in names]
        )
        match turn % 4:
            case 0:
                targets.unlink(missing_ok=True)
            case 1:
                replace(targets, text[: len(text) // 2] + "\n]")
            case _:
                replace(targets, text)

    async def rotate_password(turn: int) -> None:
        for device in soak.rotating.devices:
            device.login.password = f"secret {turn}"
        replace(soak.folder / "password", f"secret {turn}\n")

    async def rotate_certificates(_turn: int) -> None:
        await asyncio.to_thread(soak.authority.issue, "server")
        await asyncio.to_thread(soak.authority.issue, "client")

    yield RELOAD_SECONDS, reload
    yield SD_SECONDS, rewrite_targets
    yield PASSWORD_SECONDS, rotate_password
    yield CERTIFICATE_SECONDS, rotate_certificates


def visits(soak: Soak) -> Iterator[tuple[float, Callable[[int], Awaitable[None]]]]:
    """Yield what visitors do, and how often."""
    running = soak.running

    async def scrape(_turn: int) -> None:
        soak.note_counters(await running.scrape())

    async def ask(_turn: int) -> None:
        name = random.choice([*soak.site.good, *soak.site.results])
        query = quote(name, safe="")
        for path in ("/", "/config", "/discover", f"/device/{query}", f"/probe?target={query}"):
            status, _ = await running.get(path)
            if status not in (200, 404):  # a removed device has no page
                soak.violations.append(f"GET {path}: {status}")

    async def use_http_1_0(_turn: int) -> None:
        await raw_scrape(soak, b"HTTP/1.0", 0.0)

    async def read_slowly(_turn: int) -> None:
        await raw_scrape(soak, b"HTTP/1.1", 0.2)

    async def never_read(_turn: int) -> None:
        with suppress(OSError):
            _, writer = await connect(soak)
            writer.write(request(b"HTTP/1.1") * 20)
            await asyncio.sleep(10)
            writer.transport.abort()

    yield SCRAPE_SECONDS, scrape
    yield 1.0, ask
    yield 2.0, use_http_1_0
    yield 0.0, read_slowly
    yield 0.0, never_read


def request(version: bytes) -> bytes:
    [(name, value)] = web_config.AS_ALICE.items()
    return b"GET /metrics %s\r\nHost: x\r\n%s: %s\r\n\r\n" % (
        version,
        name.encode(),
        value.encode(),
    )


async def connect(soak: Soak) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, _, port = soak.running.url.partition("://")[2].rpartition(":")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return await asyncio.open_connection(host, int(port), ssl=context)


async def raw_scrape(soak: Soak, version: bytes, pause_seconds: float) -> None:
    """Read the series as an old or a slow client does, for 20 seconds at most."""
    with suppress(OSError, TimeoutError):
        reader, writer = await connect(soak)
        writer.write(request(version))
        async with asyncio.timeout(20):
            while await reader.read(4096):
                await asyncio.sleep(pause_seconds)
        writer.transport.abort()


@asynccontextmanager
async def soaking(folder: Path) -> AsyncIterator[Soak]:
    """Start the devices and the daemon, with TLS and an account."""
    signer = authority(folder)
    signer.issue("client")
    web_config.write(folder, {**web_config.TLS, **web_config.ALICE})
    async with AsyncExitStack() as stack:
        site = await stack.enter_async_context(
            serve_site(folder, good=STABLE + TOGGLED + DISCOVERED, copies=1)
        )
        rotating = build_fleet(ROTATING, auth="digest")
        served = await stack.enter_async_context(serve_fleet(rotating))
        add_rotating(site.config, folder, served.exporter_config())
        running = await stack.enter_async_context(
            daemon_on(site.config, folder, f"--web.config.file={folder / 'web.yml'}")
        )
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=False), headers=web_config.AS_ALICE
        )
        running.session = await stack.enter_async_context(session)
        yield Soak(site, rotating, running, folder, signer)


def add_rotating(config: dict[str, Any], folder: Path, rotating: dict[str, Any]) -> None:
    """Add the devices whose password changes, a discovered file, and a client certificate."""
    auth = {"username": "root", "password_file": str(folder / "password")}
    (folder / "password").write_text(rotating["modules"]["default"]["auth"]["password"])
    config["modules"]["rotating"] = {"scheme": "http", "auth": auth}
    config["devices"] += [
        {"address": each["address"], "name": f"rotating {n}", "module": "rotating"}
        for n, each in enumerate(rotating["devices"])
    ]
    pair = {"cert_file": str(folder / "client.crt"), "key_file": str(folder / "client.key")}
    config["modules"]["secure"]["tls_config"] |= pair
    files = [str(folder / "targets.yaml")]
    config["file_sd_configs"] = [{"files": files, "refresh_interval": "2s"}]


@dataclass
class Rows:
    """Prints a row a minute, and compares the last one with the first."""

    soak: Soak
    waits: list[float]
    begun: float = 0.0
    first: Scrape | None = None

    async def start(self) -> None:
        self.first = await self.soak.running.scrape()
        self.usage = self.last = usage_of(self.soak.running.process.pid)
        self.begun = self.since = time.monotonic()
        self.waits.clear()
        sys.stdout.write(f"| {' | '.join(COLUMNS)} |\n|{' --- |' * len(COLUMNS)}\n")

    async def add(self) -> None:
        found = await self.soak.running.scrape()
        now, usage = time.monotonic(), usage_of(self.soak.running.process.pid)
        percent = 100 / max(1e-9, now - self.since)
        cpu = percent * (usage.cpu_seconds - self.last.cpu_seconds)
        waited = percent * (usage.waited_seconds - self.last.waited_seconds)
        done, failed = self._gained(POLLS, found), self._gained(FAILURES, found)
        turns = int((now - self.begun) / INTERVAL_SECONDS)
        self.lost = sum(max(0.0, turns - each) for each in done.values())
        self.failed, self.turns = sum(failed.values()), turns * len(done)
        slowest_ms = 1000 * max(self.waits, default=0)
        cells = (
            f"{(now - self.begun) / 60:.0f}", f"{usage.memory_mb:.0f}", usage.open_files,
            usage.threads, f"{cpu:.0f}", f"{waited:.0f}", f"{slowest_ms:.0f}",
            f"{sum(done.values()):.0f}", f"{self.lost:.0f}", f"{self.failed:.0f}",
            len(self.soak.backwards), len(self.soak.error_lines), self.soak.reloads,
        )  # fmt: skip
        sys.stdout.write(f"| {' | '.join(map(str, cells))} |\n")
        sys.stdout.flush()
        self.last, self.since = usage, now
        self.waits.clear()

    def _gained(self, name: str, found: Scrape) -> dict[str, float]:
        assert self.first is not None
        before, after = self.first.by_device(name), found.by_device(name)
        return {each: after[each] - before[each] for each in self.soak.stable}

    def violations(self) -> Iterator[str]:
        """Yield each limit that was broken."""
        yield from self.soak.violations
        if self.last.memory_mb - self.usage.memory_mb > MORE_MEMORY_MB:
            yield f"memory grew by more than {MORE_MEMORY_MB:g} MB"
        if self.last.open_files - self.usage.open_files > MORE_OPEN_FILES:
            yield f"more than {MORE_OPEN_FILES} more open files"
        if self.last.threads - self.usage.threads > MORE_THREADS:
            yield f"more than {MORE_THREADS} more threads"
        if self.lost > POLLS_LOST * self.turns:
            yield f"{self.lost:.0f} of {self.turns} polls lost"
        if self.failed:
            yield f"{self.failed:.0f} polls of good devices failed"
        yield from (f"went backwards: {each}" for each in sorted(self.soak.backwards)[:10])
        yield from (f"logged: {line.rstrip()}" for line in self.soak.error_lines[:10])


async def soak_for(minutes: float, folder: Path) -> list[str]:
    """Run; return the limits that were broken."""
    async with soaking(folder) as soak:
        await soak.running.ready()
        async with asyncio.TaskGroup() as group:
            working = [
                group.create_task(forever(seconds, step))
                for work in (changes, visits)
                for seconds, step in work(soak)
            ]
            async with watched_health(soak.running) as waits:
                rows = Rows(soak, waits)
                await asyncio.sleep(WARM_UP_SECONDS)
                await rows.start()
                await rows.add()
                while time.monotonic() < rows.begun + minutes * 60 - 1:
                    await asyncio.sleep(min(ROW_SECONDS, minutes * 60))
                    await rows.add()
            for task in working:
                task.cancel()
        LOG.write_text(soak.running.text)
        asked_to_stop = time.monotonic()
        code = await soak.running.stop()
        stopped_after = time.monotonic() - asked_to_stop
    broken = list(rows.violations())
    sys.stdout.write(f"The log is in {LOG}\n")
    sys.stdout.write(f"SIGTERM: exit code {code} after {stopped_after:.2f} s\n")
    if code != 0 or stopped_after > STOP_SECONDS:
        broken.append("SIGTERM did not end the daemon in time")
    return broken


def main() -> int:
    """Run for `SOAK_MINUTES`; return the exit code."""
    minutes = float(os.environ.get("SOAK_MINUTES", "20"))
    with tempfile.TemporaryDirectory() as folder:
        broken = asyncio.run(soak_for(minutes, Path(folder)))
    for each in broken:
        sys.stdout.write(f"LIMIT BROKEN: {each}\n")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
