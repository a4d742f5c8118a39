"""A scrape is sent in pieces, and polls go on between them."""

from collections.abc import Iterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from exporter.web.metrics_endpoint import stream_series
from tests.support.turns import counting_turns

PIECES = 10


def pieces(encode: Any, *, openmetrics: bool) -> Iterator[bytes]:
    del encode, openmetrics
    yield from [b"piece\n"] * PIECES


@pytest.mark.parametrize("headers", [{}, {"Accept-Encoding": "gzip"}])
async def test_others_have_their_turn_after_each_piece(
    headers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def take(*_: object) -> None:
        """As a socket does that has room: nobody has to wait."""

    for name in ("prepare", "write", "write_eof"):
        monkeypatch.setattr(web.StreamResponse, name, take)
    async with counting_turns() as turns:
        await stream_series(make_mocked_request("GET", "/metrics", headers), pieces)
    assert turns.count >= PIECES
