"""The answer to a path that does not exist: what exists instead, as a page or as text."""

from typing import Final, NamedTuple

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from exporter.system.text import escaped
from exporter.web.negotiation import prefers_html
from exporter.web.pages.assets import html_response, render
from exporter.web.paths import WebPaths

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


def explain_not_found(telemetry_path: str, paths: WebPaths) -> Middleware:
    """Return a middleware that answers requests for paths that do not exist.

    A page shows paths as browsers find them, a text as this process serves them.
    """
    existing = served_paths(telemetry_path)

    @web.middleware
    async def explain(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not isinstance(request.match_info.http_exception, web.HTTPNotFound):
            return await handler(request)
        path = request.path[:_MAX_SHOWN_CHARACTERS]
        if prefers_html(request.headers.getall("Accept", ())):
            shown, url_of = escaped(paths.as_link(path)), paths.link
            page = render("not_found.html", path=shown, endpoints=existing, url_of=url_of)
            return html_response(page, 404)
        lines = [f"There is no page at {escaped(path)}. There are:"]
        lines += [f"  {paths.route(each.path)}  {each.what}" for each in existing]
        return web.Response(status=404, text="\n".join(lines) + "\n")

    return explain
