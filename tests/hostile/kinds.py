"""The kinds of hostile devices: what each does, and what a poll of it may end with."""

from __future__ import annotations

import base64
import gzip
import random
import ssl
from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

from tests.hostile.peer import (
    CHUNKED,
    GOOD,
    OK,
    Behaviour,
    Reader,
    Writer,
    drips,
    floods_with_records,
    info,
    is_silent,
    never_ends,
    raw_info,
    replies,
    replies_then,
    replies_with,
    request_head,
    reset,
    response,
    sends_and_closes,
)

FINE: Final = "no error"

Module = Literal["plain", "secure", "raw"]
"""HTTP, HTTPS, or HTTPS of which the device makes the bytes itself."""


class Kind(NamedTuple):
    """A kind of device; `results` are the reasons that its polls may end with, or `FINE`."""

    name: str
    behave: Behaviour
    results: frozenset[str]
    module: Module

    @property
    def is_slow(self) -> bool:
        """Whether every poll of it ends by its timeout."""
        return self.results == {"timeout"}


def _kind(name: str, behave: Behaviour, *results: str, module: Module = "plain") -> Kind:
    return Kind(name, behave, frozenset(results), module)


def _random_text(length: int) -> str:
    return "".join(random.choices("abcdefghijklmnopqrstuvwxyz", k=length))


def _endless_kinds() -> Iterator[Kind]:
    slow, bad = "timeout", "invalid_response"
    yield _kind("says nothing", is_silent, slow)
    yield _kind("drips a header", drips(OK + b"X: ", b"a"), slow)
    yield _kind("drips a body", drips(OK + b"Content-Length: 99\r\n\r\n", b" "), slow)
    yield _kind("drips chunks", drips(CHUNKED, b"1\r\n \r\n"), slow)
    hint = b"HTTP/1.1 103 Hint\r\nX: y\r\n\r\n"
    length = b"Content-Length: 100000000\r\n\r\n"
    yield _kind("endless headers", never_ends(OK, b"X-Header: and another\r\n" * 1000), bad)
    yield _kind("endless header", never_ends(OK + b"X: ", b"a" * 65_536), bad)
    yield _kind("endless chunks", never_ends(CHUNKED, b"1\r\n \r\n" * 10_000), bad)
    yield _kind("endless 1xx", never_ends(b"", hint * 2000), bad)
    yield _kind("endless empty lines", never_ends(b"", b"\r\n" * 30_000), bad)
    yield _kind("endless responses", never_ends(b"", GOOD * 500), FINE)
    yield _kind("100 MB", never_ends(OK + length, b" " * 65_536), bad)
    yield _kind("garbage", never_ends(b"", b"\xff" + random.randbytes(65_536)), bad)


def _framing_kinds() -> Iterator[Kind]:
    cut, bad = "disconnected", "invalid_response"
    one_more = b"\r\nContent-Length: 1\r\n\r\n"
    yield _kind("length too long", sends_and_closes(OK + b"Content-Length: 99\r\n\r\n{"), cut)
    yield _kind("length too short", replies(OK + one_more[2:] + GOOD), bad)
    yield _kind("two lengths", replies(GOOD.replace(b"\r\n\r\n", one_more)), bad)
    yield _kind("length and chunks", replies(CHUNKED[:-4] + one_more + b"0\r\n\r\n"), bad)
    yield _kind("wrong chunk", replies(CHUNKED + b"ZZ\r\n"), bad)
    yield _kind("random bytes", replies_with(lambda: b"\xff" + random.randbytes(99)), bad)
    yield _kind("closes after headers", sends_and_closes(OK + b"Content-Length: 9\r\n\r\n"), cut)
    yield _kind("closes at once", sends_and_closes(b""), cut)
    yield _kind("ends its half", _ends_its_half, FINE)
    yield _kind("resets", _resets, cut, "connect")
    yield _kind("two responses", replies(GOOD, response(info(enabled=False))), FINE)
    yield _kind("response before the request", _replies_first, FINE, cut, bad)
    yield _kind("byte when idle", replies_then(b"x"), FINE)
    yield _kind("response when idle", replies_then(GOOD), FINE)
    yield _kind("flood when idle", replies_then(GOOD * 500, endless=True), FINE)


