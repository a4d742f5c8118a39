"""The answer to a path that does not exist: what exists instead, as a page or as text."""

from typing import Final, NamedTuple

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from exporter.system.text import escaped
from exporter.web.negotiation import prefers_html
from exporter.web.pages.assets import html_response, render

_MAX_SHOWN_CHARACTERS: Final = 200


class ServedPath(NamedTuple):
    """Something that exists; `is_page` is whether a browser can show it as it is."""

    path: str
    what: str
    is_page: bool = True


def served_paths(telemetry_path: str) -> tuple[ServedPath, ...]:
    """Return what the exporter serves."""
    return (
        ServedPath("/", "the fleet"),
        ServedPath("/device/NAME", "one device", is_page=False),
        ServedPath(telemetry_path, "all series, for Prometheus"),
        ServedPath("/probe?target=NAME", "the series of one device", is_page=False),
        ServedPath("/poll?device=NAME", "polls one device now, with POST", is_page=False),
        ServedPath("/discover", "the devices as targets, for Prometheus's HTTP SD"),
        ServedPath("/config", "the config in force, without secrets"),
        ServedPath("/-/healthy", "whether the exporter is alive"),
        ServedPath("/-/ready", "whether every device was polled once"),
        ServedPath("/-/reload", "loads the config again, with POST", is_page=False),
    )


def explain_not_found(telemetry_path: str) -> Middleware:
    """Return a middleware that answers requests for paths that do not exist."""
    existing = served_paths(telemetry_path)

    @web.middleware
    async def explain(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not isinstance(request.match_info.http_exception, web.HTTPNotFound):
            return await handler(request)
        path = escaped(request.path[:_MAX_SHOWN_CHARACTERS])
        if prefers_html(request.headers.getall("Accept", ())):
            return html_response(render("not_found.html", path=path, endpoints=existing), 404)
        lines = [f"There is no page at {path}. There are:"]
        lines += [f"  {each.path}  {each.what}" for each in existing]
        return web.Response(status=404, text="\n".join(lines) + "\n")

    return explain
