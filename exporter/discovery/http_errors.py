"""Why a server (of targets, or Prometheus) could not be asked, and which setting to look at. Pure.

No text has the URL, which may contain a token.
"""

from http import HTTPStatus
from typing import Final

import aiohttp

from exporter.config.http_client import HttpClientConfig
from exporter.vapix.client import describe_refusals

_LOGIN_REFUSED: Final = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}


def describe_status(status: int, config: HttpClientConfig, *, is_elsewhere: bool) -> str:
    """Describe a response without targets; `is_elsewhere` after a redirect to another server."""
    if status not in _LOGIN_REFUSED:
        return f"HTTP {status}"
    if is_elsewhere:
        where = "a redirect led to another server, which gets no credentials: check the URL"
    elif config.authorization is not None:
        where = "the server does not accept `authorization`: check its `type` and its credentials"
    elif config.basic_auth is not None:
        where = "the server does not accept `basic_auth`: check its username and password"
    elif config.has_credentials:
        where = "the server does not accept the secrets in `http_headers`"
    else:
        where = "the server wants credentials: set `authorization` or `basic_auth`"
    return f"HTTP {status}: {where}"


def describe_error(error: aiohttp.ClientError) -> str:
    """Describe an error of the connection or of the response in words."""
    text = type(error).__name__
    match error:
        case aiohttp.ClientConnectorCertificateError():
            # Our own text, which names the setting: ca_file or server_name.
            text = f"TLS failed: {error.certificate_error}"
        case aiohttp.ClientSSLError():
            text = f"TLS failed: {error.os_error}: check `tls_config`, and that the URL is of https"
        case aiohttp.ClientConnectorDNSError():
            text = f"cannot resolve the server's name: {error.os_error}"
        case aiohttp.ClientProxyConnectionError():
            text = f"cannot connect to the proxy: {describe_refusals(error.os_error)}"
        case aiohttp.ClientConnectorError():
            text = f"cannot connect: {describe_refusals(error.os_error)}"
        case aiohttp.ClientHttpProxyError():
            text = f"the proxy answered HTTP {error.status}"
        case aiohttp.InvalidURL() | aiohttp.NonHttpUrlClientError():
            text = "redirected to something that is no URL"
        case aiohttp.ClientResponseError():
            text = "the response is not HTTP"
        case aiohttp.ClientConnectionError() | aiohttp.ClientPayloadError():
            text = "the server closed the connection before its response was complete"
    return text
