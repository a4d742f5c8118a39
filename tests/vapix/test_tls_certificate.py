"""What is read of the certificate that a device shows."""

import ssl
from typing import Any

import pytest

from exporter.vapix.certificate import Certificate, notice_certificates


class Chain:
    """What the ssl module has of a certificate."""

    def __init__(self, subject: Any) -> None:
        self.subject = subject

    def public_bytes(self, _form: int) -> bytes:
        return b"DER"

    def get_info(self) -> dict[str, Any]:
        if isinstance(self.subject, Exception):
            raise self.subject
        return {"subject": self.subject}


def seen(chain: list[Chain], problem: Exception | None = None) -> list[Certificate]:
    """What is noticed of a handshake that ends with that problem."""

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
        assert raised is problem  # noqa: PT017 - it passes on what it has noticed
    return found


@pytest.mark.parametrize(
    ("subject", "words"),
    [
        (
            ((("commonName", "a"),), (("organizationName", "b"), ("serialNumber", "c"))),
            "CN=a, O=b, serialNumber=c",
        ),
        ((), "empty"),
        (((("commonName", "\x1b[2J\n"),),), r"CN=\x1b[2J\n"),
        (ValueError("not UTF-8"), "unreadable"),
        (ssl.SSLError(1, "bad date"), "unreadable"),
    ],
)
def test_the_subject_is_one_printable_line(subject: Any, words: str) -> None:
    [certificate] = seen([Chain(subject)])
    assert (certificate.subject, certificate.refusal) == (words, None)


def test_a_long_subject_is_cut() -> None:
    [certificate] = seen([Chain(((("commonName", "x" * 9_999),),))])
    assert len(certificate.subject) == 201


def test_a_handshake_that_goes_on_or_fails_otherwise_shows_nothing_yet() -> None:
    assert seen([Chain(())], ssl.SSLWantReadError()) == []
    assert seen([Chain(())], ssl.SSLError(1, "wrong version number")) == []


def test_no_certificate_is_none() -> None:
    assert seen([]) == []
