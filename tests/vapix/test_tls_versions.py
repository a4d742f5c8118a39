"""TLS to a device on real sockets: the protocol version."""

import ssl
from contextlib import suppress
from pathlib import Path

import pytest
import trustme

from exporter.system.tls import TlsVersion
from exporter.vapix.tls import TlsSettings
from tests.vapix.tls_device import (
    LOBBY,
    TLS12,
    TLS13,
    Seen,
    device_that,
    explanation,
    failure_of,
    is_read,
    issued_to,
    only,
    serves_tls,
)


async def test_a_device_that_supports_only_tls_1_2_is_refused_by_min_version_tls13(
    authority: trustme.CA, trusted: Path
) -> None:
    seen = Seen()
    context = only(TLS12, issued_to(authority, "127.0.0.1"))
    async with device_that(serves_tls(context, seen)) as address:
        error = await failure_of(address, TlsSettings(ca_file=trusted, min_version="TLS13"))
    assert error.reason == "tls"
    assert "version" in explanation(error)
    assert seen.http == b""


@pytest.mark.parametrize(
    ("min_version", "offered", "used"),
    [("TLS12", TLS12, "TLSv1.2"), ("TLS12", TLS13, "TLSv1.3"), ("TLS13", TLS13, "TLSv1.3")],
)
async def test_a_device_that_supports_at_least_min_version_is_read(
    min_version: TlsVersion,
    offered: ssl.TLSVersion,
    used: str,
    authority: trustme.CA,
    trusted: Path,
) -> None:
    seen = Seen()
    context = only(offered, issued_to(authority, "127.0.0.1"))
    async with device_that(serves_tls(context, seen)) as address:
        assert await is_read(address, TlsSettings(ca_file=trusted, min_version=min_version))
    assert seen.versions == [used]


def is_supported_here(version: ssl.TLSVersion, authority: trustme.CA) -> bool:
    """Return whether this machine's OpenSSL can use an old version at all."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    try:
        client = only(version, context).wrap_bio(to_client, to_server)
        server = only(version, issued_to(authority, LOBBY)).wrap_bio(
            to_server, to_client, server_side=True
        )
        for _ in range(4):
            for side in (client, server):
                with suppress(ssl.SSLWantReadError):
                    side.do_handshake()
    except ssl.SSLError:
        return False
    return client.version() is not None


@pytest.mark.parametrize(
    ("offered", "accepted_by"),
    [(ssl.TLSVersion.TLSv1, {"TLS10"}), (ssl.TLSVersion.TLSv1_1, {"TLS10", "TLS11"})],
)
@pytest.mark.parametrize("min_version", ["TLS10", "TLS11", "TLS12", "TLS13"])
async def test_an_old_version_is_used_only_if_min_version_allows_it(
    offered: ssl.TLSVersion,
    accepted_by: set[TlsVersion],
    min_version: TlsVersion,
    authority: trustme.CA,
    trusted: Path,
) -> None:
    if not is_supported_here(offered, authority):
        pytest.skip(f"{ssl.OPENSSL_VERSION} as configured here does not support {offered.name}")
    seen = Seen()
    settings = TlsSettings(ca_file=trusted, min_version=min_version)
    context = only(offered, issued_to(authority, "127.0.0.1"))
    async with device_that(serves_tls(context, seen)) as address:
        if min_version in accepted_by:
            assert await is_read(address, settings)
        else:
            assert (await failure_of(address, settings)).reason == "tls"
    assert bool(seen.http) == (min_version in accepted_by)
