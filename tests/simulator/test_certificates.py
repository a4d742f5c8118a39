import asyncio
import builtins
import errno
import os
import ssl
import tempfile
from datetime import UTC, datetime
from typing import Any, NoReturn

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from exporter.simulator.certificates import MissingExtraError, make_identity
from exporter.simulator.device import SimulatedDevice
from exporter.simulator.server import serve
from tests.simulator.raw_client import connect

MAC = "b8a44f012345"


@pytest.fixture(scope="module")
def certificate() -> x509.Certificate:
    return x509.load_pem_x509_certificate(make_identity(MAC).certificate_pem)


def test_a_certificate_is_named_after_the_mac(certificate: x509.Certificate) -> None:
    (name,) = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    assert name.value == "axis-b8a44f012345-eccp256-1"


def test_a_certificate_is_self_signed(certificate: x509.Certificate) -> None:
    assert certificate.issuer == certificate.subject
    certificate.verify_directly_issued_by(certificate)


def test_a_certificate_never_expires(certificate: x509.Certificate) -> None:
    assert certificate.not_valid_after_utc == datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)


def test_a_certificate_names_no_host(certificate: x509.Certificate) -> None:
    with pytest.raises(x509.ExtensionNotFound):
        certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)


def test_a_certificate_has_a_p256_key(certificate: x509.Certificate) -> None:
    key = certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert key.curve.name == "secp256r1"


async def test_a_certificate_verifies_as_its_own_ca_except_for_the_name() -> None:
    identity = make_identity(MAC)
    trusting = ssl.create_default_context(cadata=identity.certificate_pem.decode())
    async with serve(SimulatedDevice("cam-1"), tls=identity.server_context()) as served:
        with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
            await connect_checking_name(served.address, trusting)
        trusting.check_hostname = False
        async with await connect(served.address, trusting):
            pass


def test_an_identity_needs_no_writable_file_system(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    for name in ("mkstemp", "mkdtemp", "gettempdir"):
        monkeypatch.setattr(tempfile, name, refuse)
    make_identity(MAC).server_context()


async def connect_checking_name(address: str, tls: ssl.SSLContext) -> None:
    host, port = address.split(":")
    await asyncio.open_connection(host, int(port), ssl=tls)


def test_the_error_without_cryptography_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *more: Any, **named: Any) -> Any:
        if name.startswith("cryptography"):
            raise ImportError(name)
        return real(name, *more, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=r"pip install 'axis-ntp-exporter\[simulator\]'"):
        make_identity(MAC)
