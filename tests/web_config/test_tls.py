"""TLS of the web side on real sockets and both event loops: who gets in, and what is swapped."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.web_config.certificates import LOOPBACK, Authority, authority
from tests.web_config.site import TLS, Site, site, write

CLIENT_NAMES = ("prometheus.example", "2001:db8::1", "192.0.2.7", "ops@example.com")


@pytest.fixture
def ours(tmp_path: Path) -> Authority:
    made = authority(tmp_path)
    made.issue("client", "prometheus.example")
    return made


@pytest.fixture
def others(tmp_path: Path) -> Authority:
    made = authority(tmp_path / "others")
    made.issue("client", "prometheus.example")
    return made


def with_tls(**more: Any) -> dict[str, Any]:
    return {"tls_server_config": TLS["tls_server_config"] | more}


REQUIRED = with_tls(client_auth_type="RequireAndVerifyClientCert", client_ca_file="ca.pem")


async def is_let_in(visited: Site, tls: ssl.SSLContext) -> bool:
    try:
        status, _ = await visited.get(tls=tls)
    except aiohttp.ClientError:
        return False
    return status == 200


async def test_it_serves_over_tls(ours: Authority) -> None:
    async with site(ours.folder, TLS) as visited:
        status, headers = await visited.get(tls=ours.client_context())
    assert (status, headers["Server"]) == (200, "axis-ntp-exporter")


async def test_paths_are_relative_to_the_web_config(
    ours: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/")
    async with site(ours.folder, TLS) as visited:
        assert await is_let_in(visited, ours.client_context())


NOBODY, OURS, OTHERS = "no certificate", "one of our CA", "one of another CA"


@pytest.mark.parametrize(
    ("client_auth", "let_in"),
    [
        ({"client_auth_type": "NoClientCert"}, [NOBODY, OURS, OTHERS]),
        ({"client_auth_type": "RequestClientCert"}, [NOBODY, OURS, OTHERS]),
        (
            {"client_auth_type": "RequestClientCert", "client_ca_file": "ca.pem"},
            [NOBODY, OURS, OTHERS],
        ),
        (
            {"client_auth_type": "VerifyClientCertIfGiven", "client_ca_file": "ca.pem"},
            [NOBODY, OURS],
        ),
        (
            {"client_auth_type": "RequireAndVerifyClientCert", "client_ca_file": "ca.pem"},
            [OURS],
        ),
        # The CAs of the system, as in Prometheus: neither of these two.
        ({"client_auth_type": "VerifyClientCertIfGiven"}, [NOBODY]),
        ({"client_auth_type": "RequireAndVerifyClientCert"}, []),
        # What is trusted may be the certificate itself.
        (
            {"client_auth_type": "RequireAndVerifyClientCert", "client_ca_file": "client.crt"},
            [OURS],
        ),
    ],
    ids=str,
)
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_client_auth_type_says_who_gets_in(
    client_auth: Mapping[str, str],
    let_in: list[str],
    version: ssl.TLSVersion,
    ours: Authority,
    others: Authority,
) -> None:
    clients = {NOBODY: ours.client_context(), OURS: ours.client_context("client")}
    clients[OTHERS] = others.client_context("client")
    clients[OTHERS].load_verify_locations(ours.file)
    async with site(ours.folder, with_tls(**client_auth)) as visited:
        found = []
        for name, tls in clients.items():
            tls.minimum_version = tls.maximum_version = version
            if await is_let_in(visited, tls):
                found.append(name)
    assert found == let_in


async def test_without_a_client_ca_the_cas_of_the_system_say_who_gets_in(
    ours: Authority, others: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    # So OpenSSL is told where the system's are.
    monkeypatch.setenv("SSL_CERT_FILE", str(others.file))
    tls = others.client_context("client")
    tls.load_verify_locations(ours.file)
    config = with_tls(client_auth_type="RequireAndVerifyClientCert")
    async with site(ours.folder, config) as visited:
        assert await is_let_in(visited, tls)
        assert not await is_let_in(visited, ours.client_context("client"))


@pytest.mark.parametrize(
    ("version", "client", "alert"),
    [
        (ssl.TLSVersion.TLSv1_2, None, "SSLV3_ALERT_HANDSHAKE_FAILURE"),
        (ssl.TLSVersion.TLSv1_3, None, "TLSV13_ALERT_CERTIFICATE_REQUIRED"),
        (ssl.TLSVersion.TLSv1_2, "client", "TLSV1_ALERT_UNKNOWN_CA"),
        (ssl.TLSVersion.TLSv1_3, "client", "TLSV1_ALERT_UNKNOWN_CA"),
    ],
)
async def test_a_client_is_told_what_is_wrong_with_its_certificate(
    version: ssl.TLSVersion, client: str | None, alert: str, ours: Authority, others: Authority
) -> None:
    tls = others.client_context(client)
    tls.load_verify_locations(ours.file)
    tls.minimum_version = tls.maximum_version = version
    async with site(ours.folder, REQUIRED) as visited:
        assert await asyncio.to_thread(alert_to, visited.port, tls) == alert


def alert_to(port: int, tls: ssl.SSLContext) -> str | None:
    """The alert that a client gets, at the handshake or, with TLS 1.3, after it."""
    with socket.create_connection((LOOPBACK, port), timeout=30) as plain:
        try:
            with tls.wrap_socket(plain, server_hostname=LOOPBACK) as secured:
                secured.recv(1)
        except ssl.SSLError as problem:
            return problem.reason
    return None


@pytest.mark.parametrize("name", CLIENT_NAMES)
async def test_client_allowed_sans_lets_in_those_who_have_one(name: str, ours: Authority) -> None:
    ours.issue("other", "other.example")
    ours.issue("named", "also.example", name)
    allowed = REQUIRED["tls_server_config"] | {"client_allowed_sans": [name, "x"]}
    async with site(ours.folder, {"tls_server_config": allowed}) as visited:
        assert await is_let_in(visited, ours.client_context("named"))
        assert not await is_let_in(visited, ours.client_context("other"))
        assert not await is_let_in(visited, ours.client_context())


@pytest.mark.parametrize(
    ("settings", "spoken"),
    [
        ({}, ["TLSv1.2", "TLSv1.3"]),
        ({"min_version": "TLS10"}, ["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"]),
        ({"min_version": "TLS11", "max_version": "TLS12"}, ["TLSv1.1", "TLSv1.2"]),
        ({"min_version": "TLS13"}, ["TLSv1.3"]),
        ({"max_version": "TLS12"}, ["TLSv1.2"]),
    ],
    ids=str,
)
async def test_min_version_and_max_version_bound_what_is_spoken(
    settings: Mapping[str, str], spoken: list[str], ours: Authority
) -> None:
    found = []
    async with site(ours.folder, with_tls(**settings)) as visited:
        for version in list(ssl.TLSVersion)[2:-1]:
            tls = ours.client_context()
            tls.set_ciphers("DEFAULT:@SECLEVEL=0")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                tls.minimum_version = tls.maximum_version = version
            found.append((await handshake(visited, tls))[0])
    assert [version for version in found if version] == spoken


async def handshake(visited: Site, tls: ssl.SSLContext) -> tuple[str, str]:
    """Version and cipher of a connection; nothing where there is none."""
    try:
        _, writer = await asyncio.open_connection(LOOPBACK, visited.port, ssl=tls)
    except OSError:
        return "", ""
    connection = writer.get_extra_info("ssl_object")
    found = connection.version(), connection.cipher()[0]
    writer.close()
    await writer.wait_closed()
    return found


CHACHA, AES256 = "ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-ECDSA-AES256-GCM-SHA384"


@pytest.mark.parametrize(("preferred", "chosen"), [(True, CHACHA), (False, AES256)])
async def test_cipher_suites_are_those_in_the_servers_order_or_the_clients(
    preferred: bool,  # noqa: FBT001 - a column of the table
    chosen: str,
    ours: Authority,
) -> None:
    names = [
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    ]
    settings = with_tls(cipher_suites=names, prefer_server_cipher_suites=preferred)
    async with site(ours.folder, settings | {"http_server_config": {"http2": True}}) as visited:
        tls = ours.client_context()
        tls.maximum_version = ssl.TLSVersion.TLSv1_2
        tls.set_ciphers(f"{AES256}:{CHACHA}")
        assert (await handshake(visited, tls))[1] == chosen
        tls.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
        assert await handshake(visited, tls) == ("", "")


async def test_curve_preferences_is_the_curve(ours: Authority) -> None:
    async with site(ours.folder, with_tls(curve_preferences=["CurveP384"])) as visited:
        for curve, spoken in [("secp384r1", "TLSv1.3"), ("prime256v1", "")]:
            tls = ours.client_context()
            tls.set_ecdh_curve(curve)
            assert (await handshake(visited, tls))[0] == spoken


async def test_whoever_wishes_for_http_2_gets_http_1(ours: Authority) -> None:
    tls = ours.client_context()
    tls.set_alpn_protocols(["h2", "http/1.1"])
    async with site(ours.folder, TLS | {"http_server_config": {"http2": True}}) as visited:
        _, writer = await asyncio.open_connection(LOOPBACK, visited.port, ssl=tls)
        assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"
        writer.close()
        await writer.wait_closed()


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


@pytest.mark.parametrize(
    "said", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x00\x05", b"\0" * 99]
)
async def test_what_is_no_tls_ends_the_connection_and_nothing_else(
    said: bytes, ours: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        async with site(ours.folder, TLS) as visited:
            reader, writer = await asyncio.open_connection(LOOPBACK, visited.port)
            writer.write(said)
            writer.write_eof()
            assert b"HTTP" not in await reader.read()
            writer.close()
            await writer.wait_closed()
            assert await is_let_in(visited, ours.client_context())
    assert caplog.records == []


async def test_who_is_shut_out_leaves_no_word_in_the_log(
    ours: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    allowed = REQUIRED["tls_server_config"] | {"client_allowed_sans": ["x"]}
    with caplog.at_level(logging.INFO):
        async with site(ours.folder, {"tls_server_config": allowed}) as visited:
            for client in (None, "client"):
                assert not await is_let_in(visited, ours.client_context(client))
    assert caplog.records == []
