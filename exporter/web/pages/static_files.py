"""The few files that pages load: style, script, icon. Read once; their URLs change with them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from aiohttp import hdrs, web

_CONTENT_TYPES: Final = {
    "status.css": "text/css",
    "status.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}
_FOR_EVER: Final = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class _Asset:
    body: bytes
    content_type: str
    version: str


def _read(name: str, content_type: str) -> _Asset:
    body = files("exporter.web.pages").joinpath("static", name).read_bytes()
    return _Asset(body, content_type, hashlib.sha256(body).hexdigest()[:12])


_ASSETS: Final = {name: _read(name, kind) for name, kind in _CONTENT_TYPES.items()}


def asset_url(name: str) -> str:
    """Where a file is; another place for other contents, so that browsers may keep it."""
    return f"/static/{_ASSETS[name].version}/{name}"


async def serve_asset(request: web.Request) -> web.Response:
    """A file. Raises `HTTPNotFound` for what is none, and for contents that are no longer."""
    asset = _ASSETS.get(request.match_info["name"])
    if asset is None or asset.version != request.match_info["version"]:
        raise web.HTTPNotFound
    return web.Response(
        body=asset.body,
        content_type=asset.content_type,
        charset="utf-8",
        headers={hdrs.CACHE_CONTROL: _FOR_EVER},
    )
