"""`tls_server_config` of the web-config: how we prove who we are, and who may connect."""

from __future__ import annotations

import re
import ssl
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BeforeValidator, PrivateAttr, model_validator

from exporter.config.files import read_file
from exporter.config.schema import Section
from exporter.config.types import FilePath, Name
from exporter.config.yaml_loader import Boolean
from exporter.system.tls_versions import TLS_VERSIONS, TlsVersion, allow_from
from exporter.web.web_config.client_certificates import TellingSSLObject, allowing

FILE_KEYS: Final = ("cert_file", "key_file", "client_ca_file")

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
    # Whatever a client shows is let in and nobody looks at it: as well not asked for.
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
"""Go's names of ciphers up to TLS 1.2, and OpenSSL's."""

# As in Go: these may be written and are always on.
_CIPHERS_OF_TLS13: Final = (
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
)

# Go has them still. TLS 1.3 has none of their kind, nor have we.
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


def _yaml_bool(value: object) -> object:
    """A text that Prometheus's YAML takes for true or false: pydantic takes more."""
    if isinstance(value, str) and not isinstance(value, Boolean):
        raise ValueError("must be true or false")  # noqa: TRY004 - as pydantic wants it
    return value


def _certificate(file: Path) -> Path:
    return _holding(file, rb"-----BEGIN CERTIFICATE-----", "certificate")


def _private_key(file: Path) -> Path:
    return _holding(file, rb"-----BEGIN [A-Z ]*PRIVATE KEY-----", "private key")


def _holding(file: Path, pattern: bytes, thing: str) -> Path:
    if not re.search(pattern, read_file(file)):
        raise ValueError(f"{file} holds no {thing} in PEM")
    return file


def _cipher(name: str) -> str:
    if name in _CIPHERS_WITHOUT_FORWARD_SECRECY:
        raise ValueError(
            f"{name} is not supported: it has no forward secrecy, {min(_CIPHERS)} say has"
        )
    if name not in _CIPHERS and name not in _CIPHERS_OF_TLS13:
        raise ValueError(f"unknown cipher {name!r}: it is written as Go does, {min(_CIPHERS)} say")
    return name


def _inline(_value: object) -> None:
    raise ValueError("is not supported: write the PEM to a file, and name that")


def _client_auth_type(name: ClientAuthType) -> ClientAuthType:
    if name not in _VERIFY_MODES:
        raise ValueError(
            f"{name} is not supported, it lets in any certificate, whoever made it: "
            "use RequireAndVerifyClientCert with a client_ca_file"
        )
    return name


YamlBool = Annotated[bool, BeforeValidator(_yaml_bool)]
CertificateFile = Annotated[FilePath, AfterValidator(_certificate)]
KeyFile = Annotated[FilePath, AfterValidator(_private_key)]
Inline = Annotated[None, BeforeValidator(_inline)]


Clients = tuple[ssl.VerifyMode, bytes | None, tuple[str, ...] | None]
"""How a client is verified: how strictly, by which CA (the system's if none), by which names."""


class TlsServer(Section):
    """`tls_server_config`, with the TLS context that it makes."""

    cert_file: CertificateFile
    key_file: KeyFile
    client_auth_type: Annotated[ClientAuthType, AfterValidator(_client_auth_type)] = "NoClientCert"
    client_ca_file: CertificateFile | None = None
    client_allowed_sans: tuple[Name, ...] | None = None
    min_version: TlsVersion = "TLS12"
    max_version: TlsVersion = "TLS13"
    cipher_suites: tuple[Annotated[str, AfterValidator(_cipher)], ...] = ()
    prefer_server_cipher_suites: YamlBool = True
    curve_preferences: tuple[Literal["CurveP256", "CurveP384", "CurveP521", "X25519"], ...] = ()
    cert: Inline = None
    key: Inline = None
    client_ca: Inline = None

    _context: ssl.SSLContext = PrivateAttr()
    _clients: Clients = PrivateAttr()

    @property
    def context(self) -> ssl.SSLContext:
        """For new connections; made of the files as they were when this was loaded."""
        return self._context

    @property
    def clients(self) -> Clients:
        """Who may connect; equal where the same may."""
        return self._clients

    @property
    def asks_clients(self) -> bool:
        """Whether a client's certificate makes a difference."""
        return _VERIFY_MODES[self.client_auth_type] != ssl.CERT_NONE

    @model_validator(mode="before")
    @classmethod
    def _without_what_is_unset(cls, value: Any) -> Any:  # noqa: ANN401 - whatever stands in the file
        if not isinstance(value, dict):
            return value
        blank_is_unset = (*FILE_KEYS, "client_auth_type")
        return {
            key: setting
            for key, setting in value.items()
            if setting is not None and not (setting == "" and key in blank_is_unset)
        }

    @model_validator(mode="after")
    def _makes_a_context(self) -> Self:
        _check_clients(self)
        _check_protocol(self)
        # Before the context reads the file: should it change in between, the next look sees it.
        self._clients = _clients(self)
        self._context = _make_context(self)
        return self


