"""TLS on real sockets and both event loops: which clients are admitted, and how."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import warnings
from collections.abc import Mapping

import pytest

from tests.support.certificates import Authority
from tests.support.programs import LOOPBACK
from tests.support.web_config import TLS
from tests.web.web_config.clients import REQUIRED, is_admitted, with_tls
from tests.web.web_config.site import Site, site

CLIENT_NAMES = ("prometheus.example", "2001:db8::1", "192.0.2.7", "ops@example.com")


async def test_it_serves_over_tls(ours: Authority) -> None:
    async with site(ours.folder, TLS) as served:
        status, headers = await served.get(tls=ours.client_context())
    assert (status, headers["Server"]) == (200, "axis-ntp-exporter")


async def test_paths_are_relative_to_the_web_config(
    ours: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/")
    async with site(ours.folder, TLS) as served:
        assert await is_admitted(served, ours.client_context())


NONE, OURS, OTHERS = "no certificate", "certificate of our CA", "certificate of another CA"


@pytest.mark.parametrize(
    ("client_auth", "admitted"),
    [
        ({"client_auth_type": "NoClientCert"}, [NONE, OURS, OTHERS]),
        ({"client_auth_type": "RequestClientCert"}, [NONE, OURS, OTHERS]),
        (
            {"client_auth_type": "RequestClientCert", "client_ca_file": "ca.pem"},
            [NONE, OURS, OTHERS],
        ),
        (
            {"client_auth_type": "VerifyClientCertIfGiven", "client_ca_file": "ca.pem"},
            [NONE, OURS],
        ),
        (
            {"client_auth_type": "RequireAndVerifyClientCert", "client_ca_file": "ca.pem"},
            [OURS],
        ),
        # As in Prometheus, the CAs of the system are used: they include neither of ours.
        ({"client_auth_type": "VerifyClientCertIfGiven"}, [NONE]),
        ({"client_auth_type": "RequireAndVerifyClientCert"}, []),
        # The trusted certificate may be the client's own.
        (
            {"client_auth_type": "RequireAndVerifyClientCert", "client_ca_file": "client.crt"},
            [OURS],
        ),
    ],
    ids=str,
)
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_client_auth_type_decides_which_clients_are_admitted(
    client_auth: Mapping[str, str],
    admitted: list[str],
    version: ssl.TLSVersion,
    ours: Authority,
    others: Authority,
) -> None:
    clients = {NONE: ours.client_context(), OURS: ours.client_context("client")}
    clients[OTHERS] = others.client_context("client")
    clients[OTHERS].load_verify_locations(ours.file)
    async with site(ours.folder, with_tls(**client_auth)) as served:
        found = []
        for name, tls in clients.items():
            tls.minimum_version = tls.maximum_version = version
            if await is_admitted(served, tls):
                found.append(name)
    assert found == admitted


async def test_without_a_client_ca_the_cas_of_the_system_are_used(
    ours: Authority, others: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    # OpenSSL reads the system's CAs from here.
    monkeypatch.setenv("SSL_CERT_FILE", str(others.file))
    tls = others.client_context("client")
    tls.load_verify_locations(ours.file)
    config = with_tls(client_auth_type="RequireAndVerifyClientCert")
    async with site(ours.folder, config) as served:
        assert await is_admitted(served, tls)
        assert not await is_admitted(served, ours.client_context("client"))


@pytest.mark.parametrize(
    ("version", "client", "alert"),
    [
        (ssl.TLSVersion.TLSv1_2, None, "SSLV3_ALERT_HANDSHAKE_FAILURE"),
        (ssl.TLSVersion.TLSv1_3, None, "TLSV13_ALERT_CERTIFICATE_REQUIRED"),
        (ssl.TLSVersion.TLSv1_2, "client", "TLSV1_ALERT_UNKNOWN_CA"),
        (ssl.TLSVersion.TLSv1_3, "client", "TLSV1_ALERT_UNKNOWN_CA"),
    ],
)
async def test_a_client_gets_an_alert_that_names_the_problem_of_its_certificate(
    version: ssl.TLSVersion, client: str | None, alert: str, ours: Authority, others: Authority
) -> None:
    tls = others.client_context(client)
    tls.load_verify_locations(ours.file)
    tls.minimum_version = tls.maximum_version = version
    async with site(ours.folder, REQUIRED) as served:
        assert await asyncio.to_thread(alert_to, served.port, tls) == alert


def alert_to(port: int, tls: ssl.SSLContext) -> str | None:
    """Return the alert that a client gets, at the handshake or, with TLS 1.3, after it."""
    with socket.create_connection((LOOPBACK, port), timeout=30) as plain:
        try:
            with tls.wrap_socket(plain, server_hostname=LOOPBACK) as secured:
                secured.recv(1)
        except ssl.SSLError as problem:
            return problem.reason
    return None


@pytest.mark.parametrize("name", CLIENT_NAMES)
async def test_client_allowed_sans_admits_clients_with_one_of_the_names(
    name: str, ours: Authority
) -> None:
    ours.issue("other", "other.example")
    ours.issue("named", "also.example", name)
    allowed = REQUIRED["tls_server_config"] | {"client_allowed_sans": [name, "x"]}
    async with site(ours.folder, {"tls_server_config": allowed}) as served:
        assert await is_admitted(served, ours.client_context("named"))
        assert not await is_admitted(served, ours.client_context("other"))
        assert not await is_admitted(served, ours.client_context())


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, ["TLSv1.2", "TLSv1.3"]),
        ({"min_version": "TLS10"}, ["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"]),
        ({"min_version": "TLS11", "max_version": "TLS12"}, ["TLSv1.1", "TLSv1.2"]),
        ({"min_version": "TLS13"}, ["TLSv1.3"]),
        ({"max_version": "TLS12"}, ["TLSv1.2"]),
    ],
    ids=str,
)
async def test_min_version_and_max_version_bound_the_tls_versions(
    settings: Mapping[str, str], expected: list[str], ours: Authority
) -> None:
    found = []
    async with site(ours.folder, with_tls(**settings)) as served:
        for version in list(ssl.TLSVersion)[2:-1]:
            tls = ours.client_context()
            tls.set_ciphers("DEFAULT:@SECLEVEL=0")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                tls.minimum_version = tls.maximum_version = version
            found.append((await handshake(served, tls))[0])
    assert [version for version in found if version] == expected


async def handshake(served: Site, tls: ssl.SSLContext) -> tuple[str, str]:
    """Return version and cipher of a connection; empty if the handshake fails."""
    try:
        _, writer = await asyncio.open_connection(LOOPBACK, served.port, ssl=tls)
    except OSError:
        return "", ""
    connection = writer.get_extra_info("ssl_object")
    found = connection.version(), connection.cipher()[0]
    writer.close()
    await writer.wait_closed()
    return found


CHACHA, AES256 = "ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-ECDSA-AES256-GCM-SHA384"


@pytest.mark.parametrize(("preferred", "chosen"), [(True, CHACHA), (False, AES256)])
async def test_cipher_suites_are_chosen_in_the_servers_order_or_the_clients(
    preferred: bool,  # noqa: FBT001 - a column of the table
    chosen: str,
    ours: Authority,
) -> None:
    names = [
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    ]
    settings = with_tls(cipher_suites=names, prefer_server_cipher_suites=preferred)
    async with site(ours.folder, settings | {"http_server_config": {"http2": True}}) as served:
        tls = ours.client_context()
        tls.maximum_version = ssl.TLSVersion.TLSv1_2
        tls.set_ciphers(f"{AES256}:{CHACHA}")
        assert (await handshake(served, tls))[1] == chosen
        tls.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
        assert await handshake(served, tls) == ("", "")


async def test_curve_preferences_sets_the_curve(ours: Authority) -> None:
    async with site(ours.folder, with_tls(curve_preferences=["CurveP384"])) as served:
        for curve, version in [("secp384r1", "TLSv1.3"), ("prime256v1", "")]:
            tls = ours.client_context()
            tls.set_ecdh_curve(curve)
            assert (await handshake(served, tls))[0] == version


async def test_a_client_that_offers_http_2_gets_http_1(ours: Authority) -> None:
    tls = ours.client_context()
    tls.set_alpn_protocols(["h2", "http/1.1"])
    async with site(ours.folder, TLS | {"http_server_config": {"http2": True}}) as served:
        _, writer = await asyncio.open_connection(LOOPBACK, served.port, ssl=tls)
        assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize(
    "data", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x00\x05", b"\0" * 99]
)
async def test_data_that_is_not_tls_ends_only_its_connection(
    data: bytes, ours: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        async with site(ours.folder, TLS) as served:
            reader, writer = await asyncio.open_connection(LOOPBACK, served.port)
            writer.write(data)
            writer.write_eof()
            assert b"HTTP" not in await reader.read()
            writer.close()
            await writer.wait_closed()
            assert await is_admitted(served, ours.client_context())
    assert caplog.records == []


async def test_a_rejected_client_logs_nothing(
    ours: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    allowed = REQUIRED["tls_server_config"] | {"client_allowed_sans": ["x"]}
    with caplog.at_level(logging.INFO):
        async with site(ours.folder, {"tls_server_config": allowed}) as served:
            for client in (None, "client"):
                assert not await is_admitted(served, ours.client_context(client))
    assert caplog.records == []
