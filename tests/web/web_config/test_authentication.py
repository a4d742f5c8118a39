"""Basic authentication and headers over real sockets."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import aiohttp
import bcrypt
import pytest

from exporter.web.paths import WebPaths
from tests.support.programs import LOOPBACK
from tests.support.web_config import ALICE, AS_ALICE, PASSWORD, basic, write
from tests.web.web_config.site import Site, site

PATHS = ["/", "/metrics", "/nowhere", "/config", "/-/reload", "/-/healthy/x", "/%2e/-/healthy/.."]


@pytest.mark.parametrize("path", PATHS)
async def test_every_page_requires_a_password(path: str, tmp_path: Path) -> None:
    async with site(tmp_path, ALICE) as served:
        status, headers = await served.get(path)
    assert status == 401
    assert headers["WWW-Authenticate"] == 'Basic realm="axis-ntp-exporter", charset="UTF-8"'


@pytest.mark.parametrize(("path", "status"), [("/", 200), ("/metrics", 200), ("/nowhere", 404)])
async def test_the_right_password_is_admitted(path: str, status: int, tmp_path: Path) -> None:
    async with site(tmp_path, ALICE) as served:
        assert (await served.get(path, headers=AS_ALICE))[0] == status


@pytest.mark.parametrize("path", ["/-/healthy", "/-/ready", "/-/healthy?x", "/%2D/healthy"])
async def test_health_needs_no_password(path: str, tmp_path: Path) -> None:
    async with site(tmp_path, ALICE) as served:
        for headers in (None, basic("alice:wrong")):
            assert (await served.get(path, headers=headers))[0] == 200


@pytest.mark.parametrize("prefix", ["", "/clocks"])
async def test_no_route_but_health_answers_without_a_password(tmp_path: Path, prefix: str) -> None:
    paths = WebPaths(prefix, prefix)
    async with (
        site(tmp_path, ALICE, paths=paths) as served,
        aiohttp.ClientSession() as session,
    ):
        answered = set()
        for route in served.app.router.routes():
            assert route.resource is not None
            url = f"http://{LOOPBACK}:{served.port}{route.resource.canonical}"
            async with session.request(route.method, url) as response:
                if response.status != 401:
                    answered.add(route.resource.canonical)
    assert answered == {f"{prefix}/-/healthy", f"{prefix}/-/ready"}


async def test_a_post_to_health_requires_a_password(tmp_path: Path) -> None:
    async with site(tmp_path, ALICE) as served, aiohttp.ClientSession() as session:
        url = f"http://{LOOPBACK}:{served.port}/-/healthy"
        async with session.post(url) as response:
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
async def test_a_malformed_authorization_is_refused_like_a_wrong_password(
    headers: dict[str, str], status: int, tmp_path: Path
) -> None:
    async with site(tmp_path, ALICE) as served:
        assert (await served.get(headers=headers))[0] == status


async def test_a_refusal_is_the_same_whatever_was_wrong(tmp_path: Path) -> None:
    wrong = [
        {},
        basic("alice:wrong"),
        basic("nobody:wrong"),
        basic(f"nobody:{PASSWORD}"),
        {"Authorization": "Digest x"},
    ]
    async with site(tmp_path, ALICE) as served:
        responses = [await raw_response(served, headers) for headers in wrong]
    assert len({response.partition("\r\nDate: ")[0] for response in responses}) == 1
    assert responses[0].endswith("\r\n\r\nUnauthorized\n")


async def raw_response(served: Site, headers: dict[str, str]) -> str:
    reader, writer = await asyncio.open_connection(LOOPBACK, served.port)
    lines = ["GET /metrics HTTP/1.1", "Host: x", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    writer.write("\r\n".join([*lines, "", ""]).encode())
    response = await reader.read()
    writer.close()
    await writer.wait_closed()
    return response.decode()


async def test_without_users_no_password_is_required(tmp_path: Path) -> None:
    async with site(tmp_path, "{}") as served:
        assert (await served.get())[0] == 200


async def test_users_can_be_added_and_removed_while_it_runs(tmp_path: Path) -> None:
    bob = basic("bob:of bob")
    bobs = bcrypt.hashpw(b"of bob", bcrypt.gensalt(4)).decode()
    async with site(tmp_path, ALICE) as served:
        assert [(await served.get(headers=who))[0] for who in (AS_ALICE, bob)] == [200, 401]
        write(tmp_path, {"basic_auth_users": {"bob": bobs}})
        await served.check_files_twice()
        assert [(await served.get(headers=who))[0] for who in (AS_ALICE, bob)] == [401, 200]
        write(tmp_path, {"basic_auth_users": {}})
        await served.check_files_twice()
        assert (await served.get())[0] == 200


async def test_a_flood_of_wrong_passwords_delays_neither_health_nor_known_users(
    tmp_path: Path,
) -> None:
    slow = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(10)).decode()
    async with site(tmp_path, {"basic_auth_users": {"alice": slow}}) as served:
        assert (await served.get(headers=AS_ALICE))[0] == 200
        flood = [
            asyncio.create_task(served.get(headers=basic(f"alice:guess {n}"))) for n in range(100)
        ]
        await asyncio.sleep(0.1)
        latencies = [await latency_seconds(served) for _ in range(5)]
        statuses = [status for status, _ in await asyncio.gather(*flood)]
    assert min(latencies) < 0.25
    assert set(statuses) == {401, 429}
    assert statuses.count(429) > 50


async def latency_seconds(served: Site) -> float:
    started = time.monotonic()
    assert (await served.get("/-/healthy"))[0] == 200
    assert (await served.get(headers=AS_ALICE))[0] == 200
    return time.monotonic() - started


async def test_a_429_has_a_retry_after_header(tmp_path: Path) -> None:
    slow = bcrypt.hashpw(b"x", bcrypt.gensalt(9)).decode()
    async with site(tmp_path, {"basic_auth_users": {"alice": slow}}) as served:
        flood = (served.get(headers=basic(f"alice:{n}")) for n in range(30))
        responses = await asyncio.gather(*flood)
    assert {headers.get("Retry-After") for status, headers in responses if status == 429} == {"1"}


HEADERS = {
    "Strict-Transport-Security": "max-age=31536000",
    "X-Frame-Options": "deny",
    "X-XSS-Protection": "1; mode=block",
    "Content-Security-Policy": "default-src 'self'",
    "X-Content-Type-Options": "nosniff",
}


async def test_configured_headers_replace_ours_on_every_response(tmp_path: Path) -> None:
    async with site(tmp_path, ALICE | {"http_server_config": {"headers": HEADERS}}) as served:
        for path, who in [("/metrics", AS_ALICE), ("/metrics", None), ("/-/healthy", None)]:
            _, headers = await served.get(path, headers=who)
            assert HEADERS.items() <= headers.items()


async def test_an_empty_header_is_removed(tmp_path: Path) -> None:
    config = {"http_server_config": {"headers": {"Content-Security-Policy": ""}}}
    async with site(tmp_path, config) as served:
        _, headers = await served.get()
    assert "Content-Security-Policy" not in headers
    assert headers["X-Content-Type-Options"] == "nosniff"


async def test_headers_can_change_while_it_runs(tmp_path: Path) -> None:
    async with site(tmp_path, {"http_server_config": {"headers": HEADERS}}) as served:
        write(tmp_path, {"http_server_config": {"headers": {"X-Frame-Options": "sameorigin"}}})
        await served.check_files_twice()
        _, headers = await served.get()
    assert headers["X-Frame-Options"] == "sameorigin"
    assert "Strict-Transport-Security" not in headers
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
