"""Get JSON from a server that the config of an HTTP client describes."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final, NamedTuple

import aiohttp
from aiohttp import hdrs
from multidict import CIMultiDict
from yarl import URL

from exporter.config.http_client import HttpClientConfig
from exporter.discovery.http_errors import describe_status
from exporter.discovery.http_request import PreparedRequest
from exporter.vapix.aiohttp_internals import ZonelessRequest

MAX_REDIRECTS: Final = 10

_REDIRECTS: Final = {301, 302, 303, 307, 308}


class JsonReply(NamedTuple):
    """A response that says it is JSON; nothing else about the body is known.

    `is_elsewhere`: it is from another server, to which a redirect led.
    """

    status: int
    body: bytes
    is_elsewhere: bool = False


async def get_json(
    url: str,
    config: HttpClientConfig,
    request: PreparedRequest,
    headers: Mapping[str, str],
    max_bytes: int,
) -> JsonReply:
    """Return the response at the end of the redirects. Has no timeout of its own.

    Raises `aiohttp.ClientError`, and `ValueError` for what is no JSON or larger than `max_bytes`.
    """
    async with aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=None),
        headers={"Accept": "application/json", "Accept-Encoding": "identity", **headers},
        request_class=ZonelessRequest,
        # 300 KB can unpack to 300 MB, in the event loop.
        auto_decompress=False,
        # A cookie would go to other hosts of the domain.
        cookie_jar=aiohttp.DummyCookieJar(),
    ) as session:
        return await _follow(session, URL(url), config, request, max_bytes)


async def _follow(
    session: aiohttp.ClientSession,
    first: URL,
    config: HttpClientConfig,
    request: PreparedRequest,
    max_bytes: int,
) -> JsonReply:
    """Return the response at the end of the redirects; other servers get no credentials."""
    url = first
    headers, tls, name = request.headers, request.tls, config.tls_config.server_name
    for _ in range(MAX_REDIRECTS + 1):
        async with session.get(
            url,
            headers=headers,
            ssl=tls,
            server_hostname=name,
            proxy=config.proxy_url,
            allow_redirects=False,
        ) as response:
            location = _location(response)
            if location is None or not config.follow_redirects:
                is_elsewhere = url.origin() != first.origin()
                is_json = response.content_type == "application/json"
                if response.status != HTTPStatus.OK and not is_json:
                    problem = describe_status(response.status, config, is_elsewhere=is_elsewhere)
                    raise ValueError(problem)
                body = await _read_json(response, max_bytes)
                return JsonReply(response.status, body, is_elsewhere)
        url = url.join(location)
        if first.scheme == "https" and url.scheme != "https":
            raise ValueError("redirected from https to http: the response could be forged")
        if url.origin() != first.origin():
            headers, tls, name = CIMultiDict(), request.tls_elsewhere, None
    raise ValueError(f"redirected more than {MAX_REDIRECTS} times")


def _location(response: aiohttp.ClientResponse) -> URL | None:
    """Return where a response redirects to; `None` if it does not. Raises `ValueError`."""
    if response.status not in _REDIRECTS or hdrs.LOCATION not in response.headers:
        return None
    url = URL(response.headers[hdrs.LOCATION])
    if url.scheme not in ("", "http", "https"):
        raise ValueError("redirected to a URL that is neither http nor https")
    return url


async def _read_json(response: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    encoding = response.headers.get("Content-Encoding", "identity")
    if encoding.lower() != "identity":
        raise ValueError(f"the response is compressed with {encoding}, which was not asked for")
    if response.content_type != "application/json":
        raise ValueError(f"the response is {response.content_type}, not application/json")
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > max_bytes:
            raise ValueError(f"the response is larger than {max_bytes} bytes")
    return bytes(body)