async def _ends_its_half(reader: Reader, writer: Writer) -> None:
    await request_head(reader)
    writer.write(GOOD)
    writer.write_eof()
    await is_silent(reader, writer)


async def _resets(reader: Reader, writer: Writer) -> None:
    stage = random.randrange(4)
    if stage >= 1:
        await request_head(reader)
    if stage >= 2:
        writer.write(GOOD[: 20 if stage == 2 else -5])
        await writer.drain()
    reset(writer)


async def _replies_first(reader: Reader, writer: Writer) -> None:
    writer.write(GOOD)
    await replies(GOOD)(reader, writer)


def _login_kinds() -> Iterator[Kind]:
    status, result = "401 Unauthorized", "unauthorized"
    many = [f"WWW-Authenticate: {'a,' * 2000}"] * 28
    yield _kind("many challenges", replies(response(b"", *many, status=status)), result)
    yield _kind("no challenge", replies(response(b"", status=status)), result)
    yield _kind("ever new nonce", replies_with(lambda: _new_nonce("")), result)
    yield _kind("ever stale nonce", replies_with(lambda: _new_nonce(", stale=true")), result)


def _new_nonce(stale: str) -> bytes:
    challenge = f'WWW-Authenticate: Digest realm="AXIS", nonce="{_random_text(16)}", qop="auth"'
    return response(b"", challenge + stale, status="401 Unauthorized")


def _header_kinds() -> Iterator[Kind]:
    status = "http_status"
    for name, where in (("itself", "/axis-cgi/ntp.cgi"), ("elsewhere", "http://192.0.2.1/")):
        redirect = response(b"", f"Location: {where}", status="307 Temporary Redirect")
        yield _kind(f"redirects to {name}", replies(redirect), status)
    switch = response(b"", "Upgrade: x", "Connection: upgrade", status="101 Switching")
    yield _kind("switches protocols", replies(switch), status)
    yield _kind("no content", replies(response(b"", status="204 No Content")), status)
    any_status = replies_with(lambda: response(b"", status=f"{random.randrange(405, 1000)} X"))
    yield _kind("ever other status", any_status, status)
    bomb = response(gzip.compress(b" " * 50_000_000), "Content-Encoding: gzip")
    yield _kind("gzip bomb", replies(bomb), "invalid_response")
    cookies = response(info(), *["Set-Cookie: a=b"] * 3000)
    yield _kind("very many cookies", replies(cookies), "invalid_response")
    yield _kind("year 9999", replies(_dated(9999)), FINE)
    yield _kind("ever other date", replies_with(lambda: _dated(random.randrange(1970, 2100))), FINE)


def _dated(year: int) -> bytes:
    return response(info(), f"Date: Thu, 01 Jan {year} 00:00:00 GMT")


def _json_kinds() -> Iterator[Kind]:
    bad = "invalid_response"
    yield _kind("deep lists", replies(response(b"[" * 65_000)), bad)
    yield _kind("deep objects", replies(response(b'{"a":' * 13_000)), bad)
    yield _kind("huge number", replies(raw_info('"minpoll":1e999')), FINE)
    yield _kind("huge integer", replies(raw_info('"minpoll":' + "9" * 4000)), FINE)
    yield _kind("NaN", replies(raw_info('"timeOffset":NaN')), bad)
    yield _kind("duplicate keys", replies(raw_info('"x":1,' * 9000 + '"enabled":1')), FINE)
    yield _kind("lone surrogate", replies(raw_info('"staticServers":["\\ud800"]')), bad)
    hidden = raw_info('"staticServers":["\\u0000\\n\\u202e"]')
    yield _kind("control characters", replies(hidden), FINE)
    yield _kind("ever other error", replies_with(_new_error), "api_error")
    yield _kind("ever other servers", replies_with(_new_servers), FINE)


def _new_error() -> bytes:
    code = random.randrange(5000, 100_000)
    return response(b'{"apiVersion":"1.5","error":{"code":%d,"message":"?"}}' % code)


