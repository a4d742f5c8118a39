"""The worst inputs within their limits, and what each costs.

`python -m tests.hostile.worst_inputs` prints the table.

Everything that the event loop parses from outside has a row. A row's input is as long as the limit
allows, or longer if the parser itself has to refuse it.
"""

import asyncio
import contextlib
import json
import socket
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from types import SimpleNamespace
from typing import Final, NamedTuple
from unittest.mock import Mock

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from exporter.clock.http_time import nonce_time_us, parse_date
from exporter.system.addresses import LONGEST_ADDRESS, split_address
from exporter.system.text import parse_duration
from exporter.vapix import ntp
from exporter.vapix.challenges import MAX_CHARACTERS, _parse, find_next_nonces
from exporter.vapix.client import _read_body
from exporter.vapix.connection import BODY_BYTES, HEAD_BYTES, GuardedConnection
from exporter.vapix.dns import MAX_ADDRESSES_OF_FAMILY, Address, first_of_each_family
from exporter.vapix.errors import DeviceError
from exporter.vapix.http_auth import Authenticator, DeviceCredentials
from exporter.vapix.ntp_info import decode_info
from exporter.web.negotiation import accepts_gzip, negotiate_format
from exporter.web.pages.fleet_query import BadQuery, FleetQuery
from exporter.web.web_config.basic_auth import parse_basic

LIMIT_MS: Final = 100.0
"""No input may hold up the event loop for longer."""

HEADER_CHARACTERS: Final = 8190
"""aiohttp's limit for one header."""

_HEADERS: Final = 120
"""aiohttp accepts 128 headers in a request."""

_DNS_RECORDS: Final = 4095
"""So many A records fit into an answer of 64 KiB."""

_BODY: Final = ntp.LARGEST_BODY_BYTES
_ROUNDS: Final = 7

Work = Callable[[], object]


class WorstInput(NamedTuple):
    """What is parsed, the limit of its input, and the work to measure."""

    what: str
    limit: str
    work: Work


def _repeat(text: str, length: int, start: str = "", end: str = "") -> str:
    times = (length - len(start) - len(end)) // len(text)
    return start + text * times + end


def _login(headers: list[str]) -> Work:
    def log_in() -> None:
        with contextlib.suppress(DeviceError):
            account = DeviceCredentials("root", "pass")
            Authenticator("auto", account, secure=False).handle_unauthorized(headers, 1)

    return log_in


def _answer(body: bytes) -> Work:
    def decode() -> None:
        with contextlib.suppress(DeviceError):
            decode_info(ntp.decode_answer(body))

    return decode


def _redacted_answer(body: bytes) -> Work:
    account = Authenticator("auto", DeviceCredentials("root", "pass"), secure=False)
    return partial(ntp.decode_answer, body, account.redact)


def _query(**parameters: str) -> Work:
    def parse() -> None:
        with contextlib.suppress(BadQuery):
            FleetQuery.parse(parameters)

    return parse


def _refused(parse: Callable[[str], object], text: str) -> Work:
    def refuse() -> None:
        with contextlib.suppress(ValueError):
            parse(text)

    return refuse


CHALLENGES: Final = ("a,", "a=b,", "a=b ", "a= b", 'a="b",', 'a="', '"', " ", "a", "a ", "\\", "=")


