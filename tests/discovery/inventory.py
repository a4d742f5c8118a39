"""A NetBox-like server of targets: over TLS of a private CA, and only for who has its token."""

import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import trustme
from aiohttp import web

TOKEN: Final = "0123456789abcdef-token"

TARGETS: Final = [
    {"targets": [f"Cam {n}"], "labels": {"__meta_netbox_primary_ip": f"10.0.0.{n}"}} for n in (7, 8)
]
"""The targets are names, as in NetBox: they may be no addresses."""


def netbox_device(name: str, address: str) -> dict[str, Any]:
    """A device as netbox-plugin-prometheus-sd lists it, with the labels that it always has."""
    labels = {
        "status": "active",
        "model": "Device",
        "name": name,
        "primary_ip": address,
        "role": "Camera",
        "role_slug": "camera",
        "device_type": "P3245-LV",
        "device_type_slug": "p3245-lv",
        "site": "Headquarters",
        "site_slug": "hq",
    }
    return {
        "targets": [name],
        "labels": {f"__meta_netbox_{label}": value for label, value in labels.items()},
    }


@dataclass
class Inventory:
    """A running server, and the heads and queries of the requests that it got."""

    port: int
    ca_file: Path
    requests: list[dict[str, str]] = field(default_factory=list)
    queries: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}/api/plugins/prometheus-sd/devices/"


@asynccontextmanager
async def serving_inventory(
    folder: Path, *, redirect: str = "", targets: Sequence[dict[str, Any]] = TARGETS
) -> AsyncIterator[Inventory]:
    """Serve the targets, or a redirect to another URL."""
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    ca_file = folder / f"ca-{id(authority)}.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    inventory = Inventory(0, ca_file)

    async def answer(request: web.Request) -> web.Response:
        inventory.requests.append({name.lower(): each for name, each in request.headers.items()})
        inventory.queries.append(request.query_string)
        if redirect:
            raise web.HTTPFound(redirect)
        if request.headers.get("Authorization") != f"Token {TOKEN}":
            raise web.HTTPForbidden
        return web.json_response([*targets])

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "localhost", 0, ssl_context=context)
    try:
        await site.start()
        inventory.port = runner.addresses[0][1]
        yield inventory
    finally:
        await runner.cleanup()
