"""Page templates, the static files that pages load, and the URLs that pages link to."""

import hashlib
import re
from importlib.resources import files
from typing import Final
from urllib.parse import quote, urlencode

from aiohttp import hdrs, web
from jinja2 import Environment, PackageLoader, StrictUndefined

from exporter import __version__
from exporter.web.pages.chart import format_kept_offset, format_measured, format_result
from exporter.web.pages.format import format_ago, format_count, format_elapsed, format_time
from exporter.web.pages.links import alert_of, runbook_url

_CONTENT_TYPES: Final = {
    "status.css": "text/css",
    "device.css": "text/css",
    "status.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}
_FILES: Final = {
    name: files("exporter.web.pages").joinpath("static", name).read_bytes()
    for name in _CONTENT_TYPES
}
_VERSIONS: Final = {name: hashlib.sha256(body).hexdigest()[:12] for name, body in _FILES.items()}
_CACHE_FOREVER: Final = "public, max-age=31536000, immutable"


def asset_url(name: str) -> str:
    """Return the path of a static file; it changes with the contents, so browsers may cache it."""
    return f"/static/{_VERSIONS[name]}/{name}"


async def serve_asset(request: web.Request) -> web.Response:
    """Serve a static file. Raises `HTTPNotFound` for an unknown name or an outdated version."""
    name = request.match_info["name"]
    if _VERSIONS.get(name) != request.match_info["version"]:
        raise web.HTTPNotFound
    return web.Response(
        body=_FILES[name],
        content_type=_CONTENT_TYPES[name],
        charset="utf-8",
        headers={hdrs.CACHE_CONTROL: _CACHE_FOREVER},
    )


def device_url(name: str) -> str:
    """Return the path of a device's page."""
    if name in (".", ".."):
        # Browsers resolve these as path segments, however they are encoded.
        return f"/device?{urlencode({'name': name})}"
    return f"/device/{quote(name, safe='')}"


def probe_url(name: str) -> str:
    """Return the path of a device's series for multi-target scraping."""
    return f"/probe?{urlencode({'target': name})}"


def poll_url(name: str) -> str:
    """Return the path to which the button that polls a device posts."""
    return f"/poll?{urlencode({'device': name})}"


_CONTROL_CHARACTERS: Final = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f]")

# Autoescape: names, addresses and errors come from config files and devices.
_TEMPLATES: Final = Environment(
    loader=PackageLoader("exporter.web.pages"),
    autoescape=True,
    # An upgrade replaces the files while the old code still runs.
    auto_reload=False,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.globals |= {"asset_url": asset_url, "device_url": device_url, "version": __version__}
_TEMPLATES.filters |= {
    "alert": alert_of,
    "runbook": runbook_url,
    "ago": format_ago,
    "count": format_count,
    "elapsed": format_elapsed,
    "kept_offset": format_kept_offset,
    "measured": format_measured,
    "result": format_result,
    "utc": format_time,
}

# Compiled before the first request: that takes 50 ms, during which no poll could begin.
_COMPILED: Final = {
    name: _TEMPLATES.get_template(name) for name in _TEMPLATES.list_templates(["html"])
}


def html_response(page: str, status: int = 200) -> web.Response:
    """Return the response with a page, which browsers may not keep."""
    headers = {hdrs.CACHE_CONTROL: "no-cache"}
    return web.Response(status=status, text=page, content_type="text/html", headers=headers)


def render(template: str, **values: object) -> str:
    """Return the page that a template makes from these values.

    Templates write each path of the exporter as `url_of(path)`, which is one of these values.

    Control characters, which URLs and names may contain, are replaced: HTML has none.
    """
    return _CONTROL_CHARACTERS.sub("\N{REPLACEMENT CHARACTER}", _COMPILED[template].render(values))
