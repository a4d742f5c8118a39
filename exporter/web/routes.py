"""The HTTP routes. They read the state of the fleet and change nothing but the config (reload)."""

import asyncio
import json
from dataclasses import dataclass
from functools import partial
from typing import Final

from aiohttp import hdrs, web
from prometheus_client.registry import Collector

from exporter.clock.host import HostClock
from exporter.config import dump_redacted
from exporter.fleet.registry import Fleet
from exporter.fleet.reloader import ConfigReloader, ReloadFailed
from exporter.metrics.exposition import Exposition
from exporter.polling.poller import Poller
from exporter.web.limits import limit_renderings
from exporter.web.metrics_endpoint import stream_series
from exporter.web.pages.assets import render, serve_asset
from exporter.web.pages.device_page import render_device
from exporter.web.pages.fleet_page import render_fleet
from exporter.web.pages.fleet_query import BadQuery, FleetQuery
from exporter.web.probe import probe_device, target_groups

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
    """What the request handlers read; `own_series` are the exporter's own metrics."""

    fleet: Fleet
    exposition: Exposition
    own_series: Collector
    host: HostClock
    reloader: ConfigReloader
    poller: Poller
    telemetry_path: str


STATE: Final = web.AppKey("state", WebState)


def make_app(state: WebState) -> web.Application:
    """Return the daemon's web application."""
    app = web.Application(middlewares=[limit_renderings()])
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
    return web.Response(status=503, text="Not all devices have been polled yet.\n")


async def _reload(request: web.Request) -> web.Response:
    try:
        await request.app[STATE].reloader.reload()
    except ReloadFailed as failure:
        return web.Response(status=500, text=f"Config reload failed:\n{failure}\n")
    return web.Response(text="Config reloaded.\n")


async def _metrics(request: web.Request) -> web.StreamResponse:
    state = request.app[STATE]
    pieces = partial(state.exposition.pieces, state.host.now())
    return await stream_series(request, pieces, state.own_series)


async def _probe(request: web.Request) -> web.StreamResponse:
    """Serve the series of one configured device; no other address is ever contacted."""
    state = request.app[STATE]
    pieces = await probe_device(request, state.fleet, state.poller, state.host)
    return await stream_series(request, pieces)


async def _discover(request: web.Request) -> web.Response:
    devices = list(request.app[STATE].fleet)
    # In a thread: 10,000 devices take 30 ms.
    text = await asyncio.to_thread(lambda: json.dumps(target_groups(devices)))
    return web.json_response(text=text)


async def _config(request: web.Request) -> web.Response:
    # In a thread: 10,000 devices take half a second.
    text = await asyncio.to_thread(dump_redacted, request.app[STATE].reloader.config)
    return web.Response(text=text)


async def _status_page(request: web.Request) -> web.Response:
    state = request.app[STATE]
    try:
        query = FleetQuery.parse(request.query)
    except BadQuery as problem:
        return _html(render("problem.html", title="Invalid request", problem=str(problem)), 400)
    now = state.host.now()
    return _html(await render_fleet(state.fleet, query, now, state.telemetry_path))


async def _device_page(request: web.Request) -> web.Response:
    """Serve a device's page; its name is in the path, or in the query if a path cannot hold it."""
    state = request.app[STATE]
    name = request.match_info.get("name", request.query.get("name", ""))
    if name not in state.fleet:
        problem = f"No device is named {name}. It may have been removed from the config."
        return _html(render("problem.html", title="Device not found", problem=problem), 404)
    return _html(render_device(state.fleet[name], state.host.now()))


def _html(page: str, status: int = 200) -> web.Response:
    headers = {hdrs.CACHE_CONTROL: "no-cache"}
    return web.Response(status=status, text=page, content_type="text/html", headers=headers)
