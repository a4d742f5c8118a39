"""A scrape is sent in pieces, between which polls go on; pieces compressed apart are one gzip."""

import asyncio
import gzip
import zlib
from collections.abc import Iterator

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st

from exporter.metrics.exposition import Form, T
from exporter.web.listener import run_application
from exporter.web.metrics_endpoint import deflate, gzip_stream, stream_series
from tests.support.programs import LOOPBACK
from tests.support.turns import counting_turns

PIECES = 10


def pieces(*, openmetrics: bool, form: Form[T]) -> Iterator[T]:
    del openmetrics
    yield from [form(b"piece\n")] * PIECES


def sink(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take every response like a socket with room in its buffer: the caller never waits."""

    async def take(*_: object) -> None:
        pass

    for name in ("prepare", "write", "write_eof"):
        monkeypatch.setattr(web.StreamResponse, name, take)


@pytest.mark.parametrize("headers", [{}, {"Accept-Encoding": "gzip"}])
async def test_other_tasks_run_after_each_piece(
    headers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sink(monkeypatch)
    async with counting_turns() as turns:
        await stream_series(make_mocked_request("GET", "/metrics", headers), pieces, asyncio.Lock())
    assert turns.count >= PIECES


@given(st.lists(st.binary(max_size=100_000) | st.just(b"axis_ntp_up 1.0\n" * 5000), max_size=5))
def test_pieces_compressed_apart_are_one_gzip_member(texts: list[bytes]) -> None:
    zipped = b"".join(gzip_stream(map(deflate, texts)))
    assert gzip.decompress(zipped) == b"".join(texts)
    # A reader that knows only one member, as curl's, has read everything.
    member = zlib.decompressobj(16 + zlib.MAX_WBITS)
    assert member.decompress(zipped) == b"".join(texts)
    assert member.eof
    assert member.unused_data == b""


async def test_many_scrapes_at_once_make_one_piece_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise each of them would hold up the polls by a piece in every turn of the loop."""
    made, most, one_at_a_time = 0, 0, asyncio.Lock()

    def counted(*, openmetrics: bool, form: Form[T]) -> Iterator[T]:
        nonlocal made
        for piece in pieces(openmetrics=openmetrics, form=form):
            made += 1
            yield piece

    async def watch() -> None:
        nonlocal most
        while True:
            before = made
            await asyncio.sleep(0)
            most = max(most, made - before)

    sink(monkeypatch)
    watching = asyncio.create_task(watch())
    scrapes = (
        stream_series(make_mocked_request("GET", "/metrics"), counted, one_at_a_time)
        for _ in range(40)
    )
    await asyncio.gather(*scrapes)
    watching.cancel()
    assert (made, most) == (40 * PIECES, 1)


async def test_no_more_pieces_are_made_for_a_client_that_has_left() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    def endless(*, openmetrics: bool, form: Form[T]) -> Iterator[T]:
        del openmetrics
        begun.set()
        while True:
            # As while the state of all devices is taken: nothing to write yet.
            yield form(b"")

    async def respond(request: web.Request) -> web.StreamResponse:
        try:
            return await stream_series(request, endless, asyncio.Lock())
        finally:
            ended.set()

    app = web.Application()
    app.add_routes([web.get("/metrics", respond)])
    async with asyncio.timeout(10), run_application(app, shutdown_seconds=0.1) as runner:
        await web.TCPSite(runner, LOOPBACK, 0).start()
        _, writer = await asyncio.open_connection(*runner.addresses[0])
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        await begun.wait()
        writer.close()
        await ended.wait()


async def test_http_1_0_with_keep_alive_ends_with_its_connection() -> None:
    async def respond(request: web.Request) -> web.StreamResponse:
        return await stream_series(request, pieces, asyncio.Lock())

    app = web.Application()
    app.add_routes([web.get("/metrics", respond)])
    async with asyncio.timeout(10), run_application(app, shutdown_seconds=0.1) as runner:
        await web.TCPSite(runner, LOOPBACK, 0).start()
        reader, writer = await asyncio.open_connection(*runner.addresses[0])
        writer.write(b"GET /metrics HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
    assert b"keep-alive" not in head.lower()
    assert body.startswith(b"piece\n" * PIECES)
