"""HTTP discovery: get target groups as JSON from a server."""

import asyncio
from collections.abc import Sequence
from http import HTTPStatus
from typing import Final

import aiohttp
from aiohttp import hdrs
from multidict import CIMultiDict
from yarl import URL

from exporter.config.relabel import RelabelConfig
from exporter.config.schema import HttpSdConfig
from exporter.config.types import redact_url
from exporter.discovery.file_sd import STOP_TIMEOUT_SECONDS
from exporter.discovery.http_errors import describe_error, describe_status
from exporter.discovery.http_request import PreparedRequest, prepare_request
from exporter.discovery.target_groups import (
    GroupReader,
    RefreshFailed,
    RefreshResult,
    Source,
    Targets,
)
from exporter.system.files import MAX_FILE_BYTES
from exporter.system.threads import FILES_TIMEOUT_SECONDS, HungCallGuard
from exporter.vapix.aiohttp_internals import ZonelessRequest

TIMEOUT_SECONDS: Final = 30.0

MAX_REDIRECTS: Final = 10

_REDIRECTS: Final = {301, 302, 303, 307, 308}


class HTTPSD:
    """Discovers devices from an HTTP server. The source's name is the URL without its secrets.

    Files with secrets and certificates are read at each refresh, so changed ones count.
    """

    def __init__(
        self,
        config: HttpSdConfig,
        rules: Sequence[RelabelConfig] = (),
        files_timeout_seconds: float = FILES_TIMEOUT_SECONDS,
    ) -> None:
        self.interval_seconds = config.refresh_interval
        self._reader = GroupReader(rules)
        self._config = config
        self._source = Source("http", redact_url(config.url))
        self.configured_sources = (self._source,)
        self._files_timeout_seconds = files_timeout_seconds
        self._request = HungCallGuard(lambda: prepare_request(config), files_timeout_seconds)

    def covers(self, source: Source) -> bool:
        """Whether the source is this server."""
        return source == self._source

    async def refresh(self) -> list[RefreshResult]:
        """Get the targets from the server. Raises `RefreshFailed`."""
        try:
            request = await self._prepare()
            async with asyncio.timeout(TIMEOUT_SECONDS):
                document = await self._fetch(request)
            targets = await asyncio.to_thread(self._read, document)
        except TimeoutError:
            raise RefreshFailed(f"no response within {TIMEOUT_SECONDS:g} s") from None
        except aiohttp.ClientError as error:
            raise RefreshFailed(describe_error(error)) from None
        except ValueError as error:
            raise RefreshFailed(str(error)) from None
        return [RefreshResult(self._source, *targets)]

    async def _prepare(self) -> PreparedRequest:
        try:
            return await self._request.result()
        except TimeoutError:
            raise RefreshFailed(
                "the files with its secrets and certificates could not be read within "
                f"{self._files_timeout_seconds:g} s: check their disk or network share"
            ) from None

    def end_reading(self) -> None:
        """End the reading soon: its result is of no use any more."""
        self._reader.stop.set()

    async def stop(self) -> None:
        """End the reading: the process waits for its thread. A hung one may stay."""
        self.end_reading()
        await self._request.wait_until_idle(STOP_TIMEOUT_SECONDS)

    def _read(self, document: bytes) -> Targets:
        return self._reader.read(self._source, document, is_json=True)

    async def _fetch(self, request: PreparedRequest) -> bytes:
        headers = {
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "X-Prometheus-Refresh-Interval-Seconds": f"{self.interval_seconds:g}",
        }
        async with aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=None),
            headers=headers,
            request_class=ZonelessRequest,
            # 300 KB can unpack to 300 MB, in the event loop.
            auto_decompress=False,
            # A cookie would go to other hosts of the domain.
            cookie_jar=aiohttp.DummyCookieJar(),
        ) as session:
            return await self._follow(session, request)

    async def _follow(self, session: aiohttp.ClientSession, request: PreparedRequest) -> bytes:
        """Return the body at the end of the redirects; other servers get no credentials."""
        url = first = URL(self._config.url)
        headers, tls, name = request.headers, request.tls, self._config.tls_config.server_name
        for _ in range(MAX_REDIRECTS + 1):
            async with session.get(
                url,
                headers=headers,
                ssl=tls,
                server_hostname=name,
                proxy=self._config.proxy_url,
                allow_redirects=False,
            ) as response:
                location = _location(response)
                if location is None or not self._config.follow_redirects:
                    self._check_status(response.status, url, first)
                    return await _read_json(response)
            url = url.join(location)
            if first.scheme == "https" and url.scheme != "https":
                raise ValueError("redirected from https to http: the response could be forged")
            if url.origin() != first.origin():
                headers, tls, name = CIMultiDict(), request.tls_elsewhere, None
        raise ValueError(f"redirected more than {MAX_REDIRECTS} times")

    def _check_status(self, status: int, url: URL, first: URL) -> None:
        if status != HTTPStatus.OK:
            is_elsewhere = url.origin() != first.origin()
            raise ValueError(describe_status(status, self._config, is_elsewhere=is_elsewhere))


def _location(response: aiohttp.ClientResponse) -> URL | None:
    """Return where a response redirects to; `None` if it does not. Raises `ValueError`."""
    if response.status not in _REDIRECTS or hdrs.LOCATION not in response.headers:
        return None
    url = URL(response.headers[hdrs.LOCATION])
    if url.scheme not in ("", "http", "https"):
        raise ValueError("redirected to a URL that is neither http nor https")
    return url


async def _read_json(response: aiohttp.ClientResponse) -> bytes:
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
