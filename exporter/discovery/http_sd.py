"""HTTP discovery: get target groups as JSON from a server."""

import asyncio
from collections.abc import Sequence
from http import HTTPStatus
from typing import Final

import aiohttp

from exporter.config.relabel import RelabelConfig
from exporter.config.schema import HttpSdConfig
from exporter.config.types import redact_url
from exporter.discovery.http_get import describe_http_error, get_json
from exporter.discovery.http_request import PreparedRequest, prepare_request
from exporter.discovery.target_groups import (
    GroupReader,
    RefreshFailed,
    RefreshResult,
    Source,
    Targets,
)
from exporter.system.files import MAX_FILE_BYTES

TIMEOUT_SECONDS: Final = 30.0


class HTTPSD:
    """Discovers devices from an HTTP server. The source's name is the URL without its secrets.

    Files with secrets and certificates are read at each refresh, so changed ones count.
    """

    def __init__(self, config: HttpSdConfig, rules: Sequence[RelabelConfig] = ()) -> None:
        self.interval_seconds = config.refresh_interval
        self._reader = GroupReader(rules)
        self._config = config
        self._source = Source("http", redact_url(config.url))
        self.configured_sources = (self._source,)

    def covers(self, source: Source) -> bool:
        """Whether the source is this server."""
        return source == self._source

    async def refresh(self) -> list[RefreshResult]:
        """Get the targets from the server. Raises `RefreshFailed`."""
        try:
            request = await asyncio.to_thread(prepare_request, self._config)
            async with asyncio.timeout(TIMEOUT_SECONDS):
                document = await self._fetch(request)
            targets = await asyncio.to_thread(self._read, document)
        except TimeoutError:
            raise RefreshFailed(f"no response within {TIMEOUT_SECONDS:g} s") from None
        except (aiohttp.ClientError, ValueError) as error:
            raise RefreshFailed(describe_http_error(error)) from None
        return [RefreshResult(self._source, *targets)]

    async def stop(self) -> None:
        """End the reading: the process waits for its thread."""
        self._reader.stop.set()

    def _read(self, document: bytes) -> Targets:
        return self._reader.read(self._source, document, is_json=True)

    async def _fetch(self, request: PreparedRequest) -> bytes:
        headers = {"X-Prometheus-Refresh-Interval-Seconds": f"{self.interval_seconds:g}"}
        reply = await get_json(self._config.url, self._config, request, headers, MAX_FILE_BYTES)
        if reply.status != HTTPStatus.OK:
            raise ValueError(f"HTTP {reply.status}")
        return reply.body
