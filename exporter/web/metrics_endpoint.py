"""Series over HTTP, sent in pieces, in the negotiated format and encoding."""

import asyncio
import zlib
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple, Protocol

from aiohttp import HttpVersion11, hdrs, web
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.registry import Collector

from exporter.metrics.exposition import Form, T
from exporter.web.limits import require_client
from exporter.web.negotiation import Format, accepts_gzip, negotiate_format

_RAW_DEFLATE: Final = -zlib.MAX_WBITS
_GZIP_HEADER: Final = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
_LAST_BLOCK: Final = b"\x03\0"
_NO_SERIES: Final = CollectorRegistry()
_OPENMETRICS_END: Final = b"# EOF\n"
_PIECE_BYTES: Final = 16 * 1024


class Pieces(Protocol):
    """Makes the series of devices in pieces, each a few milliseconds' work at most."""

    def __call__(self, *, openmetrics: bool, form: Form[T]) -> Iterator[T]:
        """Return the pieces, in the negotiated format and encoding."""


async def stream_series(
    request: web.Request,
    pieces_of: Pieces,
    turns: asyncio.Lock,
    own_series: Collector = _NO_SERIES,
) -> web.StreamResponse:
    """Respond with series, in pieces between which polls go on.

    `turns` is held while a piece is made: many requests at once would each make one in every turn
    of the event loop.
    """
    wanted, content_type = negotiate_format(request.headers.getall(hdrs.ACCEPT, ()))
    headers = {hdrs.CONTENT_TYPE: content_type, hdrs.VARY: "Accept, Accept-Encoding"}
    zipped = accepts_gzip(request.headers.getall(hdrs.ACCEPT_ENCODING, ()))
    if zipped:
        headers[hdrs.CONTENT_ENCODING] = "gzip"
    response = web.StreamResponse(headers=headers)
    if request.version < HttpVersion11:
        # Without a length, HTTP/1.0 has no other end of the body.
        response.force_close()
    await response.prepare(request)
    if request.method == hdrs.METH_HEAD:
        return response

    def body(form: Form[T]) -> Iterator[T]:
        yield from pieces_of(openmetrics=wanted.is_openmetrics, form=form)
        # Last, because they end with OpenMetrics' `# EOF`.
        yield from map(form, encode_in_pieces(wanted, own_series))

    pieces = gzip_stream(body(deflate)) if zipped else body(bytes)
    while True:
        async with turns:
            require_client(request)
            piece = next(pieces, None)
            await asyncio.sleep(0)
        if piece is None:
            break
        await response.write(piece)
    await response.write_eof()
    return response


class _OneFamily(Collector):
    def __init__(self, family: Metric) -> None:
        self._family = family

    def collect(self) -> Iterator[Metric]:
        yield self._family


def encode_in_pieces(wanted: Format, own_series: Collector) -> Iterator[bytes]:
    """Yield the text of families in pieces: all of 512 time servers would take 50 ms at once."""
    piece = b""
    for family in own_series.collect():
        piece += wanted.encode(_OneFamily(family)).removesuffix(_OPENMETRICS_END)
        if len(piece) > _PIECE_BYTES:
            yield piece
            piece = b""
    yield piece + (_OPENMETRICS_END if wanted.is_openmetrics else b"")


class Deflated(NamedTuple):
    """A piece in blocks of DEFLATE that need no other piece, its length, and its part in the CRC.

    Pieces compressed apart can be kept between scrapes. As gzip members of their own they would
    be simpler, but curl reads only the first member (curl 7.88: error 23).
    """

    blocks: bytes
    size: int
    crc: int


def deflate(text: bytes) -> Deflated:
    """Compress a piece for `gzip_stream`."""
    if not text:
        return Deflated(b"", 0, 0)
    compressor = zlib.compressobj(level=1, wbits=_RAW_DEFLATE)
    blocks = compressor.compress(text) + compressor.flush(zlib.Z_SYNC_FLUSH)
    return Deflated(blocks, len(text), zlib.crc32(text) ^ zlib.crc32(bytes(len(text))))


def gzip_stream(pieces: Iterable[Deflated]) -> Iterator[bytes]:
    """Yield one gzip member (RFC 1952) of all pieces."""
    size = crc = 0
    yield _GZIP_HEADER
    for piece in pieces:
        # A CRC is linear: the text's is that of as many zeros, xor what the text changes.
        crc = zlib.crc32(bytes(piece.size), crc) ^ piece.crc
        size += piece.size
        yield piece.blocks
    yield _LAST_BLOCK + crc.to_bytes(4, "little") + (size % 2**32).to_bytes(4, "little")
