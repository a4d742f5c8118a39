"""Sends a reply over a connection, rightly or in one of the wrong ways."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import replace

from exporter.simulator.wire import Delivery, Reply, render_head

SLOW_INTERVAL_SECONDS = 0.2
"""The pause between two bytes of a slow reply."""

_ENDLESS_BODY = b" " * (1 << 20)


async def deliver(
    reply: Reply, transport: asyncio.Transport, stopping: asyncio.Event, *, keep_alive: bool
) -> bool:
    """Send a reply in its own way; tells whether the connection may be used again.

    The ways without end last until the client goes (which cancels this) or `stopping` is set.
    """
    if reply.delivery is Delivery.WHOLE:
        transport.write(render_head(reply, keep_alive=keep_alive) + reply.body)
        return keep_alive
    await _WRONG_WAYS[reply.delivery](reply, transport, stopping)
    transport.close()
    return False


async def _then_close(reply: Reply, transport: asyncio.Transport, _stopping: asyncio.Event) -> None:
    transport.write(render_head(reply, keep_alive=True) + reply.body)


async def _cut(reply: Reply, transport: asyncio.Transport, _stopping: asyncio.Event) -> None:
    half = reply.body[: len(reply.body) // 2]
    transport.write(render_head(reply, keep_alive=True) + half)


async def _slow_headers(
    reply: Reply, transport: asyncio.Transport, stopping: asyncio.Event
) -> None:
    head = render_head(reply, keep_alive=True)
    transport.write(head.removesuffix(b"\r\n") + b"X-Slow: ")
    await _dribble(b"w", transport, stopping)


async def _slow_body(reply: Reply, transport: asyncio.Transport, stopping: asyncio.Event) -> None:
    transport.write(render_head(replace(reply, body=_ENDLESS_BODY), keep_alive=True))
    await _dribble(b" ", transport, stopping)


async def _hang(_reply: Reply, _transport: asyncio.Transport, stopping: asyncio.Event) -> None:
    await stopping.wait()


async def _drop(_reply: Reply, _transport: asyncio.Transport, _stopping: asyncio.Event) -> None:
    pass


async def _dribble(byte: bytes, transport: asyncio.Transport, stopping: asyncio.Event) -> None:
    while not stopping.is_set():
        transport.write(byte)
        with suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), SLOW_INTERVAL_SECONDS)


_Way = Callable[[Reply, asyncio.Transport, asyncio.Event], Awaitable[None]]

_WRONG_WAYS: Mapping[Delivery, _Way] = {
    Delivery.THEN_CLOSE: _then_close,
    Delivery.CUT: _cut,
    Delivery.SLOW_HEADERS: _slow_headers,
    Delivery.SLOW_BODY: _slow_body,
    Delivery.HANG: _hang,
    Delivery.DROP: _drop,
}
