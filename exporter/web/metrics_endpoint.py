"""Series over HTTP: the format and the encoding that are asked for, in pieces."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Iterator
from typing import Final, Protocol

from aiohttp import hdrs, web
from prometheus_client.exposition import choose_encoder, gzip_accepted
from prometheus_client.registry import Collector

Encoder = Callable[[Collector], bytes]
"""prometheus-client's, for the exporter's own series; of OpenMetrics, it ends with `# EOF`."""

_GZIP: Final = 16 + zlib.MAX_WBITS


class Pieces(Protocol):
    """Makes the series, encoded, in pieces of a few milliseconds' work."""

    def __call__(self, encode: Encoder, *, openmetrics: bool) -> Iterator[bytes]:
        """The pieces, in the format that was agreed on."""


async def stream_series(request: web.Request, pieces_of: Pieces) -> web.StreamResponse:
    """Answer with series, in pieces between which polls go on."""
    encode, content_type = _negotiate(request)
    headers = {hdrs.CONTENT_TYPE: content_type, hdrs.VARY: "Accept, Accept-Encoding"}
    zipped = gzip_accepted(request.headers.get(hdrs.ACCEPT_ENCODING, ""))
    if zipped:
        headers[hdrs.CONTENT_ENCODING] = "gzip"
    response = web.StreamResponse(headers=headers)
    await response.prepare(request)
    if request.method == hdrs.METH_HEAD:
        return response
    pieces = pieces_of(encode, openmetrics="openmetrics" in content_type)
    for piece in _gzipped(pieces) if zipped else pieces:
        await response.write(piece)
        await asyncio.sleep(0)
    await response.write_eof()
    return response


def _gzipped(pieces: Iterator[bytes]) -> Iterator[bytes]:
    compressor = zlib.compressobj(level=1, wbits=_GZIP)
    for piece in pieces:
        yield compressor.compress(piece)
    yield compressor.flush()


def _negotiate(request: web.Request) -> tuple[Encoder, str]:
    try:
        return choose_encoder(",".join(request.headers.getall(hdrs.ACCEPT, [])))
    except (TypeError, ValueError):
        # prometheus-client stumbles over a version such as `x`.
        return choose_encoder("")
