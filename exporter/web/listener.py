"""Serves the web application on its addresses, and answers requests that fail.

For a malformed request, aiohttp logs an error with the raw bytes, which may hold a password, and
repeats them in its response, without our headers. The connections made here do neither.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from http import HTTPStatus
from ssl import SSLContext
from typing import Any, Final, cast

import structlog
from aiohttp import hdrs, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import HttpProcessingError
from aiohttp.http_exceptions import BadHttpMessage

from exporter.config import ConfigError
from exporter.system.addresses import format_address
from exporter.system.background import in_background
from exporter.web.handshake import Handshake
from exporter.web.limits import ConnectionLimit, UnreadWatch
from exporter.web.settings import WebSettings
from exporter.web.web_config.live import LiveWebConfig

KEEPALIVE_SECONDS: Final = 120.0
"""How long a connection may be idle or take to send a request's head; scrapes come more often."""

REQUEST_BYTES: Final = 128 * 1024
"""The most bytes that a client may send between two responses; a request has some hundreds."""

_SHUTDOWN_SECONDS: Final = 0.5

_log = structlog.get_logger()


class CannotServe(Exception):
    """An address or the web-config cannot be used; `str()` says why."""


@asynccontextmanager
async def serve(app: web.Application, settings: WebSettings) -> AsyncIterator[list[str]]:
    """Serve an application and log its addresses; yields its URLs. Raises `CannotServe`."""
    limit = ConnectionLimit(settings.max_connections)
    async with (
        _apply_web_config(app, settings) as tls,
        run_application(app, limit=limit, tls=tls) as runner,
    ):
        for host, port in settings.listen:
            await _listen(runner, host, port)
        scheme = "http" if tls is None else "https"
        addresses = [format_address(*address[:2]) for address in runner.addresses]
        for address in addresses:
            _log.info("web.listening", address=address, scheme=scheme)
        yield [f"{scheme}://{address}" for address in addresses]


@asynccontextmanager
async def _apply_web_config(
    app: web.Application, settings: WebSettings
) -> AsyncIterator[SSLContext | None]:
    """Protect an application with its web-config, if any; yields the TLS context to listen with."""
    if settings.config_file is None:
        yield None
        return
    try:
        live = LiveWebConfig(settings.config_file)
    except ConfigError as error:
        raise CannotServe(str(error)) from error
    live.protect(app, settings.paths)
    async with in_background(live.watch()):
        yield live.tls


@asynccontextmanager
async def run_application(
    app: web.Application,
    shutdown_seconds: float = _SHUTDOWN_SECONDS,
    limit: ConnectionLimit | None = None,
    tls: SSLContext | None = None,
) -> AsyncIterator[web.BaseRunner]:
    """Start an application; yields a runner for the sites that listen, without a TLS context."""
    app.on_response_prepare.append(_allow_another_request)
    runner = _Runner(app, limit or ConnectionLimit(), tls, shutdown_timeout=shutdown_seconds)
    await runner.setup()
    try:
        yield runner
    finally:
        await runner.cleanup()


async def _listen(runner: web.BaseRunner, host: str, port: int) -> None:
    try:
        await web.TCPSite(runner, host or None, port).start()
    except (OSError, UnicodeError) as problem:
        reason = getattr(problem, "strerror", None) or str(problem)
        hint = "choose another address with --web.listen-address"
        message = f"cannot listen on {format_address(host, port)}: {reason}; {hint}"
        raise CannotServe(message) from problem


class _Runner(web.AppRunner):
    """Runs an application on `_Connection`s.

    aiohttp has no setting for the class of connections, but a site calls `server` to make one.
    """

    def __init__(
        self,
        app: web.Application,
        limit: ConnectionLimit,
        tls: SSLContext | None,
        *,
        shutdown_timeout: float,
    ) -> None:
        super().__init__(app, shutdown_timeout=shutdown_timeout)
        self._limit = limit
        self._tls = tls

    @property
    def server(self) -> Any:  # noqa: ANN401 - the function that sites call, not aiohttp's `Server`
        server = super().server
        if server is None:
            return None
        make = partial(_Connection, self.app, server, self._limit)
        return make if self._tls is None else partial(Handshake, self._tls, self._limit, make)


