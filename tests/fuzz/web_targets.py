"""Targets for what visitors send: queries of the pages, whole requests, and Accept headers."""

import asyncio
import atexit
import re
from contextlib import AsyncExitStack
from functools import cache
from types import SimpleNamespace
from typing import Any, Final
from urllib.parse import quote

from aiohttp import web
from prometheus_client import CollectorRegistry

from exporter.config import Config
from exporter.fleet.registry import Fleet
from exporter.metrics.exposition import Exposition
from exporter.web.listener import run_application
from exporter.web.negotiation import accepts_gzip, negotiate_format
from exporter.web.routes import WebState, make_app
from exporter.web.settings import WebSettings
from exporter.web.web_config.basic_auth import parse_basic
from tests.fuzz.seeds import ACCEPTS, MARKUP, QUERIES, REQUESTS
from tests.fuzz.target import FuzzTarget
from tests.web.pages.site import HOST, fleet

_CONTENT_TYPES: Final = re.compile(
    r"text/plain; version=0\.0\.4; charset=utf-8"
    r"|(text/plain|application/openmetrics-text); version=1\.0\.0; charset=utf-8; "
    r"escaping=(underscores|allow-utf-8)"
)
_PATHS: Final = (b"/?", b"/device?name=", b"/device/", b"/probe?target=", b"/discover?", b"/probe?")
_ANSWERS: Final = {200, 400, 404}
_HEAD: Final = re.compile(rb"HTTP/[0-9]\.[0-9] ([0-9]{3}) [ -~]*\r\n(?:[!-9;-~]+: [ -~]*\r\n)*\r\n")


class _Pipe(asyncio.Transport):
    """The transport of a client that reads everything at once."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1)})
        self.received = b""
        self.closed = False

    def write(self, data: Any) -> None:
        self.received += bytes(data)

    def close(self) -> None:
        self.closed = True

    abort = close

    def is_closing(self) -> bool:
        return self.closed

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        """Nothing else is sent."""

    resume_reading = pause_reading


async def _do_nothing(*_args: object) -> None:
    """Reload nothing, poll nothing."""


def _app() -> web.Application:
    devices, exposition = Fleet(fleet(good=3)), Exposition()
    for device in devices:
        exposition.refresh(device)
    reloader: Any = SimpleNamespace(
        config=Config(), discovered=(), reload=_do_nothing, has_all_devices=True
    )
    poller: Any = SimpleNamespace(poll_now=_do_nothing)
    return make_app(
        WebState(
            devices,
            exposition,
            CollectorRegistry(),
            HOST,
            reloader,
            poller,
            WebSettings((("", 0),)),
        )
    )


class _Site:
    """The daemon's web application, without a socket."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._stack = AsyncExitStack()
        self._runner: web.BaseRunner = self.loop.run_until_complete(
            self._stack.enter_async_context(run_application(_app()))
        )
        atexit.register(self._close)

    def _close(self) -> None:
        self.loop.run_until_complete(self._stack.aclose())
        self.loop.close()

    def send(self, request: bytes) -> bytes:
        """Return what the server sends until it closes the connection or waits for more."""
        return self.loop.run_until_complete(self._send(request))

    async def _send(self, request: bytes) -> bytes:
        connection: Any = self._runner.server
        protocol, pipe = connection(), _Pipe()
        protocol.connection_made(pipe)
        protocol.data_received(request)
        for _ in range(200):
            if pipe.closed:
                break
            await asyncio.sleep(0)
        protocol.connection_lost(None)
        await asyncio.sleep(0)
        return pipe.received


@cache
def _site() -> _Site:
    return _Site()


def page_query(data: bytes) -> None:
    """The first byte chooses the page and whether what follows is percent-encoded first."""
    choice, text = (data[0] if data else 0), data[1:]
    encoded = text if choice & 64 else quote(text, safe="&=").encode()
    target = _PATHS[choice % len(_PATHS)] + encoded
    response = _site().send(b"GET %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" % target)
    status = _status(response)
    assert status in _ANSWERS, f"{status}"
    assert b"Traceback" not in response
    if not choice & 64:
        _check_page(response)


def _check_page(response: bytes) -> None:
    head, _, body = response.partition(b"\r\n\r\n")
    assert b"X-Content-Type-Options: nosniff" in head
    assert b"Content-Security-Policy: default-src 'none'" in head
    body.decode()
    if b"text/html" in head:
        assert MARKUP not in body, "text from the URL is not escaped"


def _status(response: bytes) -> int:
    first = _HEAD.match(response)
    assert first is not None, f"not HTTP: {response[:200]!r}"
    return int(first[1])


def web_request(data: bytes) -> None:
    """All that a client sends. The server answers, waits for more, or closes the connection."""
    response = _site().send(data)
    if response:
        status = _status(response)
        assert status in _ANSWERS | {100, 403, 405, 411, 413, 417, 501}, f"{status}"


def accept(data: bytes) -> None:
    """Each line is a header, once as `Accept` and once as `Accept-Encoding`."""
    headers = data.decode(errors="surrogateescape").split("\n")
    form, content_type = negotiate_format(headers)
    assert _CONTENT_TYPES.fullmatch(content_type), content_type
    assert content_type.startswith(f"{form.media_type}; version={form.version};")
    # Asking for exactly what was answered gives the same.
    assert negotiate_format([content_type]) == (form, content_type)
    assert isinstance(accepts_gzip(headers), bool)
    if "gzip" not in (joined := ",".join(headers).lower()) and "*" not in joined:
        assert not accepts_gzip(headers)
    _check_basic(headers[0])


def _check_basic(header: str) -> None:
    credentials = parse_basic(header)
    assert credentials is None or b":" not in credentials[0]


WEB_TARGETS: Final = (
    FuzzTarget("page-query", page_query, QUERIES),
    FuzzTarget("web-request", web_request, REQUESTS),
    FuzzTarget("accept", accept, ACCEPTS),
)
