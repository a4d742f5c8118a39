"""TLS to a device: certificate verification, pinning, and the certificate that it showed.

The pin of a device is checked on its connection, before anything is sent (`Pin`). The one of
`TlsSettings` is checked in the handshake, for connections that are not ours, such as those to
servers of targets.
"""

import hashlib
import hmac
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

from exporter.system.tls import (
    BoundedSSLContext,
    BoundedSSLObject,
    TlsVersion,
    allow_from,
    refuse_dhe,
)
from exporter.vapix.errors import (
    CertificateChanged,
    CertificateInFileChanged,
    CertificateNotPinned,
    CertificateNotTrusted,
    printable,
)

_NAME_MISMATCH: Final = {62, 64}
"""OpenSSL's codes for a certificate of another host name, and of another IP address."""

_DER: Final = 2
"""The ssl module's number for the binary form of a certificate."""

_SHORT_NAMES: Final = {
    "commonName": "CN",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "localityName": "L",
    "stateOrProvinceName": "ST",
    "countryName": "C",
}


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """How a device must prove its identity to us, and we prove ours to it.

    `fingerprint_sha256` (32 bytes) pins the certificate itself; its issuer and names are then
    ignored. `cert_file` and `key_file` are PEM files of a client certificate.
    """

    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    insecure_skip_verify: bool = False
    min_version: TlsVersion = "TLS12"
    fingerprint_sha256: bytes | None = None


PINS_FILE: Final = "tls_config.pins_file"
"""The setting of a pin that `check --pin` writes."""


class Pin(NamedTuple):
    """The certificate that a device must show, whatever its issuer and names.

    `fingerprint` is its SHA-256 (32 bytes); `None` if none is pinned yet: then none is trusted.
    `setting` is the key of the config that has it.
    """

    fingerprint: bytes | None
    setting: str

    @property
    def failure(self) -> type[CertificateNotTrusted]:
        """The kind of error if a device shows another certificate."""
        if self.fingerprint is None:
            return CertificateNotPinned
        return CertificateInFileChanged if self.setting == PINS_FILE else CertificateChanged

    def refuse(self, shown: bytes | None) -> str | None:
        """Return why a certificate with the fingerprint `shown` is refused; `None` if it is not."""
        if shown is None:
            return "the device shows no certificate"
        if shown == self.fingerprint:
            return None
        remedy = self.remedy(shown.hex())
        if self.fingerprint is None:
            return f"no certificate is pinned; if {shown.hex()} is the device's own, {remedy}"
        return (
            f"its certificate is not the pinned one: it shows {shown.hex()}, and "
            f"{self.fingerprint.hex()} is pinned; if the device was given a new one, {remedy}"
        )

    def remedy(self, shown: str) -> str:
        """Return how to trust the certificate with the fingerprint `shown` (64 hex digits)."""
        if self.setting != PINS_FILE:
            return f"set {self.setting}: {shown}"
        if self.fingerprint is None:
            return "run `axis-ntp-exporter check --pin`"
        return "run `axis-ntp-exporter check --pin --replace` with its name"


class Certificate(NamedTuple):
    """The certificate that a device showed, and its SHA-256 as 64 hex digits.

    Subject and issuer are the device's text, with any characters and perhaps our password: see
    `NtpClient.shown`. `not_after`: when it ends, Unix seconds; `None` if that is unreadable.
    `refusal` is the reason why it is not trusted; `None` if it is, or if the handshake did not
    verify it.
    """

    subject: str
    fingerprint_sha256: str
    refusal: str | None = None
    issuer: str = ""
    not_after: float | None = None


Notice = Callable[[Certificate], None]


def make_ssl_context(settings: TlsSettings) -> BoundedSSLContext:
    """Return a client context for `settings`.

    Raises `OSError` (including `ssl.SSLError`) for a file that cannot be read or used.
    """
    context = BoundedSSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_alpn_protocols(["http/1.1"])
    allow_from(context, settings.min_version)
    refuse_dhe(context)
    if settings.fingerprint_sha256 is not None or settings.insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif settings.ca_file is not None:
        context.load_verify_locations(settings.ca_file)
    else:
        context.load_default_certs()
    context.sslobject_class = _verifying_class(settings.fingerprint_sha256)
    if settings.cert_file is not None:
        context.load_cert_chain(settings.cert_file, settings.key_file)
    return context


