"""What goes over the wire: requests and replies as values, and how a reply is sent."""

import asyncio
import enum
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from http import HTTPStatus

NTP_CGI = "/axis-cgi/ntp.cgi"
HTML = "text/html; charset=iso-8859-1"

SLOW_INTERVAL_SECONDS = 0.2
"""The pause between two bytes of a slow reply."""

_ENDLESS_BODY = b" " * (1 << 20)

Headers = tuple[tuple[str, str], ...]

# strftime is unsuitable: its names of days and months depend on the locale.
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Delivery(enum.Enum):
    """How a reply is sent."""

    WHOLE = enum.auto()
    """Complete; the connection stays open."""
    THEN_CLOSE = enum.auto()
    """Complete, then the connection is closed without a `Connection: close` header."""
    CUT = enum.auto()
    """Half of the body that Content-Length announced, then the connection is closed."""
    SLOW_HEADERS = enum.auto()
    """An endless header, one byte at a time."""
    SLOW_BODY = enum.auto()
    """The headers at once, then an endless body, one byte at a time."""
    HANG = enum.auto()
    """Nothing is sent, and the connection stays open."""
    DROP = enum.auto()
    """Nothing is sent, and the connection is closed."""


class DateStyle(enum.Enum):
    """The three formats of a Date header (RFC 9110, section 5.6.7), no header, an invalid one."""

    IMF = enum.auto()
    RFC850 = enum.auto()
    ASCTIME = enum.auto()
    ABSENT = enum.auto()
    NONSENSE = enum.auto()


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, read at `host_nanoseconds` (host clock, since the Unix epoch)."""

    method: str
    target: str
    body: bytes
    host_nanoseconds: int
    authorization: str | None = None
    content_type: str | None = None
    secure: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """One HTTP reply. `render_head` adds Content-Length and Connection to `headers`."""

    status: int
    headers: Headers = ()
    body: bytes = b""
    delivery: Delivery = Delivery.WHOLE


def html_reply(status: int, headers: Headers = ()) -> Reply:
    """Return Apache's page for an HTTP error."""
    title = f"{status} {HTTPStatus(status).phrase}"
    body = (
        '<!DOCTYPE HTML PUBLIC "-//IETF//DTD HTML 2.0//EN">\n'
        f"<html><head>\n<title>{title}</title>\n</head><body>\n"
        f"<h1>{HTTPStatus(status).phrase}</h1>\n</body></html>\n"
    )
    return Reply(status, (*headers, ("Content-Type", HTML)), body.encode())


def render_head(reply: Reply, *, keep_alive: bool) -> bytes:
    """Return the status line, all headers and the empty line after them."""
    lines = [f"HTTP/1.1 {reply.status} {HTTPStatus(reply.status).phrase}"]
    lines += [f"{name}: {value}" for name, value in reply.headers]
    lines.append(f"Content-Length: {len(reply.body)}")
    if not keep_alive:
        lines.append("Connection: close")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def format_date(unix_seconds: int, style: DateStyle = DateStyle.IMF) -> str | None:
    """Return the value of a Date header for that second, or None for no header."""
    if style is DateStyle.ABSENT:
        return None
    if style is DateStyle.NONSENSE:
        return "half past eight"
    now = time.gmtime(unix_seconds)
    day, month = _DAYS[now.tm_wday], _MONTHS[now.tm_mon - 1]
    clock = f"{now.tm_hour:02}:{now.tm_min:02}:{now.tm_sec:02}"
    if style is DateStyle.RFC850:
        return f"{day}, {now.tm_mday:02}-{month}-{now.tm_year % 100:02} {clock} GMT"
    if style is DateStyle.ASCTIME:
        return f"{day[:3]} {month} {now.tm_mday:2} {clock} {now.tm_year}"
    return f"{day[:3]}, {now.tm_mday:02} {month} {now.tm_year:04} {clock} GMT"


async def deliver(
    reply: Reply, transport: asyncio.Transport, stopping: asyncio.Event, *, keep_alive: bool
) -> bool:
    """Send a reply as its `delivery` says; return whether the connection can be used again.

    An endless reply lasts until the client disconnects (which cancels this) or `stopping` is set.
    """
    if reply.delivery is Delivery.WHOLE:
        transport.write(render_head(reply, keep_alive=keep_alive) + reply.body)
        return keep_alive
    await _FAULTY_SENDERS[reply.delivery](reply, transport, stopping)
    transport.close()
    return False


async def _send_then_close(
    reply: Reply, transport: asyncio.Transport, _stopping: asyncio.Event
) -> None:
    transport.write(render_head(reply, keep_alive=True) + reply.body)


async def _send_half(reply: Reply, transport: asyncio.Transport, _stopping: asyncio.Event) -> None:
    half = reply.body[: len(reply.body) // 2]
    transport.write(render_head(reply, keep_alive=True) + half)


async def _send_slow_headers(
    reply: Reply, transport: asyncio.Transport, stopping: asyncio.Event
) -> None:
    head = render_head(reply, keep_alive=True)
    transport.write(head.removesuffix(b"\r\n") + b"X-Slow: ")
    await _dribble(b"w", transport, stopping)


async def _send_slow_body(
    reply: Reply, transport: asyncio.Transport, stopping: asyncio.Event
) -> None:
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


_Sender = Callable[[Reply, asyncio.Transport, asyncio.Event], Awaitable[None]]

_FAULTY_SENDERS: Mapping[Delivery, _Sender] = {
    Delivery.THEN_CLOSE: _send_then_close,
    Delivery.CUT: _send_half,
    Delivery.SLOW_HEADERS: _send_slow_headers,
    Delivery.SLOW_BODY: _send_slow_body,
    Delivery.HANG: _hang,
    Delivery.DROP: _drop,
}
