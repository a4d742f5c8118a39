"""A certificate or the client CAs change while it is served."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest

from tests.web.web_config.certificates import LOOPBACK, Authority
from tests.web.web_config.site import TLS, site, write
from tests.web.web_config.clients import REQUIRED, is_let_in, with_tls


async def test_a_new_certificate_is_served_once_it_stands_still(ours: Authority) -> None:
    async with site(ours.folder, TLS) as visited:
        before = await visited.served_certificate()
        certificate, _ = ours.issue("server")
        await visited.live.look()
        assert await visited.served_certificate() == before
        await visited.live.look()
        assert await visited.served_certificate() in certificate.read_text()
        assert await visited.served_certificate() != before


async def test_another_client_ca_shuts_out_whom_the_old_one_let_in(
    ours: Authority, others: Authority
) -> None:
    old, new = ours.client_context("client"), others.client_context("client")
    new.load_verify_locations(ours.file)
    async with site(ours.folder, REQUIRED) as visited:
        assert [await is_let_in(visited, tls) for tls in (old, new)] == [True, False]
        with_others = REQUIRED["tls_server_config"] | {"client_ca_file": "others/ca.pem"}
        write(ours.folder, {"tls_server_config": with_others})
        await visited.look_twice()
        assert [await is_let_in(visited, tls) for tls in (old, new)] == [False, True]


async def test_an_open_connection_gets_one_more_answer_after_a_swap(ours: Authority) -> None:
    tls = ours.client_context()
    async with site(ours.folder, TLS) as visited, aiohttp.ClientSession() as visitor:
        url, kept = f"https://{LOOPBACK}:{visited.port}/metrics", []
        for swapped in (False, True, False):
            if swapped:
                ours.issue("server")
                await visited.look_twice()
            async with visitor.get(url, ssl=tls) as response:
                await response.read()
                kept.append(response.headers.get("Connection") != "close")
    assert kept == [True, False, True]


class Kept:
    """A connection that a visitor keeps open."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def ask(self) -> bytes:
        """The answer's first line; nothing where there is none."""
        self._writer.write(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n")
        first = await self._reader.readline()
        while (await self._reader.readline()).strip():
            pass
        if first:
            await self._reader.readline()
        return first

    async def close(self) -> None:
        self._writer.close()
        await self._writer.wait_closed()


NEW_CLIENTS = [
    {"client_ca_file": "others/ca.pem"},
    {"client_ca_file": "ca.pem", "client_allowed_sans": ["x"]},
]


@pytest.mark.parametrize("new_clients", NEW_CLIENTS)
@pytest.mark.parametrize("renewals", [0, 1])
async def test_who_may_come_no_more_gets_no_answer_on_an_open_connection_either(
    new_clients: dict[str, Any], renewals: int, ours: Authority, others: Authority
) -> None:
    assert others.file.exists()
    tls = ours.client_context("client")
    async with site(ours.folder, REQUIRED) as visited:
        kept = Kept(*await asyncio.open_connection(LOOPBACK, visited.port, ssl=tls))
        assert await kept.ask() == b"HTTP/1.1 200 OK\r\n"
        new = with_tls(**REQUIRED["tls_server_config"] | new_clients)
        write(ours.folder, new)
        await visited.look_twice()
        for _ in range(renewals):
            ours.issue("server")
            await visited.look_twice()
        assert await kept.ask() == b""
        await kept.close()


async def test_another_file_of_the_same_clients_shuts_out_nobody(ours: Authority) -> None:
    tls = ours.client_context("client")
    async with site(ours.folder, REQUIRED) as visited:
        kept = Kept(*await asyncio.open_connection(LOOPBACK, visited.port, ssl=tls))
        (ours.folder / "same.pem").write_bytes(ours.file.read_bytes())
        write(
            ours.folder, with_tls(**REQUIRED["tls_server_config"] | {"client_ca_file": "same.pem"})
        )
        await visited.look_twice()
        assert await kept.ask() == b"HTTP/1.1 200 OK\r\n"
        await kept.close()


async def test_who_may_still_come_need_not_notice_that_the_clients_have_changed(
    ours: Authority,
) -> None:
    tls = ours.client_context("client")
    async with site(ours.folder, REQUIRED) as visited, aiohttp.ClientSession() as visitor:
        url = f"https://{LOOPBACK}:{visited.port}/-/healthy"
        for allowed in ([], ["prometheus.example"]):
            if allowed:
                more = REQUIRED["tls_server_config"] | {"client_allowed_sans": allowed}
                write(ours.folder, {"tls_server_config": more})
                await visited.look_twice()
            async with visitor.get(url, ssl=tls) as response:
                assert response.status == 200