def _challenge_rows() -> Iterator[WorstInput]:
    many = ["a," * (HEADER_CHARACTERS // 2)] * (HEAD_BYTES // HEADER_CHARACTERS)
    yield WorstInput("60 headers of `a,a,a,…`", f"{HEAD_BYTES:,} bytes a head", _login(many))
    for part in CHALLENGES:
        header = _repeat(part, MAX_CHARACTERS - len("Digest "))
        limit = f"{MAX_CHARACTERS:,} characters"
        yield WorstInput(f"challenge `Digest {part}…`", limit, _login([f"Digest {header}"]))
    info = _repeat('nextnonce="', HEADER_CHARACTERS)
    limit = f"{HEADER_CHARACTERS:,} characters"
    yield WorstInput("`Authentication-Info`", limit, lambda: find_next_nonces(info))


def _clock_rows() -> Iterator[WorstInput]:
    limit = f"{HEADER_CHARACTERS:,} characters"
    for part in ("Sun, 22 Nov 2026 12:00:00 GM", "0", " "):
        date = _repeat(part, HEADER_CHARACTERS)
        yield WorstInput(f"`Date: {part}…`", limit, partial(parse_date, date, 2026))
    nonce = _repeat("A", HEADER_CHARACTERS)
    yield WorstInput("nonce", limit, lambda: nonce_time_us(nonce))


def _body_rows() -> Iterator[WorstInput]:
    servers = '{"data":{"client":{"staticServers":[%s]}}}'
    texts = {
        "deep lists": "[" * _BODY,
        "deep objects": '{"a":' * (_BODY // 5),
        "many keys": json.dumps({f"{n}": 0 for n in range(_BODY // 12)}),
        "a long number": '{"data":%s}' % ("1" * (_BODY - 10)),
        "a list of wrong types": servers % ("1," * ((_BODY - 60) // 2) + "1"),
        "a list of objects": servers % ("{}," * ((_BODY - 60) // 3) + "{}"),
        "a list of short names": servers % ('"a",' * ((_BODY - 60) // 4) + '"a"'),
        "a long name": servers % json.dumps("a" * (_BODY - 60)),
        "a name of control characters": servers % json.dumps("\x01" * ((_BODY - 60) // 6)),
        "an error with a long message": json.dumps(
            {"error": {"code": 1, "message": "\x01" * ((_BODY - 60) // 6)}}
        ),
        "many unknown keys": json.dumps(
            {"data": {"client": {f"{n}": "x" for n in range(_BODY // 14)}}}
        ),
    }
    for what, text in texts.items():
        body = text.encode()[:_BODY]
        yield WorstInput(f"response body: {what}", f"{_BODY:,} bytes", _answer(body))
    for part in ('"a",', '"pass",', '"\\\\",'):
        count = (_BODY - 60) // len(part)
        body = ('{"data":{"client":{"x":[%s""]}}}' % (part * count)).encode()
        what = f"response body: redacted strings `{part}…`"
        yield WorstInput(what, f"{_BODY:,} bytes", _redacted_answer(body))


def _dns_rows() -> Iterator[WorstInput]:
    addresses = [(f"192.0.2.{number}", socket.AF_INET) for number in range(_DNS_RECORDS)]
    work = partial(_exhaust, addresses)
    yield WorstInput("DNS answer of many addresses", f"{_DNS_RECORDS:,} records", work)


def _exhaust(addresses: Iterable[Address]) -> None:
    assert len(list(first_of_each_family(addresses))) == MAX_ADDRESSES_OF_FAMILY


def _http_rows() -> Iterator[WorstInput]:
    ok = "HTTP/1.1 200 OK\r\n"
    chunked = ok + "Transfer-Encoding: chunked\r\n\r\n"
    heads = {
        "long headers": _repeat("X: " + "a" * 8_000 + "\r\n", HEAD_BYTES, ok),
        "many short headers": _repeat("a:\r\n", HEAD_BYTES, ok),
        "interim responses": _repeat("HTTP/1.1 100 C\r\n\r\n", HEAD_BYTES),
        "a reason without end": _repeat("a", HEAD_BYTES, "HTTP/1.1 200 "),
        "empty lines": _repeat("\r\n", HEAD_BYTES),
        "whole responses": _repeat("HTTP/1.1 200 O\r\nContent-Length: 0\r\n\r\n", HEAD_BYTES),
        "chunks of one byte, with the head": _repeat(
            "1\r\na\r\n", HEAD_BYTES, chunked, "0\r\n\r\n"
        ),
    }
    for name, text in heads.items():
        data = text.encode()
        yield WorstInput(f"response head: {name}", f"{HEAD_BYTES:,} bytes", partial(_receive, data))
    body = _repeat("1\r\na\r\n", _BODY * 6).encode() + b"0\r\n\r\n"
    head = chunked.encode()
    limit = f"{_BODY:,} bytes"
    yield WorstInput("response body: chunks of one byte", limit, partial(_receive, head, body))


_loop = asyncio.new_event_loop()


def _receive(head: bytes, body: bytes = b"") -> None:
    """Feed a connection as the event loop does, and read what it makes of it."""

    async def feed() -> None:
        connection = GuardedConnection(asyncio.get_running_loop())
        connection.transport = Mock()
        connection.allow(HEAD_BYTES)
        connection.set_response_params(auto_decompress=False, read_bufsize=2**16)
        connection.data_received(head)
        connection.allow(BODY_BYTES)
        if body:
            connection.data_received(body)
        with contextlib.suppress(aiohttp.ClientError, HttpProcessingError):
            while connection._buffer:
                _, payload = await connection.read()
                await _read_body(SimpleNamespace(content=payload, close=bool))  # type: ignore[arg-type]

    _loop.run_until_complete(feed())


def _web_rows() -> Iterator[WorstInput]:
    limit = f"{HEADER_CHARACTERS:,} characters"
    for part in ("A", " ", "="):
        header = _repeat(part, HEADER_CHARACTERS - 6)
        work = partial(parse_basic, f"Basic {header}")
        yield WorstInput(f"`Authorization: Basic {part}…`", limit, work)
    for part in ("a/b;q=0.1,", ",", ";", "application/openmetrics-text;version=1.0.0,", "a;b=c;"):
        headers = [_repeat(part, HEADER_CHARACTERS)] * _HEADERS
        limit = f"{_HEADERS} headers"
        yield WorstInput(f"`Accept: {part}…`", limit, partial(negotiate_format, headers))
        yield WorstInput(f"`Accept-Encoding: {part}…`", limit, partial(accepts_gzip, headers))
    long = _repeat("a ", HEADER_CHARACTERS)
    for name in ("q", "state", "sort", "page"):
        yield WorstInput(f"page query `{name}`", limit, _query(**{name: long}))
    yield WorstInput("page query `page=111…`", limit, _query(page=_repeat("1", HEADER_CHARACTERS)))


def _config_rows() -> Iterator[WorstInput]:
    limit = "1,000,000 characters"
    for part in ("1", "1m", "1s1"):
        text = _repeat(part, 1_000_000)
        yield WorstInput(f"duration `{part}…`", limit, _refused(parse_duration, text))
    for part in ("a", "a.", "ü", "ü.", ":", "[", "1", "fe80::1%"):
        for length in (LONGEST_ADDRESS, 1_000_000):
            text = _repeat(part, length)
            what = f"address `{part}…`"
            yield WorstInput(what, f"{length:,} characters", _refused(split_address, text))


def worst_inputs() -> Iterable[WorstInput]:
    """Return every row."""
    yield from _challenge_rows()
    yield from _clock_rows()
    yield from _body_rows()
    yield from _dns_rows()
    yield from _http_rows()
    yield from _web_rows()
    yield from _config_rows()


def cpu_ms(work: Work) -> float:
    """Return the CPU milliseconds of one call, the best of seven: others use the machine, too.

    The caches are cold in the first call only, so each call clears them before.
    """
    best = float("inf")
    for _ in range(_ROUNDS):
        _parse.cache_clear()
        parse_date.cache_clear()
        began = time.thread_time()
        work()
        best = min(best, time.thread_time() - began)
    return best * 1e3


if __name__ == "__main__":
    sys.stdout.write("| input | limit | ms |\n| --- | --- | --- |\n")
    for row in worst_inputs():
        sys.stdout.write(f"| {row.what} | {row.limit} | {cpu_ms(row.work):.2g} |\n")
