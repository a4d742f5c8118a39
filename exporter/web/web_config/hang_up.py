"""An end without an answer, for connections that would not be made any more."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.typedefs import Middleware


def hang_up_on(is_shut_out: Callable[[web.Request], bool]) -> Middleware:
    """A middleware that closes the connection of a request before anybody looks at it.

    Who may still come asks again on a new one: Prometheus by itself, as where a connection that
    lay idle was closed just then.
    """

    @web.middleware
    async def hang_up(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if not is_shut_out(request):
            return await handler(request)
        request.protocol.force_close()
        # aiohttp wants one; it gets to nobody.
        return web.Response(status=403)

    return hang_up
