"""Clients of the web application over TLS."""

from __future__ import annotations

import ssl
from typing import Any

import aiohttp

from tests.support.web_config import TLS
from tests.web.web_config.site import Site


def with_tls(**more: Any) -> dict[str, Any]:
    return {"tls_server_config": TLS["tls_server_config"] | more}


REQUIRED = with_tls(client_auth_type="RequireAndVerifyClientCert", client_ca_file="ca.pem")


async def is_admitted(served: Site, tls: ssl.SSLContext) -> bool:
    try:
        status, _ = await served.get(tls=tls)
    except aiohttp.ClientError:
        return False
    return status == 200
