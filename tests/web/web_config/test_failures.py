"""Requests that fail, by the client's mistake or ours: the response, and what is logged."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from exporter.system.logs import Level
from tests.support.log_lines import log_to, logging_put_back
from tests.support.programs import LOOPBACK
from tests.support.web_config import ALICE, AS_ALICE
from tests.web.web_config.site import Site, site

SECRET = "s3cretpw"
BASE64 = base64.b64encode(f"prom:{SECRET}".encode())
HEAD = b"GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: Basic " + BASE64

MALFORMED = {
    "a zero": HEAD + b"\0\r\n\r\n",
    "a long header": HEAD + b"\r\nX: " + SECRET.encode() * 2000 + b"\r\n\r\n",
    "many headers": HEAD + b"".join(b"\r\nX%d: s3cretpw" % n for n in range(300)) + b"\r\n\r\n",
    "a folded header": HEAD + b"\r\n s3cretpw\r\n\r\n",
    "two hosts": HEAD + b"\r\nHost: s3cretpw\r\n\r\n",
    "an odd version": b"GET http://prom:s3cretpw@x/ HTTP/9.9\r\n\r\n",
    "an odd port": b"GET http://prom:s3cretpw@x:99999999/ HTTP/1.1\r\nHost: x\r\n\r\n",
    "an odd query": b"GET /?password=s3cretpw x HTTP/1.1\r\n\r\n",
    "an odd path": b"GET /s3cretpw/\xff HTTP/1.1\r\nHost: x\r\n\r\n",
    "an odd expectation": HEAD + b"\r\nExpect: s3cretpw\xff\r\n\r\n",
    "not HTTP": b"s3cretpw\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
    "an odd chunk": HEAD + b"\r\nTransfer-Encoding: chunked\r\n\r\ns3cretpw\r\n",
    "invalid data after an upgrade": (
        HEAD + b"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\ns3cretpw \0\r\n\r\n"
    ),
}
"""Each gets a 400; the last one after another response."""

BREAKS_OFF = HEAD + b"\r\nTransfer-Encoding: chunked\r\n\r\n"
"""A request whose response is sent before its body, which turns out to be invalid, arrives."""

LEVELS: tuple[Level, ...] = ("debug", "info", "warn", "error")


@pytest.fixture(autouse=True)
def untouched_logging() -> Iterator[None]:
    with logging_put_back():
        yield


@pytest.mark.parametrize("level", LEVELS)
async def test_a_malformed_request_is_quoted_neither_in_the_log_nor_in_the_response(
    level: Level, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # How long aiohttp waits for the rest of a body that was not read: usually 10 s.
    defaults: Any = web.RequestHandler.__init__.__kwdefaults__
    monkeypatch.setitem(defaults, "lingering_time", 0.2)
    log = log_to(level)
    async with site(tmp_path, ALICE) as served:
        responses = [await served.send(request) for request in MALFORMED.values()]
        responses.append(await served.send(BREAKS_OFF, SECRET.encode()))
    for text in (log.getvalue(), *responses):
        assert SECRET not in text
        assert BASE64.decode() not in text
        assert "Traceback" not in text
    assert {line.split()[1] for line in log.getvalue().splitlines()} <= {"level=debug"}
    assert ("event=web.malformed_request address=127.0.0.1" in log.getvalue()) == (level == "debug")


async def test_malformed_requests_do_not_fill_the_log(tmp_path: Path) -> None:
    log = log_to("info")
    async with site(tmp_path, ALICE) as served:
        for _ in range(20):
            requests = (served.send(MALFORMED["a zero"]) for _ in range(50))
            responses = await asyncio.gather(*requests)
            assert {response.split()[1] for response in responses} == {"400"}
    assert log.getvalue() == ""


HEADERS = {"Strict-Transport-Security": "max-age=9", "X-Frame-Options": "deny"}


@pytest.mark.parametrize("malformed", MALFORMED.values(), ids=MALFORMED)
async def test_a_malformed_request_gets_a_plain_400_with_the_usual_headers(
    malformed: bytes, tmp_path: Path
) -> None:
    async with site(tmp_path, ALICE | {"http_server_config": {"headers": HEADERS}}) as served:
        response = await served.send(malformed)
    _, _, bad_request = response.rpartition("HTTP/1.")
    head, _, text = bad_request.partition("\r\n\r\n")
    assert head.startswith(("0 400 Bad Request", "1 400 Bad Request"))
    assert text == "Bad Request\n"
    lines = head.split("\r\n")
    for name, value in HEADERS.items() | {("Server", "axis-ntp-exporter")}:
        assert f"{name}: {value}" in lines
    assert "X-Content-Type-Options: nosniff" in lines
    assert "aiohttp" not in response


class NoSuchLuckError(Exception):
    pass


@asynccontextmanager
async def failing_site(folder: Path) -> AsyncIterator[Site]:
    async def fail(_request: web.Request) -> web.Response:
        raise NoSuchLuckError

    async def time_out(_request: web.Request) -> web.Response:
        raise TimeoutError

    async def fail_halfway(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"so far")
        raise NoSuchLuckError

    routes = [web.get("/fail", fail), web.get("/late", time_out), web.get("/halfway", fail_halfway)]
    async with site(
        folder, ALICE | {"http_server_config": {"headers": HEADERS}}, *routes
    ) as served:
        yield served


def request_for(path: str) -> bytes:
    authorization = AS_ALICE["Authorization"]
    lines = (f"GET {path} HTTP/1.1", "Host: x", f"Authorization: {authorization}", "X-Mine: s3cret")
    return "\r\n".join((*lines, "", "")).encode()


@pytest.mark.parametrize("path", ["/fail?token=s3cret", "/late", "/halfway"])
async def test_an_internal_error_is_logged_once_with_its_traceback_and_without_request_headers(
    path: str, tmp_path: Path
) -> None:
    log = log_to("error")
    async with failing_site(tmp_path) as served:
        await served.send(request_for(path))
    text = log.getvalue()
    assert text.count("event=web.internal_error") == text.count("level=error") == 1
    assert text.count("Traceback") == 1
    assert f"address=127.0.0.1 path={path.partition('?')[0]}" in text
    assert "s3cret" not in text
    assert AS_ALICE["Authorization"].split()[1] not in text


@pytest.mark.parametrize("path", ["/fail", "/late"])
async def test_an_internal_error_is_a_plain_500_with_the_usual_headers(
    path: str, tmp_path: Path
) -> None:
    log_to("error")
    async with failing_site(tmp_path) as served:
        asyncio.get_running_loop().set_debug(enabled=True)
        response = await served.send(
            request_for(path).replace(b"X-Mine", b"Accept: text/html\r\nX-Mine")
        )
    head, _, text = response.partition("\r\n\r\n")
    assert head.startswith("HTTP/1.1 500 Internal Server Error")
    assert text == "Internal Server Error\n"
    for name, value in HEADERS.items() | {("Server", "axis-ntp-exporter")}:
        assert f"\r\n{name}: {value}" in head


async def test_a_request_head_that_never_ends_closes_the_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exporter.web.listener.KEEPALIVE_SECONDS", 0.2)
    async with site(tmp_path, ALICE) as served, asyncio.timeout(10):
        reader, writer = await asyncio.open_connection(LOOPBACK, served.port)
        writer.write(b"GET / HTTP/1.1\r\nX: ")
        reading = asyncio.create_task(reader.read())
        while not reading.done():
            writer.write(b"x")
            await asyncio.sleep(0.02)
        writer.close()
    assert reading.exception() is not None or reading.result() == b""


async def test_a_client_that_disconnects_during_a_response_is_not_an_internal_error(
    tmp_path: Path,
) -> None:
    log, ended = log_to("info"), asyncio.Event()

    async def send_without_end(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(bytes(65_536))
                await asyncio.sleep(0)
        finally:
            ended.set()

    async with site(tmp_path, "{}", web.get("/endless", send_without_end)) as served:
        reader, writer = await asyncio.open_connection(LOOPBACK, served.port)
        writer.write(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readexactly(100_000)
        writer.transport.abort()
        async with asyncio.timeout(5):
            await ended.wait()
    assert log.getvalue() == ""
