"""TLS for devices and the web server: versions by their Prometheus names, errors in words."""

import ssl
import warnings
from typing import Final, Literal

TlsVersion = Literal["TLS10", "TLS11", "TLS12", "TLS13"]

TLS_VERSIONS: Final[dict[TlsVersion, ssl.TLSVersion]] = {
    "TLS10": ssl.TLSVersion.TLSv1,
    "TLS11": ssl.TLSVersion.TLSv1_1,
    "TLS12": ssl.TLSVersion.TLSv1_2,
    "TLS13": ssl.TLSVersion.TLSv1_3,
}


def allow_from(context: ssl.SSLContext, oldest: TlsVersion, ciphers: str = "DEFAULT") -> None:
    """Allow TLS version `oldest` and newer, with `ciphers` (an OpenSSL list) up to TLS 1.2.

    Versions before TLS 1.2 need OpenSSL's lowest security level.
    """
    old = oldest in ("TLS10", "TLS11")
    with warnings.catch_warnings():
        # The operator chose an old version for old firmware or clients: no warning.
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = TLS_VERSIONS[oldest]
    if old or ciphers != "DEFAULT":
        context.set_ciphers(f"{ciphers}:@SECLEVEL=0" if old else ciphers)


_FILE_ERRORS: Final = {
    "KEY_VALUES_MISMATCH": "the key does not match the certificate",
    "NO_CERTIFICATE_OR_CRL_FOUND": "it contains no PEM certificate",
}
"""OpenSSL's names of frequent errors."""


def describe_file_error(error: OSError) -> str:
    """Return why OpenSSL cannot use a certificate or key file."""
    if not isinstance(error, ssl.SSLError):
        return str(error.strerror)
    return _FILE_ERRORS.get(error.reason) or error.reason or "it is not valid PEM"
