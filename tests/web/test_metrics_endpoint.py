"""A scrape is sent in pieces, between which polls go on; pieces compressed apart are one gzip."""

import gzip
import zlib
from collections.abc import Iterator

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st

from exporter.metrics.exposition import Form, T
from exporter.web.metrics_endpoint import deflate, gzip_stream, stream_series
from tests.support.turns import counting_turns

PIECES = 10


def pieces(*, openmetrics: bool, form: Form[T]) -> Iterator[T]:
    del openmetrics
    yield from [form(b"piece\n")] * PIECES


@pytest.mark.parametrize("headers", [{}, {"Accept-Encoding": "gzip"}])
async def test_other_tasks_run_after_each_piece(
    headers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def take(*_: object) -> None:
        """Like a socket with room in its buffer: the caller never waits."""

    for name in ("prepare", "write", "write_eof"):
        monkeypatch.setattr(web.StreamResponse, name, take)
    async with counting_turns() as turns:
        await stream_series(make_mocked_request("GET", "/metrics", headers), pieces)
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
