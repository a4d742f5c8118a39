"""TLS versions by their Prometheus names, for devices and the web server."""

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
