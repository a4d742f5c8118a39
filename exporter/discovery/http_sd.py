"""HTTP discovery: get target groups as JSON from a server."""

import asyncio
from collections.abc import Sequence
from http import HTTPStatus
from typing import Final

import aiohttp

from exporter.config.relabel import RelabelConfig
from exporter.config.schema import HttpSdConfig
from exporter.config.types import redact_url
from exporter.discovery.file_sd import STOP_TIMEOUT_SECONDS
from exporter.discovery.http_errors import describe_error, describe_status
from exporter.discovery.http_get import get_json
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

TIMEOUT_SECONDS: Final = 30.0


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
        headers = {"X-Prometheus-Refresh-Interval-Seconds": f"{self.interval_seconds:g}"}
        reply = await get_json(self._config.url, self._config, request, headers, MAX_FILE_BYTES)
        if reply.status != HTTPStatus.OK:
            problem = describe_status(reply.status, self._config, is_elsewhere=reply.is_elsewhere)
            raise ValueError(problem)
        return reply.body