def _clients(tls: TlsServer) -> Clients:
    authority = tls.client_ca_file.read_bytes() if tls.client_ca_file is not None else None
    return _VERIFY_MODES[tls.client_auth_type], authority, tls.client_allowed_sans


def _check_clients(tls: TlsServer) -> None:
    if tls.client_ca_file is not None and tls.client_auth_type == "NoClientCert":
        raise ValueError("client_ca_file needs a client_auth_type, else nobody is asked")
    if tls.client_allowed_sans is None:
        return
    if tls.client_auth_type != "RequireAndVerifyClientCert":
        raise ValueError("client_allowed_sans needs client_auth_type RequireAndVerifyClientCert")
    if not tls.client_allowed_sans:
        raise ValueError("client_allowed_sans is empty: nobody could connect")


def _check_protocol(tls: TlsServer) -> None:
    if TLS_VERSIONS[tls.min_version] > TLS_VERSIONS[tls.max_version]:
        raise ValueError(f"min_version {tls.min_version} exceeds max_version {tls.max_version}")
    if tls.cipher_suites and not set(tls.cipher_suites) & set(_CIPHERS):
        raise ValueError(
            "cipher_suites names those of TLS 1.3 only, which are always on: "
            "min_version: TLS13 switches the others off"
        )
    if len(tls.curve_preferences) > 1:
        raise ValueError("curve_preferences is supported for one curve only, not for several")


def _make_context(tls: TlsServer) -> ssl.SSLContext:
    """The context. Raises `ValueError` with a sentence for a person."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # aiohttp's server speaks nothing newer, so `http2: true` is a wish that nobody hears.
    context.set_alpn_protocols(["http/1.1"])
    # OpenSSL 3 lets no client do so unasked; 1.1.1, which Python takes too, needs to be told.
    context.options |= ssl.OP_NO_RENEGOTIATION
    _set_ciphers(context, tls)
    _load_certificate(context, tls)
    _set_client_verification(context, tls)
    return context


def _set_ciphers(context: ssl.SSLContext, tls: TlsServer) -> None:
    names = [_CIPHERS[name] for name in tls.cipher_suites if name in _CIPHERS]
    allow_from(context, tls.min_version, ":".join(names) or "DEFAULT")
    context.maximum_version = TLS_VERSIONS[tls.max_version]
    if not tls.prefer_server_cipher_suites:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    for curve in tls.curve_preferences:
        context.set_ecdh_curve(_CURVES[curve])


def _load_certificate(context: ssl.SSLContext, tls: TlsServer) -> None:
    try:
        context.load_cert_chain(tls.cert_file, tls.key_file, password=_no_passphrase)
    except OSError as problem:
        raise ValueError(f"cert_file and key_file cannot be used: {_reason(problem)}") from None


def _no_passphrase() -> str:
    # Left alone, OpenSSL would ask for it on the terminal, and wait.
    raise ValueError("key_file is encrypted, and nobody is here to type its passphrase")


def _set_client_verification(context: ssl.SSLContext, tls: TlsServer) -> None:
    context.verify_mode = _VERIFY_MODES[tls.client_auth_type]
    context.sslobject_class = TellingSSLObject
    # As in Go: what stands in client_ca_file is trusted, be it a root or not.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if tls.client_ca_file is not None:
        _load_client_ca(context, tls.client_ca_file)
    elif context.verify_mode != ssl.CERT_NONE:
        context.load_default_certs(ssl.Purpose.CLIENT_AUTH)
    if tls.client_allowed_sans is not None:
        context.sslobject_class = allowing(frozenset(tls.client_allowed_sans))


def _load_client_ca(context: ssl.SSLContext, file: Path) -> None:
    try:
        context.load_verify_locations(file)
    except OSError as problem:
        raise ValueError(f"client_ca_file cannot be used: {_reason(problem)}") from None


def _reason(problem: OSError) -> str:
    reason = problem.reason if isinstance(problem, ssl.SSLError) else problem.strerror
    if reason == "KEY_VALUES_MISMATCH":
        return "the key is another certificate's"
    return reason or "not understood"
