"""What a request to a server of targets has: its headers and its TLS. Reads files."""

import ssl
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from multidict import CIMultiDict

from exporter.config.files import read_account, read_file, read_header
from exporter.config.http_client import (
    Authorization,
    HttpClientConfig,
    HttpHeader,
)
from exporter.system.tls import describe_file_error
from exporter.vapix.http_auth import encode_user_pass
from exporter.vapix.tls import make_ssl_context


class PreparedRequest(NamedTuple):
    """Headers for the configured server, with its credentials, and the context of its TLS.

    `tls_elsewhere` is for other servers, without our certificate. The `repr` shows no secret.
    """

    headers: CIMultiDict[str]
    tls: ssl.SSLContext
    tls_elsewhere: ssl.SSLContext

    def __repr__(self) -> str:
        return "PreparedRequest(...)"


def prepare_request(config: HttpClientConfig) -> PreparedRequest:
    """Read the files that a config names, so that changed ones count. Raises `ValueError`."""
    headers: CIMultiDict[str] = CIMultiDict()
    for name, header in config.http_headers.items():
        for value in _values(header):
            headers.add(name, value)
    if config.authorization is not None:
        headers["Authorization"] = _authorization(config.authorization)
    if config.basic_auth is not None:
        username, password = read_account(config.basic_auth)
        headers["Authorization"] = f"Basic {encode_user_pass(username or '', password or '')}"
    for file in config.tls_config.files.values():
        if file is not None:
            read_file(file)  # OpenSSL would wait for the writer of a pipe
    try:
        settings = config.tls_config.settings()
        tls = elsewhere = make_ssl_context(settings)
        if settings.cert_file is not None:
            elsewhere = make_ssl_context(replace(settings, cert_file=None, key_file=None))
        return PreparedRequest(headers, tls, elsewhere)
    except OSError as error:
        raise ValueError(f"tls_config: {describe_file_error(error)}") from None


def _values(header: HttpHeader) -> Iterator[str]:
    yield from header.values
    for secret in header.secrets:
        yield secret.get_secret_value()
    for file in header.files:
        yield read_header(file)


def _authorization(config: Authorization) -> str:
    if config.credentials is not None:
        return f"{config.type} {config.credentials.get_secret_value()}"
    assert config.credentials_file is not None  # noqa: S101 - the schema has one of the two
    return f"{config.type} {read_header(config.credentials_file)}"
