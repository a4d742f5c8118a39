"""The routes: what is asked for by path. Reads the fleet's state, changes nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final

from aiohttp import hdrs, web
from prometheus_client.registry import Collector

from exporter.clock.host import HostClock
from exporter.config import dump_redacted
from exporter.fleet.registry import Fleet
from exporter.fleet.reloader import ConfigReloader, ReloadFailed
from exporter.metrics.exposition import Exposition, Form, T
from exporter.polling.poller import Poller
from exporter.web.metrics_endpoint import Encoder, stream_series
from exporter.web.pages.assets import render_problem
from exporter.web.pages.device_page import render_device
from exporter.web.pages.fleet_page import render_fleet
from exporter.web.pages.fleet_query import BadQuery, FleetQuery
from exporter.web.pages.static_files import serve_asset
from exporter.web.probe import probed, target_groups

_HEADERS: Final = {
    "Server": "axis-ntp-exporter",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
}


@dataclass(frozen=True, slots=True)
class WebState:
    """What the pages show: the fleet, its series and the exporter's own, this host's time."""

    fleet: Fleet
    exposition: Exposition
    own_series: Collector
    host: HostClock
    reloader: ConfigReloader
    poller: Poller
    telemetry_path: str


STATE: Final = web.AppKey("state", WebState)


def make_app(state: WebState) -> web.Application:
    """The web application of the daemon."""
    app = web.Application()
    app[STATE] = state
    app.on_response_prepare.append(_add_headers)
    app.add_routes(
        [
            web.get("/", _status_page),
            web.get("/-/healthy", _healthy),
            web.get("/-/ready", _ready),
            web.post("/-/reload", _reload),
            web.put("/-/reload", _reload),
            web.get(state.telemetry_path, _metrics),
            web.get("/probe", _probe),
            web.get("/discover", _discover),
            web.get("/config", _config),
            web.get("/static/{version}/{name}", serve_asset),
            web.get("/device", _device_page),
            web.get(r"/device/{name:[\s\S]*}", _device_page),
        ]
    )
    return app


async def _add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_HEADERS)


async def _healthy(_request: web.Request) -> web.Response:
    return web.Response(text="axis-ntp-exporter is healthy.\n")


async def _ready(request: web.Request) -> web.Response:
    state = request.app[STATE]
    if state.reloader.has_all_devices and state.fleet.all_polled:
        return web.Response(text="axis-ntp-exporter is ready.\n")
    return web.Response(status=503, text="Not every device was polled yet.\n")


async def _reload(request: web.Request) -> web.Response:
    try:
        await request.app[STATE].reloader.reload()
    except ReloadFailed as failure:
        return web.Response(status=500, text=f"The config was not loaded:\n{failure}\n")
    return web.Response(text="The config was loaded.\n")


async def _metrics(request: web.Request) -> web.StreamResponse:
    """Every series."""
    return await stream_series(request, partial(_pieces, request.app[STATE]))


def _pieces(state: WebState, encode: Encoder, *, openmetrics: bool, form: Form[T]) -> Iterator[T]:
    yield from state.exposition.pieces(state.host.now(), openmetrics=openmetrics, form=form)
    # Last, for it ends with the `# EOF` of OpenMetrics.
    yield form(encode(state.own_series))


async def _probe(request: web.Request) -> web.StreamResponse:
    """One configured device; no address that is not configured is ever spoken to."""
    state = request.app[STATE]
    pieces = await probed(request, state.fleet, state.poller, state.host)
    return await stream_series(request, pieces)


async def _discover(request: web.Request) -> web.Response:
    devices = list(request.app[STATE].fleet)
    # In a thread, as ten thousand devices are 30 ms' work.
    text = await asyncio.to_thread(lambda: json.dumps(target_groups(devices)))
    return web.json_response(text=text)


async def _config(request: web.Request) -> web.Response:
    # Of ten thousand devices half a second's work.
    text = await asyncio.to_thread(dump_redacted, request.app[STATE].reloader.config)
    return web.Response(text=text)


async def _status_page(request: web.Request) -> web.Response:
    state = request.app[STATE]
    try:
        query = FleetQuery.parse(request.query)
    except BadQuery as problem:
        return _html(render_problem("That cannot be shown", f"In the address, {problem}."), 400)
    now = state.host.now()
    return _html(await render_fleet(state.fleet, query, now, state.telemetry_path))


async def _device_page(request: web.Request) -> web.Response:
    """A device by its name in the path; in the query where a path cannot hold it."""
    state = request.app[STATE]
    name = request.match_info.get("name", request.query.get("name", ""))
    if name not in state.fleet:
        problem = f"No device is called {name}. It may have been removed from the config."
        return _html(render_problem("There is no such device", problem), 404)
    return _html(render_device(state.fleet[name], state.host.now()))


def _html(page: str, status: int = 200) -> web.Response:
    headers = {hdrs.CACHE_CONTROL: "no-cache"}
    return web.Response(status=status, text=page, content_type="text/html", headers=headers)
