"""`tls_server_config` of the web-config: our certificate, TLS versions, client verification."""

import platform
import re
import ssl
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BeforeValidator, PrivateAttr, ValidationInfo, model_validator

from exporter.config.base import Section
from exporter.config.files import read_file
from exporter.config.types import FilePath, Name
from exporter.config.yaml_loader import Boolean
from exporter.system.tls import (
    TLS_VERSIONS,
    BoundedSSLContext,
    TlsVersion,
    allow_from,
    describe_file_error,
)
from exporter.web.web_config.client_certificates import AlertSendingSSLObject, ssl_object_class

FILE_KEYS: Final = ("cert_file", "key_file", "client_ca_file")

_PEM_PATTERNS: Final = {
    "certificate": rb"-----BEGIN CERTIFICATE-----",
    "private key": rb"-----BEGIN [A-Z ]*PRIVATE KEY-----",
}

ClientAuthType = Literal[
    "NoClientCert",
    "RequestClientCert",
    "RequireClientCert",
    "RequireAnyClientCert",
    "VerifyClientCertIfGiven",
    "RequireAndVerifyClientCert",
]

_VERIFY_MODES: Final[dict[ClientAuthType, ssl.VerifyMode]] = {
    "NoClientCert": ssl.CERT_NONE,
    # Any certificate, or none, is accepted: the same as not asking for one.
    "RequestClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}

_CIPHERS: Final = {
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
}
"""Cipher suites up to TLS 1.2: Go's names and OpenSSL's."""

# Accepted, and always enabled, as in Go.
_TLS13_CIPHERS: Final = (
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
)

# Go still supports these; TLS 1.3 and this exporter do not.
_CIPHERS_WITHOUT_FORWARD_SECRECY: Final = (
    "TLS_RSA_WITH_AES_128_CBC_SHA",
    "TLS_RSA_WITH_AES_256_CBC_SHA",
    "TLS_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_RSA_WITH_AES_256_GCM_SHA384",
)

_CURVES: Final = {
    "CurveP256": "prime256v1",
    "CurveP384": "secp384r1",
    "CurveP521": "secp521r1",
    "X25519": "X25519",
}


def _check_yaml_bool(value: object) -> object:
    """Refuse texts that are not a boolean in Prometheus's YAML; pydantic accepts more of them."""
    if isinstance(value, str) and not isinstance(value, Boolean):
        raise ValueError("must be true or false")  # noqa: TRY004 - as pydantic wants it
    return value


def _require_pem(file: Path, kind: str) -> Path:
    if not re.search(_PEM_PATTERNS[kind], read_file(file)):
        raise ValueError(f"{file} contains no PEM {kind}")
    return file


def _check_cipher(name: str) -> str:
    if name in _CIPHERS_WITHOUT_FORWARD_SECRECY:
        raise ValueError(
            f"{name} is not supported: no forward secrecy; use for example {min(_CIPHERS)}"
        )
    if name not in _CIPHERS and name not in _TLS13_CIPHERS:
        raise ValueError(f"unknown cipher {name!r}; use Go's names, for example {min(_CIPHERS)}")
    return name


def _refuse_inline(_value: object, info: ValidationInfo) -> None:
    raise ValueError(f"is not supported; write the PEM to a file and set {info.field_name}_file")


def _check_client_auth_type(name: ClientAuthType) -> ClientAuthType:
    if name not in _VERIFY_MODES:
        raise ValueError(
            f"{name} is not supported because it accepts certificates of any issuer; "
            "use RequireAndVerifyClientCert with a client_ca_file"
        )
    return name


YamlBool = Annotated[bool, BeforeValidator(_check_yaml_bool)]
CertificateFile = Annotated[FilePath, AfterValidator(partial(_require_pem, kind="certificate"))]
KeyFile = Annotated[FilePath, AfterValidator(partial(_require_pem, kind="private key"))]
InlinePem = Annotated[None, BeforeValidator(_refuse_inline)]


ClientRules = tuple[ssl.VerifyMode, bytes | None, tuple[str, ...] | None]
"""How clients are verified: mode, CA certificates (`None`: the system's), allowed names."""


class TlsServerConfig(Section):
    """`tls_server_config`, with the TLS context that is made from it."""

    cert_file: CertificateFile
    key_file: KeyFile
    client_auth_type: Annotated[ClientAuthType, AfterValidator(_check_client_auth_type)] = (
        "NoClientCert"
    )
    client_ca_file: CertificateFile | None = None
    client_allowed_sans: tuple[Name, ...] | None = None
    min_version: TlsVersion = "TLS12"
    max_version: TlsVersion = "TLS13"
    cipher_suites: tuple[Annotated[str, AfterValidator(_check_cipher)], ...] = ()
    prefer_server_cipher_suites: YamlBool = True
    curve_preferences: tuple[Literal["CurveP256", "CurveP384", "CurveP521", "X25519"], ...] = ()
    cert: InlinePem = None
    key: InlinePem = None
    client_ca: InlinePem = None

    _context: BoundedSSLContext = PrivateAttr()
    _client_rules: ClientRules = PrivateAttr()

    @property
    def context(self) -> ssl.SSLContext:
        """The context for new connections, made from the files as they were when loaded."""
        return self._context

    @property
    def client_rules(self) -> ClientRules:
        """How clients are verified; equal if the same clients may connect."""
        return self._client_rules

    @property
    def verifies_clients(self) -> bool:
        """Whether clients are asked for certificates."""
        return _VERIFY_MODES[self.client_auth_type] != ssl.CERT_NONE

    @model_validator(mode="before")
    @classmethod
    def _drop_unset(cls, value: Any) -> Any:  # noqa: ANN401 - anything the file may contain
        if not isinstance(value, dict):
            return value
        unset_if_blank = (*FILE_KEYS, "client_auth_type")
        return {
            key: setting
            for key, setting in value.items()
            if setting is not None and not (setting == "" and key in unset_if_blank)
        }

    @model_validator(mode="after")
    def _build_context(self) -> Self:
        _check_clients(self)
        _check_protocol(self)
        # Before the context reads the CA file: a change in between is then seen as one later.
        ca = None if self.client_ca_file is None else read_file(self.client_ca_file)
        self._client_rules = _VERIFY_MODES[self.client_auth_type], ca, self.client_allowed_sans
        self._context = _build_context(self)
        return self


def _check_clients(tls: TlsServerConfig) -> None:
    if tls.client_ca_file is not None and tls.client_auth_type == "NoClientCert":
        raise ValueError("client_ca_file requires a client_auth_type other than NoClientCert")
    if tls.client_allowed_sans is None:
        return
    if tls.client_auth_type != "RequireAndVerifyClientCert":
        raise ValueError("client_allowed_sans requires client_auth_type RequireAndVerifyClientCert")
    if not tls.client_allowed_sans:
        raise ValueError("client_allowed_sans is empty: no client could connect")


def _check_protocol(tls: TlsServerConfig) -> None:
    if TLS_VERSIONS[tls.min_version] > TLS_VERSIONS[tls.max_version]:
        raise ValueError(f"min_version {tls.min_version} exceeds max_version {tls.max_version}")
    if tls.cipher_suites and not set(tls.cipher_suites) & set(_CIPHERS):
        raise ValueError(
            "cipher_suites lists only TLS 1.3 ciphers, which are always enabled; "
            "set min_version: TLS13 to disable all others"
        )
    if len(tls.curve_preferences) > 1:
        raise ValueError("curve_preferences supports only one curve")


def _build_context(tls: TlsServerConfig) -> BoundedSSLContext:
    """Return the context for these settings. Raises `ValueError` with a message for the user."""
    context = BoundedSSLContext(ssl.PROTOCOL_TLS_SERVER)
    # aiohttp's server supports nothing newer, so `http2: true` has no effect.
    context.set_alpn_protocols(["http/1.1"])
    # OpenSSL 3 refuses renegotiation by default; 1.1.1 needs this option.
    context.options |= ssl.OP_NO_RENEGOTIATION
    _set_ciphers(context, tls)
    _load_certificate(context, tls)
    _set_client_verification(context, tls)
    return context


def _set_ciphers(context: BoundedSSLContext, tls: TlsServerConfig) -> None:
    names = [_CIPHERS[name] for name in tls.cipher_suites if name in _CIPHERS]
    allow_from(context, tls.min_version, ":".join(names) or "DEFAULT")
    context.maximum_version = TLS_VERSIONS[tls.max_version]
    if not tls.prefer_server_cipher_suites:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    for curve in tls.curve_preferences:
        try:
            context.set_ecdh_curve(_CURVES[curve])
        except ssl.SSLError:
            version = platform.python_version()
            raise ValueError(
                f"curve_preferences: Python {version} cannot set {curve}; leave the key out, or "
                "use a newer Python"
            ) from None


def _load_certificate(context: BoundedSSLContext, tls: TlsServerConfig) -> None:
    try:
        context.load_cert_chain(tls.cert_file, tls.key_file, password=_no_passphrase)
    except OSError as problem:
        raise ValueError(
            f"cert_file and key_file cannot be used: {describe_file_error(problem)}"
        ) from None


def _no_passphrase() -> str:
    # By default, OpenSSL would ask for the passphrase on the terminal.
    raise ValueError("key_file is encrypted; only keys without a passphrase are supported")


def _set_client_verification(context: BoundedSSLContext, tls: TlsServerConfig) -> None:
    context.verify_mode = _VERIFY_MODES[tls.client_auth_type]
    context.sslobject_class = AlertSendingSSLObject
    # As in Go, every certificate in client_ca_file is trusted, not only root certificates.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if tls.client_ca_file is not None:
        try:
            context.load_verify_locations(tls.client_ca_file)
        except OSError as problem:
            raise ValueError(
                f"client_ca_file cannot be used: {describe_file_error(problem)}"
            ) from None
    elif context.verify_mode != ssl.CERT_NONE:
        context.load_default_certs(ssl.Purpose.CLIENT_AUTH)
    if tls.client_allowed_sans is not None:
        context.sslobject_class = ssl_object_class(frozenset(tls.client_allowed_sans))