def _new_servers() -> bytes:
    names = [_random_text(250) for _ in range(32)]
    return response(info(serversSource="static", staticServers=names))


def _handshake_kinds() -> Iterator[Kind]:
    """Yield the devices that never get through a handshake."""

    def kind(name: str, behave: Behaviour, *results: str) -> Kind:
        return _kind(f"TLS: {name}", behave, *results, module="raw")

    yield kind("says nothing", is_silent, "timeout")
    yield kind("drips a record", drips(b"\x16\x03\x03\x40\0\x02", b"\0"), "timeout")
    yield kind("alert", sends_and_closes(b"\x15\x03\x03\0\x02\x02\x28"), "tls")
    yield kind("closes", sends_and_closes(b""), "tls", "connect", "disconnected")
    yield kind("speaks HTTP", sends_and_closes(GOOD), "tls")
    yield kind("garbage", never_ends(b"", b"\xff" + random.randbytes(65_536)), "tls")
    yield kind("endless warnings", never_ends(b"", b"\x15\x03\x03\0\x02\x01\x5a" * 2000), "tls")
    requests = b"\x16\x03\x03\x40\0" + b"\0\0\0\0" * 4096
    yield kind("endless HelloRequests", never_ends(b"", requests), "tls")
    yield kind("endless CCS", never_ends(b"", b"\x14\x03\x03\0\x01\x01" * 2000), "tls")
    yield kind("endless empty records", never_ends(b"", b"\x16\x03\x03\0\0" * 2000), "tls")


def _tls_kinds(context: ssl.SSLContext) -> Iterator[Kind]:
    for kind in ("keyupdate", "ticket"):
        floods = (floods_with_records(context, kind, replying=each) for each in (True, False))
        name = f"TLS: {kind} flood"
        yield _kind(f"{name} when idle", next(floods), FINE, module="raw")
        yield _kind(f"{name} for a response", next(floods), "tls", module="raw")
    idle_flood = replies_then(GOOD * 500, endless=True)
    yield _kind("TLS: flood when idle", idle_flood, FINE, module="secure")
    yield _kind("TLS: resets", _resets, "disconnected", "connect", "tls", module="secure")
    results = (FINE, "api_error", "http_status", "invalid_response", "unauthorized")
    yield _kind("repeats the password", _repeats_the_password, *results, module="secure")


async def _repeats_the_password(reader: Reader, writer: Writer) -> None:
    """Ask for Basic, then repeat what was sent, decoded or not."""
    asked = response(b"", "WWW-Authenticate: Basic realm=x", status="401 Unauthorized")
    while True:
        _, is_basic, rest = (await request_head(reader)).partition("Authorization: Basic ")
        token = rest.split("\r\n")[0]
        account = base64.b64decode(token).decode()
        texts = (token, account, account.partition(":")[2])
        writer.write(random.choice(list(_with_text(random.choice(texts)))) if is_basic else asked)


def _with_text(text: str) -> Iterator[bytes]:
    """Yield responses that contain a text, each in another place."""
    raw = text.encode().decode("latin-1")
    yield response(info(serversSource="static", staticServers=[text, f"x {text} y"]))
    yield response(info(serversSource=text, minpoll=text, enabled=text))
    yield response(b'{"error":{"code":7777,"message":"unknown: %s"}}' % text.encode())
    yield response(b"", f"Location: http://{raw}@camera/", status="302 Found")
    yield response(b"", status=f"418 {raw}")
    yield response(text.encode())
    yield f"HTTP/{raw}\r\n\r\n".encode("latin-1")
    yield response(b"", f'WWW-Authenticate: {raw} realm="{raw}"', status="401 Unauthorized")


def all_kinds(context: ssl.SSLContext) -> Iterator[Kind]:
    """Yield every kind; `context` is a device's."""
    yield from _endless_kinds()
    yield from _framing_kinds()
    yield from _login_kinds()
    yield from _header_kinds()
    yield from _json_kinds()
    yield from _handshake_kinds()
    yield from _tls_kinds(context)
