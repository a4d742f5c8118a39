"""TLS to a device on real sockets: client certificates."""

import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme

from exporter.vapix.tls import TlsSettings
from tests.vapix.tls_device import (
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


@pytest.fixture(scope="session")
def client_certificate(
    authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("client")
    issued = authority.issue_cert("exporter@example.org", common_name="the exporter")
    files = {"cert_file": folder / "cert.pem", "key_file": folder / "key.pem"}
    issued.cert_chain_pems[0].write_to_path(files["cert_file"])
    issued.private_key_pem.write_to_path(files["key_file"])
    return files


def requiring(version: ssl.TLSVersion, authority: trustme.CA) -> ssl.SSLContext:
    context = only(version, issued_to(authority, "127.0.0.1"))
    context.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(context)
    return context


@pytest.mark.parametrize("version", [TLS12, TLS13])
async def test_the_client_certificate_is_sent_to_a_device_that_requires_one(
    version: ssl.TLSVersion,
    authority: trustme.CA,
    trusted: Path,
    client_certificate: dict[str, Any],
) -> None:
    seen = Seen()
    async with device_that(serves_tls(requiring(version, authority), seen)) as address:
        assert await is_read(address, TlsSettings(ca_file=trusted, **client_certificate))
    assert seen.client_names == ["the exporter"]


@pytest.mark.parametrize(
    ("version", "reason"), [(TLS12, "alert handshake failure"), (TLS13, "certificate required")]
)
async def test_a_missing_client_certificate_is_reported_as_the_devices_refusal(
    version: ssl.TLSVersion, reason: str, authority: trustme.CA, trusted: Path
) -> None:
    # In TLS 1.3 the device refuses the client after the client's handshake has ended: before, while
    # or after the request is sent. Try twenty times to meet all three cases.
    async with device_that(serves_tls(requiring(version, authority), Seen())) as address:
        failures = [await failure_of(address, TlsSettings(ca_file=trusted)) for _ in range(20)]
    assert {failure.reason for failure in failures} == {"tls"}
    reported = [explanation(failure).lower().replace("_", " ") for failure in failures]
    assert all(reason in each for each in reported)