class _Connection(web.RequestHandler):
    """A connection of limited use, which answers requests that fail."""

    def __init__(self, app: web.Application, server: web.Server, limit: ConnectionLimit) -> None:
        settings: dict[str, Any] = {
            "access_log": None,
            "keepalive_timeout": KEEPALIVE_SECONDS,
            # No request needs a body, and a small one could be unpacked to a very large one.
            "auto_decompress": False,
        }
        super().__init__(server, loop=asyncio.get_running_loop(), **settings)
        self._app = app
        self._limit = limit
        self._unread: UnreadWatch | None = None
        self._budget_bytes = REQUEST_BYTES

    def allow_another_request(self) -> None:
        """Accept the bytes of another request: a response begins."""
        self._budget_bytes = REQUEST_BYTES

    def data_received(self, data: bytes) -> None:
        """Parse bytes within the budget; end the connection beyond it."""
        self._budget_bytes -= len(data)
        if self._budget_bytes >= 0:
            super().data_received(data)
        elif self.transport is not None:
            _log.debug("web.request_too_long", limit_bytes=REQUEST_BYTES)
            self.transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to count the connection, and to watch whether the client reads."""
        super().connection_made(transport)
        # uvloop's transports are no instances of asyncio's classes.
        itself = cast("asyncio.Transport", transport)
        self._unread = UnreadWatch(itself)
        self._limit.add(self, itself)

    def resume_writing(self) -> None:
        """Write on: enough bytes have left."""
        if self._unread is not None:
            self._unread.has_read()
        super().resume_writing()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Count and watch no longer."""
        if self._unread is not None:
            self._unread.stop()
        self._limit.remove(self)
        super().connection_lost(exc)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = HTTPStatus.INTERNAL_SERVER_ERROR,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - quotes the request
    ) -> web.StreamResponse:
        """Return the response to a malformed request (400) or after a handler failed (500)."""
        if isinstance(exc, UnicodeEncodeError) and hdrs.EXPECT in request.headers:
            # aiohttp's response to an unknown `Expect` quotes it, and it may not be UTF-8.
            status, exc = HTTPStatus.BAD_REQUEST, BadHttpMessage(hdrs.EXPECT)
        _log_failure(exc or sys.exception(), address=request.remote, path=request.path)
        if request.writer.output_size > 0:
            # Makes aiohttp close the connection: a second response cannot follow a partial one.
            raise ConnectionError("a response has already been started")
        is_malformed = status == HTTPStatus.BAD_REQUEST
        return _ErrorResponse(self._app, HTTPStatus(400 if is_malformed else 500))

    def log_exception(self, *_args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - as in logging
        """Log a body that ends too early, or an error of ours during a response."""
        error = kwargs.get("exc_info")
        # aiohttp's own: a response ended just when the shutdown no longer waited for it.
        if not isinstance(error, asyncio.InvalidStateError):
            _log_failure(error)


async def _allow_another_request(request: web.Request, _response: web.StreamResponse) -> None:
    if isinstance(request.protocol, _Connection):
        request.protocol.allow_another_request()


def _log_failure(problem: BaseException | None, **where: str | None) -> None:
    """Log a client's mistake at debug level by its type, an error of ours with its traceback."""
    if isinstance(problem, ConnectionError):
        _log.debug("web.client_disconnected", **where)
    elif isinstance(problem, HttpProcessingError | web.RequestPayloadError):
        # Not its text: it quotes what the client sent.
        _log.debug("web.malformed_request", **where, problem=type(problem).__name__)
    else:
        _log.error("web.internal_error", **where, exc_info=problem)


class _ErrorResponse(web.Response):
    """A status and its phrase, with our usual headers; the connection closes after it."""

    def __init__(self, app: web.Application, status: HTTPStatus) -> None:
        super().__init__(status=status, text=f"{status.phrase}\n")
        self.force_close()
        self._app = app

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Add our headers first: aiohttp sends this signal only for requests that were routed."""
        if isinstance(request, web.Request):
            await self._app.on_response_prepare.send(request, self)
        return await super().prepare(request)
