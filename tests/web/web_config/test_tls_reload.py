"""The certificate or the client CAs change while the server runs."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest

from tests.support.certificates import Authority
from tests.support.programs import LOOPBACK
from tests.support.web_config import TLS, write
from tests.web.web_config.clients import REQUIRED, is_admitted, with_tls
from tests.web.web_config.site import site


async def test_a_new_certificate_is_served_once_it_is_stable(ours: Authority) -> None:
    async with site(ours.folder, TLS) as served:
        before = await served.served_certificate()
        certificate, _ = ours.issue("server")
        await served.live.check_files()
        assert await served.served_certificate() == before
        await served.live.check_files()
        assert await served.served_certificate() in certificate.read_text()
        assert await served.served_certificate() != before


async def test_a_new_client_ca_rejects_clients_of_the_old_one(
    ours: Authority, others: Authority
) -> None:
    old, new = ours.client_context("client"), others.client_context("client")
    new.load_verify_locations(ours.file)
    async with site(ours.folder, REQUIRED) as served:
        assert [await is_admitted(served, tls) for tls in (old, new)] == [True, False]
        with_others = REQUIRED["tls_server_config"] | {"client_ca_file": "others/ca.pem"}
        write(ours.folder, {"tls_server_config": with_others})
        await served.check_files_twice()
        assert [await is_admitted(served, tls) for tls in (old, new)] == [False, True]


async def test_after_a_reload_the_next_response_closes_an_open_connection(ours: Authority) -> None:
    tls = ours.client_context()
    async with site(ours.folder, TLS) as served, aiohttp.ClientSession() as session:
        url, kept = f"https://{LOOPBACK}:{served.port}/metrics", []
        for reloaded in (False, True, False):
            if reloaded:
                ours.issue("server")
                await served.check_files_twice()
            async with session.get(url, ssl=tls) as response:
                await response.read()
                kept.append(response.headers.get("Connection") != "close")
    assert kept == [True, False, True]


class KeptConnection:
    """A connection that a client keeps open."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def request(self) -> bytes:
        """Return the first line of the response; empty if there is none."""
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
async def test_a_client_that_is_no_longer_admitted_gets_no_response_on_an_open_connection(
    new_clients: dict[str, Any], renewals: int, ours: Authority, others: Authority
) -> None:
    assert others.file.exists()
    tls = ours.client_context("client")
    async with site(ours.folder, REQUIRED) as served:
        kept = KeptConnection(*await asyncio.open_connection(LOOPBACK, served.port, ssl=tls))
        assert await kept.request() == b"HTTP/1.1 200 OK\r\n"
        new = with_tls(**REQUIRED["tls_server_config"] | new_clients)
        write(ours.folder, new)
        await served.check_files_twice()
        for _ in range(renewals):
            ours.issue("server")
            await served.check_files_twice()
        assert await kept.request() == b""
        await kept.close()


async def test_a_new_file_with_the_same_client_ca_does_not_disconnect_clients(
    ours: Authority,
) -> None:
    tls = ours.client_context("client")
    async with site(ours.folder, REQUIRED) as served:
        kept = KeptConnection(*await asyncio.open_connection(LOOPBACK, served.port, ssl=tls))
        (ours.folder / "same.pem").write_bytes(ours.file.read_bytes())
        write(
            ours.folder, with_tls(**REQUIRED["tls_server_config"] | {"client_ca_file": "same.pem"})
        )
        await served.check_files_twice()
        assert await kept.request() == b"HTTP/1.1 200 OK\r\n"
        await kept.close()


async def test_an_allowed_client_is_still_served_after_new_client_rules(
    ours: Authority,
) -> None:
    tls = ours.client_context("client")
    async with site(ours.folder, REQUIRED) as served, aiohttp.ClientSession() as session:
        url = f"https://{LOOPBACK}:{served.port}/-/healthy"
        for allowed in ([], ["prometheus.example"]):
            if allowed:
                more = REQUIRED["tls_server_config"] | {"client_allowed_sans": allowed}
                write(ours.folder, {"tls_server_config": more})
                await served.check_files_twice()
            async with session.get(url, ssl=tls) as response:
                assert response.status == 200
