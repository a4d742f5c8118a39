"""TLS versions as Prometheus writes them, for devices and for the web side."""

from __future__ import annotations

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
    """Let a context speak `oldest` and newer; `ciphers` up to TLS 1.2, in OpenSSL's spelling.

    The versions before TLS 1.2 need OpenSSL's lowest level of security.
    """
    old = oldest in ("TLS10", "TLS11")
    with warnings.catch_warnings():
        # Old firmware and old clients have nothing newer; the operator asked for it by name.
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = TLS_VERSIONS[oldest]
    if old or ciphers != "DEFAULT":
        context.set_ciphers(f"{ciphers}:@SECLEVEL=0" if old else ciphers)
