"""The HTTP routes: they read the fleet's state. A POST can reload the config or poll a device."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from aiohttp import hdrs, web
from prometheus_client.registry import Collector

from exporter.clock.host import HostClock, kernel_says_synchronized
from exporter.config import dump_redacted
from exporter.devices.device import DeviceTarget
from exporter.discovery.listing import dump_discovered
from exporter.fleet.registry import Fleet
from exporter.fleet.reloader import ConfigReloader, ReloadFailed
from exporter.metrics.exposition import Exposition
from exporter.polling.poller import Poller
from exporter.time_servers.host_clock import Vote, VoteSource, describe_host_clock
from exporter.web.limits import turn
from exporter.web.metrics_endpoint import stream_series
from exporter.web.origin import refuse_foreign_host, refuse_foreign_origin
from exporter.web.pages.assets import device_url, html_response, render, serve_asset
from exporter.web.pages.device_page import render_device
from exporter.web.pages.fleet_page import render_fleet
from exporter.web.pages.fleet_query import BadQuery, FleetQuery, refuse_repeated
from exporter.web.pages.links import PageSettings
from exporter.web.pages.not_found import explain_not_found
from exporter.web.paths import WebPaths
from exporter.web.probe import poll_early, probe_device, render_target_groups
from exporter.web.rendered_text import RenderedText
from exporter.web.response_slots import MAX_WAITING, ResponseSlots, WaitingRoom, limit_responses
from exporter.web.settings import WebSettings

_HEADERS: Final = {
    "Server": "axis-ntp-exporter",
    "X-Content-Type-Options": "nosniff",
    # Not `no-referrer`: with that, browsers send our own forms with `Origin: null`.
    "Referrer-Policy": "same-origin",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
}

MAX_WAITING_RELOADS: Final = 20
"""All of them share one reload, so one person or program needs no more."""


@dataclass(frozen=True, slots=True)
class WebState:
    """What the request handlers read.

    `own_series` are the exporter's own metrics, `vote` is what the time servers say.
    """

    fleet: Fleet
    exposition: Exposition
    own_series: Collector
    host: HostClock
    reloader: ConfigReloader
    poller: Poller
    settings: WebSettings
    vote: VoteSource = lambda _now: Vote()

    @property
    def paths(self) -> WebPaths:
        """Where the pages are."""
        return self.settings.paths

    @property
    def page_settings(self) -> PageSettings:
        """What the pages need of the settings in force."""
        web, thresholds = self.settings, self.reloader.config.thresholds
        return PageSettings(web.telemetry_path, thresholds, web.grafana_url, web.paths.link)

    @property
    def is_ready(self) -> bool:
        """Whether every device was polled once; stays true from then on."""
        return self.reloader.has_all_devices and self.fleet.all_polled


STATE: Final = web.AppKey("state", WebState)
_CONFIG: Final = web.AppKey("config", RenderedText[Any])
_TARGETS: Final = web.AppKey("targets", RenderedText[DeviceTarget])
_FLEET_PAGE: Final = web.AppKey("fleet_page", asyncio.Lock)
"""Held while the page is made: many at once would each take a step in every turn of the loop."""

_DEVICE_PAGE: Final = web.AppKey("device_page", asyncio.Lock)
"""Held while the page of a device is made, so that one is made in a turn of the loop."""

_PIECES: Final = web.AppKey("pieces", asyncio.Lock)
"""Held while a piece of a scrape is made."""

_SLOTS: Final = web.AppKey("slots", ResponseSlots)
_RELOADS: Final = web.AppKey("reloads", WaitingRoom)
_PROBES: Final = web.AppKey("probes", WaitingRoom)
_WITHOUT_A_SLOT: Final = ("/-/healthy", "/-/ready", "/-/reload", "/probe", "/poll")
"""`/probe` takes a slot after it has waited for its poll; the response of `/poll` is short."""


def make_app(state: WebState) -> web.Application:
    """Return the daemon's web application."""
    slots = ResponseSlots()
    limit = limit_responses(slots, [state.paths.route(path) for path in _WITHOUT_A_SLOT])
    not_found = explain_not_found(state.settings.telemetry_path, state.paths)
    app = web.Application(middlewares=[limit, not_found])
    app[STATE] = state
    app[_SLOTS] = slots
    app[_RELOADS] = WaitingRoom(MAX_WAITING_RELOADS, "a reload")
    app[_PROBES] = WaitingRoom(MAX_WAITING, "a poll")
    app[_CONFIG] = RenderedText[Any](
        lambda: [state.reloader.config, *state.reloader.discovered],
        lambda of: dump_redacted(of[0]) + dump_discovered(of[1:]),
    )
    app[_TARGETS] = RenderedText(lambda: state.fleet.targets, render_target_groups)
    app[_FLEET_PAGE] = asyncio.Lock()
    app[_DEVICE_PAGE] = asyncio.Lock()
    app[_PIECES] = asyncio.Lock()
    app.on_response_prepare.append(_add_headers)
    app.add_routes(_routes(state.settings.telemetry_path, state.paths.route))
    if state.paths.routes:
        app.add_routes([web.get("/", _redirect), web.get(state.paths.routes, _redirect)])
    return app


def _routes(telemetry_path: str, at: Callable[[str], str]) -> list[web.RouteDef]:
    """Return the routes; `at` puts the prefix in front of a path."""
    return [
        web.get(at("/"), _status_page),
        web.get(at("/-/healthy"), _healthy),
        web.get(at("/-/ready"), _ready),
        web.post(at("/-/reload"), _reload),
        web.put(at("/-/reload"), _reload),
        web.get(at(telemetry_path), _metrics),
        web.get(at("/probe"), _probe),
        web.post(at("/poll"), _poll),
        web.get(at("/discover"), _discover),
        web.get(at("/config"), _config),
        web.get(at("/static/{version}/{name}"), serve_asset),
        web.get(at("/device"), _device_page),
        web.get(at(r"/device/{name:[\s\S]*}"), _device_page),
    ]


