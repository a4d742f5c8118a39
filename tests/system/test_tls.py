"""What our TLS clients offer."""

import ssl
from typing import get_args

import pytest

from exporter.config.schema import HttpSdConfig
from exporter.discovery.http_request import prepare_request
from exporter.system.tls import TlsVersion
from exporter.vapix.tls import TlsSettings, make_ssl_context


def clients() -> dict[str, ssl.SSLContext]:
    versions: tuple[TlsVersion, ...] = get_args(TlsVersion)
    devices: dict[str, ssl.SSLContext] = {
        version: make_ssl_context(TlsSettings(min_version=version)) for version in versions
    }
    return devices | {"http_sd": prepare_request(HttpSdConfig(url="https://sd.example")).tls}


@pytest.mark.parametrize(("name", "context"), clients().items(), ids=lambda each: str(each)[:8])
def test_no_client_offers_dhe_of_which_the_server_chooses_the_size(
    name: str, context: ssl.SSLContext
) -> None:
    offered = [each["kea"] for each in context.get_ciphers()]
    assert "kx-dhe" not in offered
    assert "kx-ecdhe" in offered
    assert ("kx-rsa" in offered) == (name in ("TLS10", "TLS11"))
