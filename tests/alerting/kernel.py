"""Exposes what the kernel of the exporter's host says of its clock, as tests set it.

A target of its own, so that setting it needs no reload: Prometheus 2.42 forgets its Alertmanagers
at a reload, for up to 5 s, which are five minutes here.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from tests.support.programs import LOOPBACK

FLAG: Final = "axis_ntp_exporter_host_clock_synchronized"


@dataclass
class Kernel:
    """The flag, with the labels of the exporter's series; without a flag, nothing is exposed."""

    labels: Mapping[str, str]
    synchronized: bool | None = None

    def metrics(self) -> str:
        """Return the text that Prometheus scrapes."""
        if self.synchronized is None:
            return ""
        labels = ",".join(f"{name}={json.dumps(value)}" for name, value in self.labels.items())
        return f"{FLAG}{{{labels}}} {int(self.synchronized)}\n"


@asynccontextmanager
async def exposing(kernel: Kernel) -> AsyncIterator[str]:
    """Expose the flag while the context lasts; yield the address of the target."""

    async def expose(_: web.Request) -> web.Response:
        return web.Response(text=kernel.metrics())

    app = web.Application()
    app.router.add_get("/metrics", expose)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, LOOPBACK, 0).start()
    try:
        yield "{}:{}".format(*runner.addresses[0])
    finally:
        await runner.cleanup()