def _verifying_class(pin: bytes | None) -> type[BoundedSSLObject]:
    """Return a class whose handshake errors say how to trust the device's certificate.

    With a `pin`, the handshake also fails for any certificate but the pinned one.
    """

    class VerifyingSSLObject(BoundedSSLObject):
        def do_handshake(self) -> None:
            try:
                super().do_handshake()
            except ssl.SSLCertVerificationError as problem:
                setting = "server_name" if problem.verify_code in _NAME_MISMATCH else "ca_file"
                why = problem.verify_message.rstrip(".")
                raise _not_trusted(why, _fingerprint(self), f", or {setting}") from None
            if pin is not None:
                fingerprint = _fingerprint(self) or ""
                if not hmac.compare_digest(fingerprint, pin.hex()):
                    raise _not_trusted("its fingerprint is not the pinned one", fingerprint)

    return VerifyingSSLObject


def _not_trusted(why: str, fingerprint: str | None, other: str = "") -> ssl.SSLError:
    remedy = f"to trust it, set tls_config.fingerprint_sha256: {fingerprint}{other}"
    error = ssl.SSLCertVerificationError(1, f"{why}; {remedy}")
    error.verify_message = why
    return error


def notice_certificates(context: BoundedSSLContext, notice: Notice) -> None:
    """Call `notice` with the device's certificate at the end of each handshake of `context`.

    The call has the contextvars of the connecting poll, which identify the device.
    """
    base = context.sslobject_class

    class NoticingSSLObject(base):  # type: ignore[misc, valid-type]
        def do_handshake(self) -> None:
            try:
                super().do_handshake()
            except ssl.SSLCertVerificationError as problem:
                _notice(self, notice, printable(problem.verify_message.rstrip(".")))
                raise
            _notice(self, notice, None)

    context.sslobject_class = NoticingSSLObject


def _notice(tls: ssl.SSLObject, notice: Notice, refusal: str | None) -> None:
    if fingerprint := _fingerprint(tls):
        info = _certificate_info(tls)
        subject, issuer = (_names(info, of) for of in ("subject", "issuer"))
        notice(Certificate(subject, fingerprint, refusal, issuer, _end_of(info)))


def certificate_end(tls: ssl.SSLObject) -> float | None:
    """Return when the device's certificate ends, Unix seconds; `None` if it is unreadable."""
    return _end_of(_certificate_info(tls))


def _certificate_info(tls: ssl.SSLObject) -> Mapping[str, Any]:
    """Return the parts of the device's certificate; none if it is unreadable."""
    certificate = _peer_certificate(tls)
    try:
        return {} if certificate is None else cast("Mapping[str, Any]", certificate.get_info())
    except (OSError, ValueError):
        return {}


def _end_of(info: Mapping[str, Any]) -> float | None:
    try:
        return float(ssl.cert_time_to_seconds(info["notAfter"]))
    except (KeyError, ValueError):
        return None


def fingerprint_of(tls: ssl.SSLObject) -> bytes | None:
    """Return the SHA-256 of the device's certificate; `None` if it sent none."""
    certificate = _peer_certificate(tls)
    return certificate and hashlib.sha256(certificate.public_bytes(_DER)).digest()


def _fingerprint(tls: ssl.SSLObject) -> str | None:
    fingerprint = fingerprint_of(tls)
    return None if fingerprint is None else fingerprint.hex()


def _names(info: Mapping[str, Any], of: str) -> str:
    """Return the `subject` or the `issuer` of a certificate in a line."""
    if of not in info:
        return "unreadable"
    names = [pair for names in info[of] for pair in names]
    shown = ", ".join(f"{_SHORT_NAMES.get(kind, kind)}={value}" for kind, value in names)
    return shown or "empty"


def _peer_certificate(tls: ssl.SSLObject) -> Any:  # noqa: ANN401 - as above
    """Return the device's certificate even if it is not trusted, `None` if it sent none.

    Uses private parts of Python's ssl module, as its public functions only return a certificate
    after a successful handshake (before Python 3.13), and none of them its subject.
    """
    inner: Any = tls
    chain = inner._sslobj.get_unverified_chain()  # noqa: SLF001
    return chain[0] if chain else None
