"""The certificate that a device shows, and the private parts of Python's ssl that it needs."""

import ssl
from contextlib import suppress
from typing import Any

import pytest
import trustme

from exporter.vapix.tls import Certificate, notice_certificates
from tests.vapix.tls_device import LOBBY, issued_to


class StubCertificate:
    """The ssl module's private certificate type."""

    def __init__(self, subject: Any) -> None:
        self.subject = subject

    def public_bytes(self, _form: int) -> bytes:
        return b"DER"

    def get_info(self) -> dict[str, Any]:
        if isinstance(self.subject, Exception):
            raise self.subject
        return {"subject": self.subject}


def noticed(chain: list[StubCertificate], problem: Exception | None = None) -> list[Certificate]:
    """Return the certificates that a handshake reports which ends with `problem`."""

    class Handshake:
        _sslobj = type("Inner", (), {"get_unverified_chain": lambda _: chain})()

        def do_handshake(self) -> None:
            if problem is not None:
                raise problem

    context: Any = type("Context", (), {"sslobject_class": Handshake})()
    found: list[Certificate] = []
    notice_certificates(context, found.append)
    try:
        context.sslobject_class().do_handshake()
    except ssl.SSLError as raised:
        assert raised is problem  # noqa: PT017 - the error must pass through
    return found


@pytest.mark.parametrize(
    ("subject", "words"),
    [
        (
            ((("commonName", "a"),), (("organizationName", "b"), ("serialNumber", "c"))),
            "CN=a, O=b, serialNumber=c",
        ),
        ((), "empty"),
        (ValueError("not UTF-8"), "unreadable"),
        (ssl.SSLError(1, "bad date"), "unreadable"),
    ],
)
def test_the_subject_is_one_line(subject: Any, words: str) -> None:
    [certificate] = noticed([StubCertificate(subject)])
    assert (certificate.subject, certificate.refusal) == (words, None)


def test_an_unfinished_handshake_or_another_tls_error_reports_no_certificate() -> None:
    assert noticed([StubCertificate(())], ssl.SSLWantReadError()) == []
    assert noticed([StubCertificate(())], ssl.SSLError(1, "wrong version number")) == []


def test_without_a_certificate_nothing_is_reported() -> None:
    assert noticed([]) == []


def test_pythons_ssl_module_still_has_the_private_parts_that_we_use(authority: trustme.CA) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(context)
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    client: Any = context.wrap_bio(to_client, to_server, server_hostname=LOBBY)
    device = issued_to(authority, LOBBY).wrap_bio(to_server, to_client, server_side=True)
    for side in (client, device, client, device):
        with suppress(ssl.SSLWantReadError):
            side.do_handshake()
    shown = client._sslobj.get_unverified_chain()[0]
    assert shown.public_bytes(2) == client.getpeercert(binary_form=True)
    assert shown.get_info()["subject"] == client.getpeercert()["subject"]
