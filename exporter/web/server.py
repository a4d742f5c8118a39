"""The routes: what is asked for by path. Reads the fleet's state, changes nothing."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from aiohttp import hdrs, web
from prometheus_client.exposition import choose_encoder, gzip_accepted
from prometheus_client.registry import Collector

from exporter.exposition import Exposition
from exporter.fleet import Fleet
from exporter.host_clock import HostClock
from exporter.keeper import Keeper, ReloadFailed
from exporter.web.status import render_status

_GZIP: Final = 16 + zlib.MAX_WBITS

_HEADERS: Final = {
    "Server": "axis-ntp-exporter",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
}


@dataclass(frozen=True, slots=True)
class WebState:
    """What the pages show: the fleet, its series and the exporter's own, this host's time."""

    fleet: Fleet
    exposition: Exposition
    own_series: Collector
    host: HostClock
    keeper: Keeper
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
        ]
    )
    return app


async def _add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_HEADERS)


async def _healthy(_request: web.Request) -> web.Response:
    return web.Response(text="axis-ntp-exporter is healthy.\n")


async def _ready(request: web.Request) -> web.Response:
    state = request.app[STATE]
    if state.keeper.has_all_devices and state.fleet.all_polled:
        return web.Response(text="axis-ntp-exporter is ready.\n")
    return web.Response(status=503, text="Not every device was polled yet.\n")


async def _reload(request: web.Request) -> web.Response:
    try:
        await request.app[STATE].keeper.reload()
    except ReloadFailed as failure:
        return web.Response(status=500, text=f"The config was not loaded:\n{failure}\n")
    return web.Response(text="The config was loaded.\n")


async def _metrics(request: web.Request) -> web.StreamResponse:
    """Every series, in pieces between which polls go on."""
    encode, content_type = _negotiate(request)
    headers = {hdrs.CONTENT_TYPE: content_type, hdrs.VARY: "Accept, Accept-Encoding"}
    zipped = gzip_accepted(request.headers.get(hdrs.ACCEPT_ENCODING, ""))
    if zipped:
        headers[hdrs.CONTENT_ENCODING] = "gzip"
    response = web.StreamResponse(headers=headers)
    await response.prepare(request)
    pieces = _pieces(request.app[STATE], encode, openmetrics="openmetrics" in content_type)
    for piece in _gzipped(pieces) if zipped else pieces:
        await response.write(piece)
        await asyncio.sleep(0)
    await response.write_eof()
    return response


def _pieces(
    state: WebState, encode: Callable[[Collector], bytes], *, openmetrics: bool
) -> Iterator[bytes]:
    yield from state.exposition.pieces(state.host.now(), openmetrics=openmetrics)
    # Last, for it ends with the `# EOF` of OpenMetrics.
    yield encode(state.own_series)


def _gzipped(pieces: Iterator[bytes]) -> Iterator[bytes]:
    compressor = zlib.compressobj(level=1, wbits=_GZIP)
    for piece in pieces:
        yield compressor.compress(piece)
    yield compressor.flush()


def _negotiate(request: web.Request) -> tuple[Callable[[Collector], bytes], str]:
    try:
        return choose_encoder(",".join(request.headers.getall(hdrs.ACCEPT, [])))
    except (TypeError, ValueError):
        # prometheus-client stumbles over a version such as `x`.
        return choose_encoder("")


async def _status_page(request: web.Request) -> web.Response:
    state = request.app[STATE]
    page = render_status(state.fleet, state.host.now(), state.telemetry_path)
    return web.Response(text=page, content_type="text/html")
