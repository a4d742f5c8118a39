"""What goes over the wire, as values: a request read, a reply to be sent, and how to send it."""

import enum
import time
from dataclasses import dataclass
from http import HTTPStatus

NTP_CGI = "/axis-cgi/ntp.cgi"
HTML = "text/html; charset=iso-8859-1"

Headers = tuple[tuple[str, str], ...]

# Not strftime: its names of days and months follow the locale.
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Delivery(enum.Enum):
    """How a reply reaches the client, or does not."""

    WHOLE = enum.auto()
    """As HTTP has it; the connection stays open."""
    THEN_CLOSE = enum.auto()
    """Whole, then the connection is closed though no header said so."""
    CUT = enum.auto()
    """Half of the body that Content-Length announced, then the connection is closed."""
    SLOW_HEADERS = enum.auto()
    """A byte of a header now and then, without end."""
    SLOW_BODY = enum.auto()
    """The headers at once, then a byte of the body now and then, without end."""
    HANG = enum.auto()
    """Nothing at all, on an open connection."""
    DROP = enum.auto()
    """Nothing at all: the connection is closed."""


class DateStyle(enum.Enum):
    """The three formats of a Date header (RFC 9110, section 5.6.7), none, and nonsense."""

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
    """One HTTP reply; `headers` lacks Content-Length and Connection, which rendering adds."""

    status: int
    headers: Headers = ()
    body: bytes = b""
    delivery: Delivery = Delivery.WHOLE


def html_reply(status: int, headers: Headers = ()) -> Reply:
    """Make the page that Apache makes for an HTTP error."""
    title = f"{status} {HTTPStatus(status).phrase}"
    body = (
        '<!DOCTYPE HTML PUBLIC "-//IETF//DTD HTML 2.0//EN">\n'
        f"<html><head>\n<title>{title}</title>\n</head><body>\n"
        f"<h1>{HTTPStatus(status).phrase}</h1>\n</body></html>\n"
    )
    return Reply(status, (*headers, ("Content-Type", HTML)), body.encode())


def render_head(reply: Reply, *, keep_alive: bool) -> bytes:
    """Write the status line and all headers, the empty line that ends them included."""
    lines = [f"HTTP/1.1 {reply.status} {HTTPStatus(reply.status).phrase}"]
    lines += [f"{name}: {value}" for name, value in reply.headers]
    lines.append(f"Content-Length: {len(reply.body)}")
    if not keep_alive:
        lines.append("Connection: close")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def format_date(unix_seconds: int, style: DateStyle = DateStyle.IMF) -> str | None:
    """Write the value of a Date header for that second, or None if there shall be none."""
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
