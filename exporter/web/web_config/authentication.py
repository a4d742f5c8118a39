"""Who gets an answer: Basic authentication (RFC 7617) in front of every page but health's."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import hdrs, web
from aiohttp.typedefs import Middleware

from exporter.web.web_config.basic_auth import Accounts, TooManyChecks

OPEN_PATHS: Final = frozenset({"/-/healthy", "/-/ready"})
"""What needs no password: whoever restarts or routes around us has none."""

_CHALLENGE: Final = 'Basic realm="axis-ntp-exporter", charset="UTF-8"'
_RETRY_AFTER_SECONDS: Final = 1


def ask_for_password(accounts: Callable[[], Accounts | None]) -> Middleware:
    """A middleware that lets in whom `accounts()` admits; everybody where there are none."""

    @web.middleware
    async def authenticate(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        those_in_force = accounts()
        if those_in_force is None or _is_open(request):
            return await handler(request)
        refusal = await _refusal(request, those_in_force)
        # Not `or`: a response is a mapping as well, true only by aiohttp's good will.
        return await handler(request) if refusal is None else refusal

    return authenticate


def _is_open(request: web.Request) -> bool:
    # The route, not the path: what will be answered counts, however it was spelled.
    resource = request.match_info.route.resource
    return resource is not None and resource.canonical in OPEN_PATHS


async def _refusal(request: web.Request, accounts: Accounts) -> web.Response | None:
    """`None` for who may come in."""
    credentials = read_basic(request.headers.get(hdrs.AUTHORIZATION, ""))
    if credentials is None:
        return _unauthorized()
    try:
        admitted = await accounts.admit(*credentials, address=request.remote or "")
    except TooManyChecks:
        return _come_back_later()
    return None if admitted else _unauthorized()


def read_basic(header: str) -> tuple[bytes, bytes] | None:
    """Name and password of an `Authorization` header; `None` if it is not of Basic's form."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        decoded = base64.b64decode(encoded.strip(" "), validate=True)
    except (binascii.Error, ValueError):
        return None
    name, colon, password = decoded.partition(b":")
    return (name, password) if colon else None


def _unauthorized() -> web.Response:
    headers = {hdrs.WWW_AUTHENTICATE: _CHALLENGE}
    return web.Response(status=401, text="Unauthorized\n", headers=headers)


def _come_back_later() -> web.Response:
    headers = {hdrs.RETRY_AFTER: str(_RETRY_AFTER_SECONDS)}
    return web.Response(status=429, text="Too Many Requests\n", headers=headers)
