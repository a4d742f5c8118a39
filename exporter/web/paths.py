"""Where the pages are: as this process is asked for them, and as links in pages lead to them.

`healthcheck` uses this too, so it imports nothing slow.
"""

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class WebPaths:
    """How all paths begin: each prefix is empty, or `/clocks` without a slash at its end.

    A proxy may remove or change what `links` in pages begin with, so that `routes` of this process
    begin otherwise. `origin` is that of the external URL (RFC 6454 §6.2), empty if unknown.
    """

    routes: str = ""
    links: str = ""
    origin: str = ""

    def route(self, path: str) -> str:
        """Return where this process serves a path."""
        return self.routes + path

    def link(self, path: str) -> str:
        """Return where a browser finds a path."""
        return self.links + path

    def as_link(self, requested: str) -> str:
        """Return a requested path as the browser that asked for it shows it."""
        if not requested.startswith(f"{self.routes}/"):
            return requested
        return self.link(requested.removeprefix(self.routes))


NO_PREFIX: Final = WebPaths()


def make_paths(external_url: str, route_prefix: str | None) -> WebPaths:
    """Return the paths for a URL without a slash at its end, or empty, and a prefix of routes.

    As in Prometheus, the path of the external URL is the prefix if there is no other (`None`).
    """
    path = urlsplit(external_url).path
    routes = path if route_prefix is None else route_prefix
    return WebPaths(routes, path if external_url else routes, _origin(external_url))


def _origin(url: str) -> str:
    """Return a URL's origin as browsers write it; empty for an empty URL."""
    if not url:
        return ""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    is_default = parts.port in (None, _DEFAULT_PORTS[parts.scheme])
    return f"{parts.scheme}://{host}" + ("" if is_default else f":{parts.port}")
