"""The pin of a device: checked on each connection, before anything is sent on it."""

import hashlib
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trustme
from yarl import URL

from exporter.vapix import errors, ntp
from exporter.vapix.client import Endpoint, NtpClient
from exporter.vapix.connection import (
    Exchange,
    NtpCall,
    Session,
    WrongCertificate,
    open_session,
)
from exporter.vapix.http_auth import Authenticator
from exporter.vapix.tls import PINS_FILE, Pin, TlsSettings, make_ssl_context
from tests.support.certificates import Certificate
from tests.vapix.tls_device import (
    TLS12,
    TLS13,
    Seen,
    context_with,
    device_that,
    issued_to,
    only,
    serves_one_request,
    serves_tls,
)

UNVERIFIED = make_ssl_context(TlsSettings(insecure_skip_verify=True))


def pinned_client(session: Session, address: str, pin: Pin) -> NtpClient:
    endpoint = Endpoint(URL(f"https://{address}{ntp.PATH}"), UNVERIFIED, pin=pin)
    return NtpClient(session, endpoint, Authenticator("auto", None, secure=True))


@asynccontextmanager
async def client_of(address: str, pin: Pin) -> AsyncIterator[NtpClient]:
    async with open_session() as session:
        yield pinned_client(session, address, pin)


async def failure_of(address: str, pin: Pin) -> errors.DeviceError:
    async with client_of(address, pin) as client:
        with pytest.raises(errors.DeviceError) as caught:
            await client.get_info()
    return caught.value


@pytest.mark.parametrize("version", [TLS12, TLS13])
async def test_the_pinned_certificate_is_accepted_whatever_its_issuer(
    version: ssl.TLSVersion, factory: Certificate
) -> None:
    async with (
        device_that(serves_tls(only(version, context_with(factory)), Seen())) as address,
        client_of(address, Pin(factory.fingerprint, PINS_FILE)) as client,
    ):
        assert (await client.get_info()).value.client is not None


@pytest.mark.parametrize("version", [TLS12, TLS13])
async def test_another_certificate_is_refused_with_both_fingerprints_and_no_http_is_sent(
    version: ssl.TLSVersion, factory: Certificate
) -> None:
    seen = Seen()
    async with device_that(serves_tls(only(version, context_with(factory)), seen)) as address:
        error = await failure_of(address, Pin(b"\xab" * 32, PINS_FILE))
    assert isinstance(error, errors.CertificateNotTrusted)
    assert str(error) == (
        "TLS failed: its certificate is not the pinned one: it shows "
        f"{factory.fingerprint.hex()}, and {'ab' * 32} is pinned; if the device was given a new "
        "one, run `axis-ntp-exporter check --pin --replace` with its name"
    )
    assert seen.http == b""


async def test_without_a_pin_in_the_file_every_certificate_is_refused(
    factory: Certificate,
) -> None:
    seen = Seen()
    async with device_that(serves_tls(context_with(factory), seen)) as address:
        error = await failure_of(address, Pin(None, PINS_FILE))
    assert error.reason == "tls"
    assert str(error) == (
        f"TLS failed: no certificate is pinned; if {factory.fingerprint.hex()} is the device's "
        "own, run `axis-ntp-exporter check --pin`"
    )
    assert seen.http == b""


async def test_the_error_names_the_setting_that_has_the_pin(factory: Certificate) -> None:
    async with device_that(serves_tls(context_with(factory), Seen())) as address:
        error = await failure_of(address, Pin(bytes(32), "tls_config.fingerprint_sha256"))
    assert str(error).endswith(f"set tls_config.fingerprint_sha256: {factory.fingerprint.hex()}")


async def test_the_pin_is_checked_at_every_connection(
    factory: Certificate, authority: trustme.CA
) -> None:
    # The device's certificate changes between two connections of one client.
    seen, contexts = Seen(), [context_with(factory), issued_to(authority, "127.0.0.1")]

    pin = Pin(factory.fingerprint, PINS_FILE)
    async with (
        device_that(serves_one_request(contexts, seen)) as address,
        client_of(address, pin) as client,
    ):
        await client.get_info()
        with pytest.raises(errors.CertificateNotTrusted):
            await client.get_info()
    assert seen.http.count(b"POST ") == 1


async def test_a_kept_connection_is_not_reused_by_a_client_with_another_pin(
    factory: Certificate,
) -> None:
    # Two devices of a config may have the same address, and then share kept connections.
    seen = Seen()
    async with (
        device_that(serves_tls(context_with(factory), seen)) as address,
        open_session() as session,
    ):
        right = pinned_client(session, address, Pin(factory.fingerprint, PINS_FILE))
        wrong = pinned_client(session, address, Pin(bytes(32), PINS_FILE))
        await right.get_info()
        with pytest.raises(errors.CertificateNotTrusted):
            await wrong.get_info()
        await right.get_info()
    assert seen.http.count(b"POST ") == 2


async def test_a_device_whose_kept_connection_another_one_uses_gets_a_new_one(
    factory: Certificate, authority: trustme.CA
) -> None:
    # Two devices behind one address: the connections of each have its certificate.
    seen, issued = Seen(), authority.issue_cert("127.0.0.1")
    other = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issued.configure_cert(other)
    der = ssl.PEM_cert_to_DER_cert(issued.cert_chain_pems[0].bytes().decode())
    contexts = iter([context_with(factory), other])

    def serve(connection: socket.socket) -> None:
        serves_tls(next(contexts), seen)(connection)

    async with device_that(serve) as address, open_session() as session:
        first = pinned_client(session, address, Pin(factory.fingerprint, PINS_FILE))
        await first.get_info()
        pin = Pin(hashlib.sha256(der).digest(), PINS_FILE)
        second = pinned_client(session, address, pin)
        await second.get_info()
    assert seen.http.count(b"POST ") == 2


def test_every_byte_of_a_fingerprint_counts() -> None:
    pin = bytes(range(32))
    for index in range(32):
        other = bytes(each ^ (place == index) for place, each in enumerate(pin))
        assert Pin(pin, PINS_FILE).refuse(other) is not None
    assert Pin(pin, PINS_FILE).refuse(pin) is None


async def test_the_end_of_a_refused_certificate_is_not_noted(factory: Certificate) -> None:
    async with (
        device_that(serves_tls(context_with(factory), Seen())) as address,
        client_of(address, Pin(bytes(32), PINS_FILE)) as client,
    ):
        with pytest.raises(errors.CertificateNotTrusted):
            await client.get_info()
        assert client.identity.certificate_not_after is None


async def test_a_connection_without_tls_has_no_certificate_to_trust(
    factory: Certificate,
) -> None:
    exchange = Exchange(NtpCall(), Pin(factory.fingerprint, PINS_FILE))
    with pytest.raises(WrongCertificate):
        await exchange.begin(object())
    assert Pin(factory.fingerprint, PINS_FILE).refuse(None) == "the device shows no certificate"