async def _redirect(request: web.Request) -> web.Response:
    """Lead to the fleet's page from `/`, and from the prefix without a slash at its end.

    Only the prefix can be what a proxy has made of the external URL's path.
    """
    paths = request.app[STATE].paths
    location = paths.link("/") if request.path == paths.routes else paths.route("/")
    return web.Response(status=302, headers={hdrs.LOCATION: location})


async def _add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_HEADERS)


async def _healthy(_request: web.Request) -> web.Response:
    return web.Response(text="axis-ntp-exporter is healthy.\n")


async def _ready(request: web.Request) -> web.Response:
    state = request.app[STATE]
    if state.is_ready:
        return web.Response(text="axis-ntp-exporter is ready.\n")
    return web.Response(status=503, text="Not all devices have been polled yet.\n")


async def _reload(request: web.Request) -> web.Response:
    state = request.app[STATE]
    _refuse_foreign_page(request)
    try:
        with request.app[_RELOADS].place():
            await state.reloader.reload()
    except ReloadFailed as failure:
        return web.Response(status=500, text=f"Config reload failed:\n{failure}\n")
    return web.Response(text="Config reloaded.\n")


def _refuse_foreign_page(request: web.Request) -> None:
    """Raise `HTTPForbidden` if a page of another host asks through somebody's browser."""
    state = request.app[STATE]
    refuse_foreign_origin(request, state.paths.origin)
    if state.settings.loopback_only:
        refuse_foreign_host(request, state.paths.origin)


async def _metrics(request: web.Request) -> web.StreamResponse:
    state = request.app[STATE]
    pieces = partial(state.exposition.pieces, state.host.now())
    return await stream_series(request, pieces, request.app[_PIECES], state.own_series)


async def _probe(request: web.Request) -> web.StreamResponse:
    """Serve the series of one configured device; no other address is ever contacted."""
    state = request.app[STATE]
    with request.app[_PROBES].place():
        pieces = await probe_device(request, state.fleet, state.poller, state.host)
    async with request.app[_SLOTS].slot(request):
        return await stream_series(request, pieces, request.app[_PIECES])


async def _poll(request: web.Request) -> web.Response:
    """Poll one configured device early, and lead back to its page."""
    state = request.app[STATE]
    _refuse_foreign_page(request)
    try:
        name = _only(request, "device")
    except BadQuery as problem:
        return _bad_query(request, problem)
    if name not in state.fleet:
        return _no_device(request, name)
    with request.app[_PROBES].place():
        await poll_early(state.fleet[name], state.poller, state.host)
    location = state.paths.link(device_url(name))
    return web.Response(status=303, headers={hdrs.LOCATION: location})


async def _discover(request: web.Request) -> web.Response:
    body = await request.app[_TARGETS].body()
    return web.Response(body=body, content_type="application/json", charset="utf-8")


async def _config(request: web.Request) -> web.Response:
    state = request.app[STATE]
    if state.settings.loopback_only:
        refuse_foreign_host(request, state.paths.origin)
    body = await request.app[_CONFIG].body()
    return web.Response(body=body, content_type="text/plain", charset="utf-8")


async def _status_page(request: web.Request) -> web.Response:
    state = request.app[STATE]
    try:
        query = FleetQuery.parse(request.query)
    except BadQuery as problem:
        return _bad_query(request, problem)
    async with turn(request.app[_FLEET_PAGE], request):
        now = state.host.now()
        describe = partial(
            describe_host_clock,
            state.vote(now),
            now,
            kernel=kernel_says_synchronized(),
            suspect_seconds=state.reloader.config.thresholds.skew.host_clock,
        )
        page = await render_fleet(state.fleet, query, now, state.page_settings, describe)
    return html_response(page)


async def _device_page(request: web.Request) -> web.Response:
    """Serve a device's page; its name is in the path, or in the query if a path cannot hold it."""
    state = request.app[STATE]
    try:
        name = request.match_info.get("name", _only(request, "name"))
    except BadQuery as problem:
        return _bad_query(request, problem)
    async with turn(request.app[_DEVICE_PAGE], request):
        # Held until the next turn of the loop, in which another page may be made.
        await asyncio.sleep(0)
        if name not in state.fleet:
            return _no_device(request, name)
        now = state.host.now()
        page = render_device(state.fleet[name], now, state.vote(now), state.page_settings)
    return html_response(page)


def _only(request: web.Request, parameter: str) -> str:
    """Return a parameter of the URL, empty if it is missing. Raises `BadQuery` for several."""
    refuse_repeated(parameter for _ in request.query.getall(parameter, ()))
    return request.query.get(parameter, "")


def _bad_query(request: web.Request, problem: BadQuery) -> web.Response:
    return _problem(request, "Invalid request", str(problem), 400)


def _problem(request: web.Request, title: str, problem: str, status: int) -> web.Response:
    url_of = request.app[STATE].paths.link
    page = render("problem.html", title=title, problem=problem, url_of=url_of)
    return html_response(page, status)


def _no_device(request: web.Request, name: str) -> web.Response:
    problem = f"No device is named {name}. It may have been removed from the config."
    if not name:
        problem = "The address names no device: it ends with the device's name, /device/NAME."
    return _problem(request, "Device not found", problem, 404)
