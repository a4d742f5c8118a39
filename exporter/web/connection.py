"""Connections of visitors: aiohttp's, but none of a visitor's words gets into log or answer.

aiohttp logs a malformed request as an error, with a traceback and the very bytes: a password
among them, and as many lines as anybody cares to cause. It answers with those bytes too, and
without the headers of the application.
"""

from __future__ import annotations

import asyncio
import sys
from http import HTTPStatus
from typing import Any, Final

import structlog
from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import HttpProcessingError

KEEPALIVE_SECONDS: Final = 120.0
"""How long a connection may lie idle, or take for the head of a request; scrapes come oftener."""

_OF_THE_VISITOR: Final = (HttpProcessingError, web.RequestPayloadError)

_log = structlog.get_logger()


class Runner(web.AppRunner):
    """Runs an application on connections of ours."""

    async def _make_server(self) -> web.Server:
        return _Server(self.app, await super()._make_server())


class _Server(web.Server):
    def __init__(self, app: web.Application, of_aiohttp: web.Server) -> None:
        super().__init__(of_aiohttp.request_handler, request_factory=of_aiohttp.request_factory)
        self._app = app

    def __call__(self) -> web.RequestHandler:
        return _Connection(self._app, self)


class _Connection(web.RequestHandler):
    """One connection. Both methods are aiohttp's, called by it where something failed."""

    def __init__(self, app: web.Application, server: web.Server) -> None:
        settings: dict[str, Any] = {"access_log": None, "keepalive_timeout": KEEPALIVE_SECONDS}
        super().__init__(server, loop=asyncio.get_running_loop(), **settings)
        self._app = app

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = HTTPStatus.INTERNAL_SERVER_ERROR,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - the visitor's own words
    ) -> web.StreamResponse:
        """The answer to a request that is malformed (400), or on which a handler failed."""
        _tell(exc or sys.exception(), address=request.remote, path=request.path)
        if request.writer.output_size > 0:
            # So aiohttp wants it: the connection breaks, as no second answer can follow.
            raise ConnectionError("an answer has begun already")
        is_malformed = status == HTTPStatus.BAD_REQUEST
        return _Failure(self._app, HTTPStatus(400 if is_malformed else 500))

    def log_exception(self, *_args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - as in logging
        """A body that breaks off, or a fault of ours while an answer is on its way."""
        _tell(kwargs.get("exc_info"))


def _tell(problem: BaseException | None, **where: str | None) -> None:
    """A visitor's fault by its kind, to who debugs; one of ours with its traceback."""
    if isinstance(problem, ConnectionError):
        _log.debug("web.visitor_left", **where)
    elif isinstance(problem, _OF_THE_VISITOR):
        # Without its text: that is bytes that were sent.
        _log.debug("web.malformed_request", **where, problem=type(problem).__name__)
    else:
        _log.error("web.internal_error", **where, exc_info=problem)


class _Failure(web.Response):
    """A status in words, with the headers of every answer; the connection ends with it."""

    def __init__(self, app: web.Application, status: HTTPStatus) -> None:
        super().__init__(status=status, text=f"{status.phrase}\n")
        self.force_close()
        self._app = app

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """As any answer; aiohttp asks nobody for headers where a request came to no route."""
        if isinstance(request, web.Request):
            await self._app.on_response_prepare.send(request, self)
        return await super().prepare(request)
