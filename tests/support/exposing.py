"""A target for Prometheus that exposes what a test says."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from tests.support.programs import LOOPBACK


@asynccontextmanager
async def exposing(metrics: Callable[[], str]) -> AsyncIterator[str]:
    """Expose the text that `metrics` returns while the context lasts; yield the address."""

    async def expose(_: web.Request) -> web.Response:
        return web.Response(text=metrics())

    app = web.Application()
    app.router.add_get("/metrics", expose)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, LOOPBACK, 0).start()
    try:
        yield "{}:{}".format(*runner.addresses[0])
    finally:
        await runner.cleanup()
