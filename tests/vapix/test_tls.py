"""TLS to a device on real sockets: which certificates are trusted."""

import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme
from yarl import URL

from exporter.vapix import errors, ntp
from exporter.vapix.client import Endpoint, NtpClient
from exporter.vapix.connection import open_session
from exporter.vapix.http_auth import Authenticator
from exporter.vapix.tls import TlsSettings, make_ssl_context
from tests.support.certificates import Certificate
from tests.vapix.tls_device import (
    GATE,
    LOBBY,
    TLS12,
    TLS13,
    Seen,
    client_of,
    context_with,
    device_that,
    explanation,
    failure_of,
    is_read,
    issued_to,
    only,
    serves_one_request,
    serves_tls,
)

LONG = f"{'.'.join(['building-17'] * 20)}.cameras.example"


async def test_a_self_signed_certificate_is_refused_by_default(factory: Certificate) -> None:
    seen = Seen()
    async with device_that(serves_tls(context_with(factory), seen)) as address:
        error = await failure_of(address, TlsSettings(), factory.name)
    assert error.reason == "tls"
    assert explanation(error) == (
        "self-signed certificate; to trust it, set "
        f"tls_config.fingerprint_sha256: {factory.fingerprint.hex()}, or ca_file"
    )
    assert seen.http == b""


async def test_a_certificate_of_an_unknown_issuer_is_refused_by_default(
    authority: trustme.CA,
) -> None:
    seen = Seen()
    async with device_that(serves_tls(issued_to(authority, "127.0.0.1"), seen)) as address:
        error = await failure_of(address, TlsSettings())
    assert error.reason == "tls"
    assert "unable to get local issuer certificate" in explanation(error)
    assert seen.http == b""


async def test_a_certificate_signed_by_ca_file_for_the_address_is_accepted(
    authority: trustme.CA, trusted: Path
) -> None:
    async with device_that(serves_tls(issued_to(authority, "127.0.0.1"), Seen())) as address:
        assert await is_read(address, TlsSettings(ca_file=trusted))


@pytest.mark.parametrize(
    ("server_name", "asked_for"),
    [
        (None, "127.0.0.1"),
        (GATE, GATE),
        ("127.0.0.2", "127.0.0.2"),
        (LONG, LONG),
    ],
)
async def test_a_certificate_signed_by_ca_file_for_another_name_is_refused_and_the_name_is_reported(
    server_name: str | None, asked_for: str, authority: trustme.CA, trusted: Path
) -> None:
    seen = Seen()
    async with device_that(serves_tls(issued_to(authority, LOBBY), seen)) as address:
        error = await failure_of(address, TlsSettings(ca_file=trusted), server_name)
    assert error.reason == "tls"
    assert asked_for in explanation(error)
    assert explanation(error).endswith(", or server_name")
    assert seen.http == b""


async def test_server_name_is_the_name_that_is_requested_and_verified(
    authority: trustme.CA, trusted: Path
) -> None:
    seen = Seen()
    async with device_that(serves_tls(issued_to(authority, LOBBY), seen)) as address:
        assert await is_read(address, TlsSettings(ca_file=trusted), LOBBY)
    assert seen.server_names == [LOBBY]


async def test_without_verification_any_certificate_is_accepted(factory: Certificate) -> None:
    async with device_that(serves_tls(context_with(factory), Seen())) as address:
        assert await is_read(address, TlsSettings(insecure_skip_verify=True))


async def test_a_connection_without_verification_is_not_reused_by_a_client_that_verifies(
    factory: Certificate,
) -> None:
    seen = Seen()
    async with (
        device_that(serves_tls(context_with(factory), seen)) as address,
        open_session() as session,
    ):
        url = URL(f"https://{address}{ntp.PATH}")
        careless, careful = (
            NtpClient(
                session,
                Endpoint(url, make_ssl_context(TlsSettings(insecure_skip_verify=skip))),
                Authenticator("auto", None, secure=True),
            )
            for skip in (True, False)
        )
        await careless.get_info()
        with pytest.raises(errors.TlsFailed):
            await careful.get_info()
    assert seen.http.count(b"POST ") == 1


@pytest.mark.parametrize("version", [TLS12, TLS13])
async def test_the_pinned_certificate_is_accepted_whatever_its_issuer(
    version: ssl.TLSVersion, factory: Certificate
) -> None:
    tls = TlsSettings(fingerprint_sha256=factory.fingerprint)
    async with device_that(serves_tls(only(version, context_with(factory)), Seen())) as address:
        assert await is_read(address, tls)


@pytest.mark.parametrize("also", [{}, {"insecure_skip_verify": True}])
@pytest.mark.parametrize("version", [TLS12, TLS13])
async def test_a_certificate_that_is_not_pinned_is_reported_and_no_http_is_sent(
    version: ssl.TLSVersion, also: dict[str, Any], factory: Certificate
) -> None:
    seen = Seen()
    tls = TlsSettings(fingerprint_sha256=bytes(32), **also)
    async with device_that(serves_tls(only(version, context_with(factory)), seen)) as address:
        error = await failure_of(address, tls)
    assert error.reason == "tls"
    assert f"tls_config.fingerprint_sha256: {factory.fingerprint.hex()}" in explanation(error)
    assert seen.http == b""


async def test_the_pin_is_checked_at_every_connection(
    factory: Certificate, authority: trustme.CA
) -> None:
    # The device's certificate changes between two connections of one client.
    seen, contexts = Seen(), [context_with(factory), issued_to(authority, "127.0.0.1")]

    tls = TlsSettings(fingerprint_sha256=factory.fingerprint)
    async with (
        device_that(serves_one_request(contexts, seen)) as address,
        client_of(address, tls) as client,
    ):
        await client.get_info()
        with pytest.raises(errors.TlsFailed):
            await client.get_info()
    assert seen.http.count(b"POST ") == 1
