"""Basic authentication and headers over real sockets."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import aiohttp
import bcrypt
import pytest

from tests.support.programs import LOOPBACK
from tests.support.web_config import ALICE, AS_ALICE, PASSWORD, basic, write
from tests.web.web_config.site import Site, site

PATHS = ["/", "/metrics", "/nowhere", "/config", "/-/reload", "/-/healthy/x", "/%2e/-/healthy/.."]


@pytest.mark.parametrize("path", PATHS)
async def test_every_page_asks_for_a_password(path: str, tmp_path: Path) -> None:
    async with site(tmp_path, ALICE) as visited:
        status, headers = await visited.get(path)
    assert status == 401
    assert headers["WWW-Authenticate"] == 'Basic realm="axis-ntp-exporter", charset="UTF-8"'


@pytest.mark.parametrize(("path", "status"), [("/", 200), ("/metrics", 200), ("/nowhere", 404)])
async def test_the_right_password_lets_in(path: str, status: int, tmp_path: Path) -> None:
    async with site(tmp_path, ALICE) as visited:
        assert (await visited.get(path, headers=AS_ALICE))[0] == status


@pytest.mark.parametrize("path", ["/-/healthy", "/-/ready", "/-/healthy?x", "/%2D/healthy"])
async def test_health_needs_no_password(path: str, tmp_path: Path) -> None:
    async with site(tmp_path, ALICE) as visited:
        for headers in (None, basic("alice:wrong")):
            assert (await visited.get(path, headers=headers))[0] == 200


async def test_no_route_that_there_is_answers_without_a_password_but_health(
    tmp_path: Path,
) -> None:
    async with site(tmp_path, ALICE) as visited, aiohttp.ClientSession() as visitor:
        answered = set()
        for route in visited.app.router.routes():
            assert route.resource is not None
            url = f"http://{LOOPBACK}:{visited.port}{route.resource.canonical}"
            async with visitor.request(route.method, url) as response:
                if response.status != 401:
                    answered.add(route.resource.canonical)
    assert answered == {"/-/healthy", "/-/ready"}


async def test_nobody_posts_to_health_without_a_password(tmp_path: Path) -> None:
    async with site(tmp_path, ALICE) as visited, aiohttp.ClientSession() as visitor:
        url = f"http://{LOOPBACK}:{visited.port}/-/healthy"
        async with visitor.post(url) as response:
            assert response.status == 401


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (basic(f"alice:{PASSWORD}"), 200),
        (basic(f"alice:{PASSWORD}", "bAsIc"), 200),
        (basic(f"alice:{PASSWORD}", "Bearer"), 401),
        (basic(f"alice{PASSWORD.replace(':', '')}"), 401),
        (basic(f"alice:{PASSWORD}\0"), 401),
        (basic(f"alice :{PASSWORD}"), 401),
        (basic(b"alice:\xff\xfe"), 401),
        (basic("alice:"), 401),
        (basic(":"), 401),
        (basic(""), 401),
        ({"Authorization": "Basic"}, 401),
        ({"Authorization": "Basic !!!"}, 401),
        ({"Authorization": "Basic \u00e4"}, 401),
        ({"Authorization": ""}, 401),
        ({}, 401),
    ],
    ids=str,
)
async def test_an_odd_authorization_is_refused_like_a_wrong_password(
    headers: dict[str, str], status: int, tmp_path: Path
) -> None:
    async with site(tmp_path, ALICE) as visited:
        assert (await visited.get(headers=headers))[0] == status


async def test_a_refusal_is_the_same_whatever_was_wrong(tmp_path: Path) -> None:
    wrong = [
        {},
        basic("alice:wrong"),
        basic("nobody:wrong"),
        basic(f"nobody:{PASSWORD}"),
        {"Authorization": "Digest x"},
    ]
    async with site(tmp_path, ALICE) as visited:
        answers = [await raw_answer(visited, headers) for headers in wrong]
    assert len({answer.partition("\r\nDate: ")[0] for answer in answers}) == 1
    assert answers[0].endswith("\r\n\r\nUnauthorized\n")


async def raw_answer(visited: Site, headers: dict[str, str]) -> str:
    reader, writer = await asyncio.open_connection(LOOPBACK, visited.port)
    lines = ["GET /metrics HTTP/1.1", "Host: x", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    writer.write("\r\n".join([*lines, "", ""]).encode())
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer.decode()


async def test_without_users_nobody_is_asked(tmp_path: Path) -> None:
    async with site(tmp_path, "{}") as visited:
        assert (await visited.get())[0] == 200


async def test_users_come_and_go_while_it_runs(tmp_path: Path) -> None:
    bob = basic("bob:of bob")
    bobs = bcrypt.hashpw(b"of bob", bcrypt.gensalt(4)).decode()
    async with site(tmp_path, ALICE) as visited:
        assert [(await visited.get(headers=who))[0] for who in (AS_ALICE, bob)] == [200, 401]
        write(tmp_path, {"basic_auth_users": {"bob": bobs}})
        await visited.look_twice()
        assert [(await visited.get(headers=who))[0] for who in (AS_ALICE, bob)] == [401, 200]
        write(tmp_path, {"basic_auth_users": {}})
        await visited.look_twice()
        assert (await visited.get())[0] == 200


async def test_a_flood_of_wrong_passwords_holds_up_neither_health_nor_who_is_known(
    tmp_path: Path,
) -> None:
    slow = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(10)).decode()
    async with site(tmp_path, {"basic_auth_users": {"alice": slow}}) as visited:
        assert (await visited.get(headers=AS_ALICE))[0] == 200
        flood = [
            asyncio.create_task(visited.get(headers=basic(f"alice:guess {n}"))) for n in range(100)
        ]
        await asyncio.sleep(0.1)
        latencies = [await seconds_of(visited) for _ in range(5)]
        statuses = [status for status, _ in await asyncio.gather(*flood)]
    assert min(latencies) < 0.25
    assert set(statuses) == {401, 429}
    assert statuses.count(429) > 50


async def seconds_of(visited: Site) -> float:
    started = time.monotonic()
    assert (await visited.get("/-/healthy"))[0] == 200
    assert (await visited.get(headers=AS_ALICE))[0] == 200
    return time.monotonic() - started


async def test_who_is_told_to_come_back_is_told_when(tmp_path: Path) -> None:
    slow = bcrypt.hashpw(b"x", bcrypt.gensalt(9)).decode()
    async with site(tmp_path, {"basic_auth_users": {"alice": slow}}) as visited:
        flood = (visited.get(headers=basic(f"alice:{n}")) for n in range(30))
        answers = await asyncio.gather(*flood)
    assert {headers.get("Retry-After") for status, headers in answers if status == 429} == {"1"}


HEADERS = {
    "Strict-Transport-Security": "max-age=31536000",
    "X-Frame-Options": "deny",
    "X-XSS-Protection": "1; mode=block",
    "Content-Security-Policy": "default-src 'self'",
    "X-Content-Type-Options": "nosniff",
}


async def test_headers_are_on_every_answer_in_place_of_ours(tmp_path: Path) -> None:
    async with site(tmp_path, ALICE | {"http_server_config": {"headers": HEADERS}}) as visited:
        for path, who in [("/metrics", AS_ALICE), ("/metrics", None), ("/-/healthy", None)]:
            _, headers = await visited.get(path, headers=who)
            assert HEADERS.items() <= headers.items()


async def test_a_header_set_to_nothing_is_left_out(tmp_path: Path) -> None:
    config = {"http_server_config": {"headers": {"Content-Security-Policy": ""}}}
    async with site(tmp_path, config) as visited:
        _, headers = await visited.get()
    assert "Content-Security-Policy" not in headers
    assert headers["X-Content-Type-Options"] == "nosniff"


async def test_headers_change_while_it_runs(tmp_path: Path) -> None:
    async with site(tmp_path, {"http_server_config": {"headers": HEADERS}}) as visited:
        write(tmp_path, {"http_server_config": {"headers": {"X-Frame-Options": "sameorigin"}}})
        await visited.look_twice()
        _, headers = await visited.get()
    assert headers["X-Frame-Options"] == "sameorigin"
    assert "Strict-Transport-Security" not in headers
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
