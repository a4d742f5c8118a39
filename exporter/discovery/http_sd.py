"""HTTP discovery: get target groups as JSON from a server."""

import asyncio
import ssl
from collections.abc import Sequence
from functools import cached_property
from http import HTTPStatus
from itertools import pairwise
from typing import Final

import aiohttp

from exporter.config.relabel import RelabelConfig
from exporter.config.schema import HttpSdConfig
from exporter.config.types import redact_url
from exporter.discovery.target_groups import (
    GroupReader,
    RefreshFailed,
    RefreshResult,
    Source,
    Targets,
)
from exporter.system.files import MAX_FILE_BYTES
from exporter.system.tls import BoundedSSLContext, refuse_dhe
from exporter.vapix.aiohttp_internals import ZonelessRequest

TIMEOUT_SECONDS: Final = 30.0

_ERRORS_WITH_URL: Final = (
    aiohttp.InvalidURL,
    aiohttp.ClientResponseError,
    aiohttp.NonHttpUrlClientError,
)
"""Errors whose text contains the URL, which may contain a token."""


class HTTPSD:
    """Discovers devices from an HTTP server. The source's name is the URL without its secrets."""

    def __init__(self, config: HttpSdConfig, rules: Sequence[RelabelConfig] = ()) -> None:
        self.interval_seconds = config.refresh_interval
        self._reader = GroupReader(rules)
        self._url = config.url
        self._source = Source("http", redact_url(config.url))
        self.configured_sources = (self._source,)

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        """The context of all requests; loading the system's CAs takes 20 ms."""
        context = BoundedSSLContext(ssl.PROTOCOL_TLS_CLIENT)
        refuse_dhe(context)
        context.load_default_certs()
        return context

    def covers(self, source: Source) -> bool:
        """Whether the source is this server."""
        return source == self._source

    async def refresh(self) -> list[RefreshResult]:
        """Get the targets from the server. Raises `RefreshFailed`."""
        try:
            document = await self._fetch()
            targets = await asyncio.to_thread(self._read, document)
        except TimeoutError:
            raise RefreshFailed(f"no response within {TIMEOUT_SECONDS:g} s") from None
        except (aiohttp.ClientError, ValueError) as error:
            kind = type(error).__name__
            text = "" if isinstance(error, _ERRORS_WITH_URL) else str(error)
            raise RefreshFailed(text or kind) from None
        return [RefreshResult(self._source, *targets)]

    async def stop(self) -> None:
        """End the reading: the process waits for its thread."""
        self._reader.stop.set()

    def _read(self, document: bytes) -> Targets:
        return self._reader.read(self._source, document, is_json=True)

    async def _fetch(self) -> bytes:
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
        headers = {
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "X-Prometheus-Refresh-Interval-Seconds": f"{self.interval_seconds:g}",
        }
        async with (
            aiohttp.ClientSession(
                timeout=timeout,
                headers=headers,
                request_class=ZonelessRequest,
                # 300 KB can unpack to 300 MB, in the event loop.
                auto_decompress=False,
            ) as session,
            session.get(self._url, ssl=self._tls) as response,
        ):
            return await _read_json(response)


async def _read_json(response: aiohttp.ClientResponse) -> bytes:
    schemes = [each.url.scheme for each in (*response.history, response)]
    if ("https", "http") in pairwise(schemes):
        raise ValueError("redirected from https to http: the response could be forged")
    if response.status != HTTPStatus.OK:
        raise ValueError(f"HTTP {response.status}")
    encoding = response.headers.get("Content-Encoding", "identity")
    if encoding.lower() != "identity":
        raise ValueError(f"the response is compressed with {encoding}, which was not asked for")
    if response.content_type != "application/json":
        raise ValueError(f"the response is {response.content_type}, not application/json")
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MAX_FILE_BYTES:
            raise ValueError(f"the response is larger than {MAX_FILE_BYTES} bytes")
    return bytes(body)
