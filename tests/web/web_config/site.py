"""A web side behind a web-config, on a real socket, and who visits it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from prometheus_client import CollectorRegistry

from exporter.clock.host import HostClock
from exporter.fleet.registry import Fleet
from exporter.metrics.exposition import Exposition
from exporter.web.connection import Runner
from exporter.web.routes import WebState, make_app
from exporter.web.web_config.live import LiveWebConfig
from tests.support.programs import LOOPBACK
from tests.support.web_config import write


class StubKeeper:
    has_all_devices = True


def _empty_state() -> WebState:
    reloader: Any = StubKeeper()
    poller: Any = None
    return WebState(
        fleet=Fleet([]),
        exposition=Exposition(),
        own_series=CollectorRegistry(),
        host=HostClock(),
        reloader=reloader,
        poller=poller,
        telemetry_path="/metrics",
    )


@dataclass
class Site:
    """A web side that listens; `live` looks at its files when it is told to."""

    live: LiveWebConfig
    app: web.Application
    port: int

    async def look_twice(self) -> None:
        """Once to see a change, once to see that it stands still."""
        await self.live.look()
        await self.live.look()

    async def get(
        self, path: str = "/metrics", *, tls: ssl.SSLContext | None = None, **more: Any
    ) -> tuple[int, Mapping[str, str]]:
        """Status and headers of one answer, over a connection of its own."""
        async with aiohttp.ClientSession() as visitor:
            url = f"{'https' if tls else 'http'}://{LOOPBACK}:{self.port}{path}"
            async with visitor.get(url, ssl=tls or True, **more) as response:
                await response.read()
                return response.status, dict(response.headers)

    async def say(self, *said: bytes) -> str:
        """What comes back, to the end of the connection, when these bytes are sent in turn."""
        reader, writer = await asyncio.open_connection(LOOPBACK, self.port)
        for piece in said:
            writer.write(piece)
            await asyncio.sleep(0)
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        return answer.decode()

    async def served_certificate(self) -> str:
        return await asyncio.to_thread(ssl.get_server_certificate, (LOOPBACK, self.port))


@asynccontextmanager
async def site(
    folder: Path, config: Mapping[str, Any] | str, *more: web.RouteDef
) -> AsyncIterator[Site]:
    """Serve an empty fleet, and what `more` there is, behind a web-config that lies in `folder`."""
    live = LiveWebConfig(write(folder, config))
    app = make_app(_empty_state())
    app.add_routes(more)
    live.protect(app)
    runner = Runner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, LOOPBACK, 0, ssl_context=live.tls).start()
        yield Site(live, app, runner.addresses[0][1])
    finally:
        await runner.cleanup()
