"""Requests that fail, by the visitor's fault or ours: what is answered, and what the log tells."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

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
    "no HTTP": b"s3cretpw\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
    "an odd chunk": HEAD + b"\r\nTransfer-Encoding: chunked\r\n\r\ns3cretpw\r\n",
    "an odd encoding": HEAD + b"\r\nContent-Length: 8\r\nContent-Encoding: deflate\r\n\r\ns3cretpw",
    "odd words after an upgrade": (
        HEAD + b"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\ns3cretpw \0\r\n\r\n"
    ),
}
"""Each ends with a 400; the last after another answer."""

BREAKS_OFF = HEAD + b"\r\nContent-Length: 8\r\nContent-Encoding: gzip\r\n\r\n"
"""Answered before its body has come, which turns out to be none."""

LEVELS: tuple[Level, ...] = ("debug", "info", "warn", "error")


@pytest.fixture(autouse=True)
def untouched_logging() -> Iterator[None]:
    with logging_put_back():
        yield


@pytest.mark.parametrize("level", LEVELS)
async def test_no_word_of_a_malformed_request_gets_into_log_or_answer(
    level: Level, tmp_path: Path
) -> None:
    log = log_to(level)
    async with site(tmp_path, ALICE) as visited:
        answers = [await visited.say(said) for said in MALFORMED.values()]
        answers.append(await visited.say(BREAKS_OFF, SECRET.encode()))
    for told in (log.getvalue(), *answers):
        assert SECRET not in told
        assert BASE64.decode() not in told
        assert "Traceback" not in told
    assert {line.split()[1] for line in log.getvalue().splitlines()} <= {"level=debug"}
    assert ("event=web.malformed_request address=127.0.0.1" in log.getvalue()) == (level == "debug")


async def test_malformed_requests_do_not_fill_the_log(tmp_path: Path) -> None:
    log = log_to("info")
    async with site(tmp_path, ALICE) as visited:
        for _ in range(20):
            said = (visited.say(MALFORMED["a zero"]) for _ in range(50))
            answers = await asyncio.gather(*said)
            assert {answer.split()[1] for answer in answers} == {"400"}
    assert log.getvalue() == ""


HEADERS = {"Strict-Transport-Security": "max-age=9", "X-Frame-Options": "deny"}


@pytest.mark.parametrize("malformed", MALFORMED.values(), ids=MALFORMED)
async def test_a_malformed_request_gets_a_plain_400_with_the_headers_of_every_answer(
    malformed: bytes, tmp_path: Path
) -> None:
    async with site(tmp_path, ALICE | {"http_server_config": {"headers": HEADERS}}) as visited:
        answer = await visited.say(malformed)
    _, _, bad_request = answer.rpartition("HTTP/1.")
    head, _, text = bad_request.partition("\r\n\r\n")
    assert head.startswith(("0 400 Bad Request", "1 400 Bad Request"))
    assert text == "Bad Request\n"
    lines = head.split("\r\n")
    for name, value in HEADERS.items() | {("Server", "axis-ntp-exporter")}:
        assert f"{name}: {value}" in lines
    assert "X-Content-Type-Options: nosniff" in lines
    assert "aiohttp" not in answer


class NoSuchLuckError(Exception):
    pass


@asynccontextmanager
async def failing_site(folder: Path) -> AsyncIterator[Site]:
    async def fail(_request: web.Request) -> web.Response:
        raise NoSuchLuckError

    async def take_too_long(_request: web.Request) -> web.Response:
        raise TimeoutError

    async def fail_amid(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"so far")
        raise NoSuchLuckError

    routes = [web.get("/fail", fail), web.get("/late", take_too_long), web.get("/amid", fail_amid)]
    async with site(
        folder, ALICE | {"http_server_config": {"headers": HEADERS}}, *routes
    ) as visited:
        yield visited


def asking(path: str) -> bytes:
    authorization = AS_ALICE["Authorization"]
    lines = (f"GET {path} HTTP/1.1", "Host: x", f"Authorization: {authorization}", "X-Mine: s3cret")
    return "\r\n".join((*lines, "", "")).encode()


@pytest.mark.parametrize("path", ["/fail?token=s3cret", "/late", "/amid"])
async def test_a_fault_of_ours_is_told_once_with_its_traceback_and_no_headers(
    path: str, tmp_path: Path
) -> None:
    log = log_to("error")
    async with failing_site(tmp_path) as visited:
        await visited.say(asking(path))
    told = log.getvalue()
    assert told.count("event=web.internal_error") == told.count("level=error") == 1
    assert told.count("Traceback") == 1
    assert f"address=127.0.0.1 path={path.partition('?')[0]}" in told
    assert "s3cret" not in told
    assert AS_ALICE["Authorization"].split()[1] not in told


@pytest.mark.parametrize("path", ["/fail", "/late"])
async def test_a_fault_of_ours_is_a_plain_500_with_the_headers_of_every_answer(
    path: str, tmp_path: Path
) -> None:
    log_to("error")
    async with failing_site(tmp_path) as visited:
        asyncio.get_running_loop().set_debug(enabled=True)
        answer = await visited.say(asking(path).replace(b"X-Mine", b"Accept: text/html\r\nX-Mine"))
    head, _, text = answer.partition("\r\n\r\n")
    assert head.startswith("HTTP/1.1 500 Internal Server Error")
    assert text == "Internal Server Error\n"
    for name, value in HEADERS.items() | {("Server", "axis-ntp-exporter")}:
        assert f"\r\n{name}: {value}" in head


async def test_a_head_that_never_ends_ends_the_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exporter.web.connection.KEEPALIVE_SECONDS", 0.2)
    async with site(tmp_path, ALICE) as visited, asyncio.timeout(10):
        reader, writer = await asyncio.open_connection(LOOPBACK, visited.port)
        writer.write(b"GET / HTTP/1.1\r\nX: ")
        answer = asyncio.create_task(reader.read())
        while not answer.done():
            writer.write(b"x")
            await asyncio.sleep(0.02)
        writer.close()
    assert answer.exception() is not None or answer.result() == b""


async def test_a_visitor_who_hangs_up_in_the_middle_of_an_answer_is_no_fault_of_ours(
    tmp_path: Path,
) -> None:
    log, ended = log_to("info"), asyncio.Event()

    async def answer_without_end(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(bytes(65_536))
                await asyncio.sleep(0)
        finally:
            ended.set()

    async with site(tmp_path, "{}", web.get("/endless", answer_without_end)) as visited:
        reader, writer = await asyncio.open_connection(LOOPBACK, visited.port)
        writer.write(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readexactly(100_000)
        writer.transport.abort()
        async with asyncio.timeout(5):
            await ended.wait()
    assert log.getvalue() == ""
