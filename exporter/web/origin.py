"""Refuses requests that a page of another host sends from an operator's browser.

The browser sends the page's host in `Origin` (RFC 6454). With DNS rebinding, a foreign name points
to loopback: the browser then takes the page for ours, but the foreign name is in `Host`.
"""

from urllib.parse import urlsplit

from aiohttp import hdrs, web

from exporter.system.addresses import is_loopback


def refuse_foreign_origin(request: web.Request, external_origin: str = "") -> None:
    """Raise `HTTPForbidden` if a page of another host asks; `external_origin` is ours, too.

    A proxy may change `Host`. Then a browser's own word helps, which no page can set
    (Fetch Metadata, "Sec-Fetch-Site").
    """
    if request.headers.getall("Sec-Fetch-Site", ()) == ["same-origin"]:
        return
    own = _host_name(f"//{request.headers.get(hdrs.HOST, '')}")
    for origin in request.headers.getall(hdrs.ORIGIN, ()):
        is_external = bool(external_origin) and origin == external_origin
        # Of the external URL's host, other schemes and ports are other sites.
        is_beside = bool(external_origin) and _host_name(origin) == _host_name(external_origin)
        # A page without an origin, as in a sandboxed frame, sends `null`.
        if not is_external and (is_beside or not own or _host_name(origin) != own):
            raise web.HTTPForbidden(
                text="Refused: a page of another host asks for this (`Origin`). "
                "Use the exporter's own page, or curl; for a reload, SIGHUP works too. "
                "Behind a proxy, start the exporter with --web.external-url.\n"
            )


def refuse_foreign_host(request: web.Request, external_origin: str = "") -> None:
    """Raise `HTTPForbidden` if the client asks for a host that is not this one's loopback.

    The host of `external_origin` is accepted too: a proxy may keep it in `Host`.
    """
    external = _host_name(external_origin)
    for host in request.headers.getall(hdrs.HOST, ()):
        name = _host_name(f"//{host}")
        if not is_loopback(name) and (not external or name != external):
            raise web.HTTPForbidden(
                text="Refused: the exporter listens on loopback only, and this is a request for "
                "another host (`Host`). Use http://localhost with the exporter's port; behind "
                "a proxy, start the exporter with --web.external-url.\n"
            )


def _host_name(url: str) -> str:
    """Return the lower-case host of a URL, without brackets; empty if it has none."""
    try:
        return (urlsplit(url).hostname or "").removesuffix(".")
    except ValueError:
        return ""
