"""Good and hostile devices side by side, and a daemon that polls them all."""

from __future__ import annotations

import asyncio
import os
import random
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from exporter.simulator.fleet import SimulatedFleet, build_fleet, serve_fleet
from tests.hostile.kinds import FINE, all_kinds
from tests.hostile.peer import GOOD, Behaviour, Reader, Writer, replies
from tests.support.certificates import self_signed
from tests.support.daemon_process import PATIENCE_SECONDS, DaemonProcess, Scrape
from tests.support.passwords import PASSWORD
from tests.support.programs import LOOPBACK

INTERVAL_SECONDS: Final = 2.0
"""The usual interval of the good devices; hostile ones have twice that."""

SLOW_TIMEOUT: Final = "1s"
"""For the devices of which every poll ends by its timeout; the others have ten seconds."""

FLAPPING: Final = frozenset({FINE, "connect", "disconnected"})


@dataclass(frozen=True)
class Site:
    """Devices that are served, and the config of an exporter for them."""

    fleet: SimulatedFleet
    results: dict[str, frozenset[str]]
    """What the polls of each hostile device may end with, by its name."""
    config: dict[str, Any]

    def add(self, name: str, port: int, results: frozenset[str], module: str) -> None:
        """Add a hostile device."""
        self.results[name] = results
        device = {"name": name, "address": f"{LOOPBACK}:{port}", "module": module}
        self.config["devices"].append(device)

    @property
    def good(self) -> list[str]:
        return [device.name for device in self.fleet.devices]


@asynccontextmanager
async def serve_behaviour(
    behave: Behaviour, tls: ssl.SSLContext | None = None, port: int = 0
) -> AsyncIterator[int]:
    """Serve a device that acts so on every connection; yields its port."""
    connections: dict[asyncio.Task[None] | None, Writer] = {}

    async def serve(reader: Reader, writer: Writer) -> None:
        task = asyncio.current_task()
        connections[task] = writer
        try:
            await behave(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # the client has gone
        finally:
            del connections[task]
            writer.transport.abort()

    server = await asyncio.start_server(serve, LOOPBACK, port, ssl=tls, reuse_port=bool(port))
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        # A task that is cancelled is reported as an error by the streams of Python 3.11.
        for writer in connections.values():
            writer.transport.abort()
        await asyncio.gather(*(task for task in connections if task is not None))


@asynccontextmanager
async def serve_flapping() -> AsyncIterator[int]:
    """Serve a device that is up for about a second, then down for one; yields its port."""
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    held.bind((LOOPBACK, 0))
    port = held.getsockname()[1]

    async def flap() -> None:
        while True:
            async with serve_behaviour(replies(GOOD), port=port):
                await asyncio.sleep(random.uniform(0.5, 1.5))
            await asyncio.sleep(random.uniform(0.5, 1.5))

    # Nobody else gets the port meanwhile.
    with held:
        flapping = asyncio.create_task(flap())
        try:
            yield port
        finally:
            flapping.cancel()
            await asyncio.gather(flapping, return_exceptions=True)


@asynccontextmanager
async def serve_site(
    folder: Path, *, good: int, copies: int, interval_seconds: float = INTERVAL_SECONDS
) -> AsyncIterator[Site]:
    """Serve good devices and `copies` of every hostile kind."""
    fleet = build_fleet(good, auth="digest", password=PASSWORD)
    with_key = self_signed(folder).with_key
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(with_key)
    async with AsyncExitStack() as stack:
        served = await stack.enter_async_context(serve_fleet(fleet))
        config = served.exporter_config(interval=f"{interval_seconds:g}s", timeout="10s")
        _add_modules(config, hostile_interval=f"{2 * interval_seconds:g}s")
        site = Site(fleet, {}, config)
        for number in range(copies):
            for kind in all_kinds(tls):
                its_tls = tls if kind.module == "secure" else None
                port = await stack.enter_async_context(serve_behaviour(kind.behave, its_tls))
                module = "plain" if kind.module == "plain" else "secure"
                module = f"slow {module}" if kind.is_slow else module
                site.add(f"{kind.name} {number}", port, kind.results, module)
            port = await stack.enter_async_context(serve_flapping())
            site.add(f"flapping {number}", port, FLAPPING, "plain")
        yield site


def _add_modules(config: dict[str, Any], hostile_interval: str) -> None:
    plain = {**config["modules"]["default"], "interval": hostile_interval}
    secure = {**plain, "scheme": "https", "tls_config": {"insecure_skip_verify": True}}
    slow = {"timeout": SLOW_TIMEOUT}
    config["modules"] |= {"plain": plain, "secure": secure}
    config["modules"] |= {"slow plain": plain | slow, "slow secure": secure | slow}


class Usage(NamedTuple):
    """What a process uses, from /proc; `waited_seconds` is how long it waited for a CPU."""

    memory_mb: float
    open_files: int
    threads: int
    cpu_seconds: float
    waited_seconds: float


def usage_of(process_id: int) -> Usage:
    folder = Path(f"/proc/{process_id}")
    pages = int((folder / "statm").read_text().split()[1])
    fields = (folder / "stat").read_text().rpartition(")")[2].split()
    ticks = int(fields[11]) + int(fields[12])
    return Usage(
        pages * os.sysconf("SC_PAGE_SIZE") / 1e6,
        len(list((folder / "fd").iterdir())),
        int(fields[17]),
        ticks / os.sysconf("SC_CLK_TCK"),
        int((folder / "schedstat").read_text().split()[1]) / 1e9,
    )


@asynccontextmanager
async def watched_health(running: DaemonProcess) -> AsyncIterator[list[float]]:
    """Ask `/-/healthy` every second; yields how long each answer took, in seconds.

    Raises if an answer was not 200, or none came for `PATIENCE_SECONDS`.
    """
    loop, waits, ended = asyncio.get_running_loop(), list[float](), asyncio.Event()

    async def ask() -> None:
        while not ended.is_set():
            began = loop.time()
            async with asyncio.timeout(PATIENCE_SECONDS):
                assert (await running.get("/-/healthy"))[0] == 200
            waits.append(loop.time() - began)
            with suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), 1)

    asking = asyncio.create_task(ask())
    try:
        yield waits
    finally:
        ended.set()
        await asking


def results_of(found: Scrape) -> dict[str, set[str]]:
    """Return what the polls of each device have ended with so far."""
    polls = found.by_device("axis_ntp_polls_total")
    failures = found.by_device("axis_ntp_poll_failures_total")
    results = {name: {FINE} if polls[name] > failures[name] else set() for name in polls}
    for labels, _ in found.all("axis_ntp_api_errors_total"):
        results[labels["device"]].add(labels["reason"])
    return results
