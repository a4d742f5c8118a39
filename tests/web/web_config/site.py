"""The web application behind a web-config, on a real socket."""

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
from exporter.config import Config
from exporter.fleet.registry import Fleet
from exporter.metrics.exposition import Exposition
from exporter.web.limits import ConnectionLimit
from exporter.web.listener import run_application
from exporter.web.paths import NO_PREFIX, WebPaths
from exporter.web.routes import WebState, make_app
from exporter.web.settings import WebSettings
from exporter.web.web_config.live import LiveWebConfig
from tests.support.programs import LOOPBACK
from tests.support.web_config import write


class StubReloader:
    has_all_devices = True
    config = Config()
    discovered = ()


def _empty_state(paths: WebPaths) -> WebState:
    reloader: Any = StubReloader()
    poller: Any = None
    return WebState(
        fleet=Fleet([]),
        exposition=Exposition(),
        own_series=CollectorRegistry(),
        host=HostClock(),
        reloader=reloader,
        poller=poller,
        settings=WebSettings((("", 0),), paths=paths),
    )


@dataclass
class Site:
    """A web application that listens; `live` checks its files only when a test calls it."""

    live: LiveWebConfig
    app: web.Application
    port: int

    async def check_files_twice(self) -> None:
        """Check once to see a change, and again to see that the file is stable."""
        await self.live.check_files()
        await self.live.check_files()

    async def get(
        self, path: str = "/metrics", *, tls: ssl.SSLContext | None = None, **more: Any
    ) -> tuple[int, Mapping[str, str]]:
        """Return status and headers of a response, over a new connection."""
        async with aiohttp.ClientSession() as session:
            url = f"{'https' if tls else 'http'}://{LOOPBACK}:{self.port}{path}"
            async with session.get(url, ssl=tls or True, **more) as response:
                await response.read()
                return response.status, dict(response.headers)

    async def send(self, *chunks: bytes) -> str:
        """Send bytes one after the other; return what is received until the connection ends."""
        reader, writer = await asyncio.open_connection(LOOPBACK, self.port)
        for chunk in chunks:
            writer.write(chunk)
            await asyncio.sleep(0)
        response = await reader.read()
        writer.close()
        await writer.wait_closed()
        return response.decode()

    async def served_certificate(self) -> str:
        return await asyncio.to_thread(ssl.get_server_certificate, (LOOPBACK, self.port))


@asynccontextmanager
async def site(
    folder: Path,
    config: Mapping[str, Any] | str,
    *more: web.RouteDef,
    limit: ConnectionLimit | None = None,
    paths: WebPaths = NO_PREFIX,
) -> AsyncIterator[Site]:
    """Serve an empty fleet and the routes `more` behind a web-config in `folder`."""
    live = LiveWebConfig(write(folder, config))
    app = make_app(_empty_state(paths))
    app.add_routes(more)
    live.protect(app, paths)
    running = run_application(app, shutdown_seconds=0.1, limit=limit, tls=live.tls)
    async with running as runner:
        await web.TCPSite(runner, LOOPBACK, 0).start()
        yield Site(live, app, runner.addresses[0][1])
