"""`--web.external-url` and `--web.route-prefix`, with which all paths begin, as in Prometheus.

`healthcheck` has them too, so this imports nothing slow.
"""

import argparse
import re
from typing import Final
from urllib.parse import urlsplit

from exporter.web.paths import WebPaths, make_paths

_PATH: Final = re.compile(r"(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9._~-]+)*")
"""Segments of characters that every proxy and browser leaves as they are (RFC 3986 §2.3)."""

_HOST: Final = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")


def add_paths(parser: argparse.ArgumentParser) -> None:
    """Add the flags."""
    parser.add_argument(
        "--web.external-url",
        dest="external_url",
        type=external_url,
        metavar="URL",
        help="the URL of the exporter for browsers, if a proxy stands before it; links in pages "
        "begin with its path",
    )
    parser.add_argument(
        "--web.route-prefix",
        dest="route_prefix",
        type=route_prefix,
        metavar="PATH",
        help="how all paths begin, as this process is asked for them (default: the path of "
        "--web.external-url, else /)",
    )


def paths_of(arguments: argparse.Namespace) -> WebPaths:
    """Return the paths that the flags say."""
    return make_paths(arguments.external_url or "", arguments.route_prefix)


def external_url(text: str) -> str:
    """Return a URL without a slash at its end. Raises `argparse.ArgumentTypeError`."""
    url = text.rstrip("/")
    if not text or _is_external_url(url):
        return url
    raise argparse.ArgumentTypeError(
        f"{_shown(text)} is not a URL such as https://monitoring.example/clocks: write http:// or "
        "https://, the host, and perhaps a port and a path of letters, digits and - . _ ~; no "
        "query, name or password"
    )


def _is_external_url(url: str) -> bool:
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    if scheme.lower() not in ("http", "https") or not _HOST.fullmatch(host):
        return False
    try:
        parts = urlsplit(url)
        return parts.port != 0 and bool(parts.hostname and _PATH.fullmatch(slash + path))
    except ValueError:
        return False


def route_prefix(text: str) -> str | None:
    """Return a prefix without a slash at its end; `None` without one to use.

    As in Prometheus, slashes around it make no difference. Raises `argparse.ArgumentTypeError`.
    """
    if not text:
        return None
    prefix = f"/{text.removeprefix('/')}".rstrip("/")
    if _PATH.fullmatch(prefix) and not text.startswith("//"):
        return prefix
    raise argparse.ArgumentTypeError(
        f"{_shown(text)} is not a path such as /clocks: write letters, digits and - . _ ~ between "
        "single slashes"
    )


def _shown(text: str) -> str:
    """Return what to say of a wrong value: what stands before an @ may be a password."""
    return "a text with @" if "@" in text else repr(text)
