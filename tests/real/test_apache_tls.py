"""The client against Apache httpd over HTTPS: certificate verification, and Basic."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter.vapix.errors import TlsFailed
from exporter.vapix.tls import TlsSettings
from tests.real.conftest import StartApache
from tests.support.apache import Apache
from tests.support.apache_client import ClientOptions, open_client
from tests.support.apache_config import BASIC_TOO, ApacheSettings
from tests.support.certificates import Certificate, self_signed, signed_by_a_ca

ANY_CERTIFICATE = ClientOptions(tls=TlsSettings(insecure_skip_verify=True))


@pytest.fixture(scope="session")
def factory(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return self_signed(tmp_path_factory.mktemp("factory"))


@pytest.fixture
def secure_device(start_apache: StartApache, factory: Certificate) -> Apache:
    return start_apache(ApacheSettings(certificate=factory.with_key, auth="basic"))


async def refusal_of(apache: Apache, settings: ClientOptions) -> str:
    """Return the error for a rejected certificate; check that no request was sent."""
    async with open_client(apache, settings) as client:
        with pytest.raises(TlsFailed) as refusal:
            await client.get_info()
    assert apache.requests() == []
    return str(refusal.value)


async def is_accepted(apache: Apache, settings: ClientOptions) -> bool:
    async with open_client(apache, settings) as client:
        return (await client.get_info()).value.client is not None


async def test_a_self_signed_certificate_is_refused_by_default(secure_device: Apache) -> None:
    message = await refusal_of(secure_device, ClientOptions(tls=TlsSettings()))
    assert "self-signed certificate" in message


async def test_a_self_signed_certificate_is_accepted_by_file_and_name(
    secure_device: Apache, factory: Certificate
) -> None:
    tls = TlsSettings(ca_file=factory.trusted)
    assert await is_accepted(secure_device, ClientOptions(tls=tls, server_name=factory.name))


async def test_a_trusted_certificate_of_another_name_is_refused(
    secure_device: Apache, factory: Certificate
) -> None:
    tls = TlsSettings(ca_file=factory.trusted)
    message = await refusal_of(secure_device, ClientOptions(tls=tls))
    assert "127.0.0.1" in message


async def test_a_certificate_of_the_operators_ca_is_accepted_by_file_and_name(
    start_apache: StartApache, tmp_path: Path
) -> None:
    issued = signed_by_a_ca(tmp_path)
    apache = start_apache(ApacheSettings(certificate=issued.with_key))
    tls = TlsSettings(ca_file=issued.trusted)
    assert await is_accepted(apache, ClientOptions(tls=tls, server_name=issued.name))


async def test_a_certificate_is_accepted_by_its_fingerprint(
    secure_device: Apache, factory: Certificate
) -> None:
    tls = TlsSettings(fingerprint_sha256=factory.fingerprint)
    assert await is_accepted(secure_device, ClientOptions(tls=tls))


async def test_any_certificate_is_accepted_without_verification(secure_device: Apache) -> None:
    assert await is_accepted(secure_device, ANY_CERTIFICATE)


async def test_the_error_for_a_wrong_fingerprint_shows_the_seen_one(
    secure_device: Apache, factory: Certificate
) -> None:
    tls = TlsSettings(fingerprint_sha256=bytes(32))
    message = await refusal_of(secure_device, ClientOptions(tls=tls))
    assert f"tls_config.fingerprint_sha256: {factory.fingerprint.hex()}" in message


async def test_the_fingerprint_in_the_error_is_accepted(
    secure_device: Apache,
) -> None:
    message = await refusal_of(
        secure_device, ClientOptions(tls=TlsSettings(fingerprint_sha256=bytes(32)))
    )
    shown = message.partition("tls_config.fingerprint_sha256: ")[2]
    tls = TlsSettings(fingerprint_sha256=bytes.fromhex(shown))
    assert await is_accepted(secure_device, ClientOptions(tls=tls))


async def test_after_the_challenge_a_basic_poll_is_one_request(
    secure_device: Apache,
) -> None:
    async with open_client(secure_device, ANY_CERTIFICATE) as client:
        for _ in range(20):
            await client.get_info()
    assert [request.status for request in secure_device.requests()] == [401] + 20 * [200]


async def test_twenty_polls_over_https_use_one_connection(secure_device: Apache) -> None:
    async with open_client(secure_device, ANY_CERTIFICATE) as client:
        for _ in range(20):
            await client.get_info()
    assert [request.kept for request in secure_device.requests()] == list(range(21))


async def test_configured_basic_over_https_needs_no_challenge(secure_device: Apache) -> None:
    settings = ClientOptions(policy="basic", tls=ANY_CERTIFICATE.tls)
    async with open_client(secure_device, settings) as client:
        await client.get_info()
    assert [request.status for request in secure_device.requests()] == [200]


async def test_digest_is_preferred_to_basic_over_https(
    start_apache: StartApache, factory: Certificate
) -> None:
    settings = ApacheSettings(certificate=factory.with_key, directives=(BASIC_TOO,))
    apache = start_apache(settings)
    async with open_client(apache, ANY_CERTIFICATE) as client:
        await client.get_info()
    assert [(r.authorization or "")[:7] for r in apache.requests()] == ["", "Digest "]


async def test_a_tls_connection_closed_while_the_loop_is_blocked_is_no_failure(
    start_apache: StartApache, factory: Certificate
) -> None:
    apache = start_apache(
        ApacheSettings(certificate=factory.with_key, auth="basic", keepalive_timeout_seconds=1)
    )
    async with open_client(apache, ANY_CERTIFICATE) as client:
        await client.get_info()
        # This blocks the event loop, so it does not notice that the connection is closed.
        apache.wait_until_idle_connections_end()
        await client.get_info()
    assert [request.status for request in apache.requests()] == [401, 200, 200]
