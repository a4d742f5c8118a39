"""Where target groups come from: files by pattern, and HTTP servers."""

from __future__ import annotations

import asyncio
import os
from http import HTTPStatus
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple, Protocol

import aiohttp

from exporter.config import Config, FileSdConfig, HttpSdConfig
from exporter.config.types import redact_url
from exporter.discovery.file_sd import LARGEST_BYTES, matches, matching, read_text
from exporter.discovery.patience import HungCallGuard
from exporter.discovery.target_groups import Targets, read_groups

PATIENCE_SECONDS: Final = 30.0
"""How long a source may take to tell what it has."""

_JSON_SUFFIXES: Final = (".json", ".JSON")


class RefreshResult(NamedTuple):
    """What a source has told: its targets, or `None` and why there are none to be had."""

    source: str
    targets: Targets | None
    problem: str = ""


class RefreshFailed(Exception):
    """A refresh that does not even know its sources; `str()` says why."""


class Mechanism(Protocol):
    """A way of discovery. `name` is Prometheus's word for it."""

    name: str
    interval_seconds: float
    origins: tuple[str, ...]
    """What it asks, as the operator wrote it: sources by another name while none are known."""

    async def refresh(self) -> list[RefreshResult]:
        """Every source that there is, each with what it tells now. Raises `NothingTold`."""

    def covers(self, source: str) -> bool:
        """Whether this source is one of those that it asks."""


def mechanisms(config: Config) -> dict[FileSdConfig | HttpSdConfig, Mechanism]:
    """Every mechanism of a config, by its section, in the config's order."""
    found: dict[FileSdConfig | HttpSdConfig, Mechanism] = {}
    found.update((section, FileSD(section)) for section in config.file_sd_configs)
    found.update((section, HTTPSD(section)) for section in config.http_sd_configs)
    return found


class FileSD:
    """Files by pattern; each is a source of its own."""

    name = "file"

    def __init__(self, config: FileSdConfig, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self.interval_seconds = config.refresh_interval
        self.origins: tuple[str, ...] = tuple(map(_shown, config.files))
        self._patterns = config.files
        self._patience = HungCallGuard(self._read_all, patience_seconds)

    async def refresh(self) -> list[RefreshResult]:
        """Read every file that there is."""
        try:
            return await self._patience.result()
        except TimeoutError:
            raise RefreshFailed(
                "the files could not be read in time: does their disk hang?"
            ) from None
        except OSError as problem:
            raise RefreshFailed(f"{problem.filename}: {problem.strerror}") from None

    def covers(self, source: str) -> bool:
        """Whether a pattern finds this file."""
        return any(matches(Path(source), pattern) for pattern in self._patterns)

    def _read_all(self) -> list[RefreshResult]:
        return [_read(file) for file in matching(self._patterns)]


def _shown(file: Path) -> str:
    # The name of a file may be any bytes; the label of a metric is UTF-8.
    return os.fsencode(file).decode(errors="replace")


def _read(file: Path) -> RefreshResult:
    try:
        targets = read_groups(read_text(file), is_json=file.suffix in _JSON_SUFFIXES)
    except ValueError as problem:
        return RefreshResult(_shown(file), None, str(problem))
    return RefreshResult(_shown(file), targets)


class HTTPSD:
    """An HTTP server that answers with target groups as JSON."""

    name = "http"

    def __init__(self, config: HttpSdConfig) -> None:
        self.interval_seconds = config.refresh_interval
        self._url = config.url
        self._source = redact_url(config.url)
        self.origins: tuple[str, ...] = (self._source,)

    def covers(self, source: str) -> bool:
        """Whether this is the server."""
        return source == self._source

    async def refresh(self) -> list[RefreshResult]:
        """Ask the server."""
        try:
            document = await self._fetch()
            targets = await asyncio.to_thread(read_groups, document, is_json=True)
        except TimeoutError:
            problem = f"no answer within {PATIENCE_SECONDS:g} s"
        except (aiohttp.ClientError, ValueError) as error:
            problem = _told(error)
        else:
            return [RefreshResult(self._source, targets)]
        return [RefreshResult(self._source, None, problem)]

    async def _fetch(self) -> str:
        timeout = aiohttp.ClientTimeout(total=PATIENCE_SECONDS)
        headers = {
            "Accept": "application/json",
            "X-Prometheus-Refresh-Interval-Seconds": f"{self.interval_seconds:g}",
        }
        async with (
            aiohttp.ClientSession(timeout=timeout, headers=headers) as session,
            session.get(self._url) as answer,
        ):
            return await _body_of(answer)


_QUOTES_URL: Final = (
    aiohttp.InvalidURL,
    aiohttp.ClientResponseError,
    aiohttp.NonHttpUrlClientError,
)
"""Errors whose text has the URL, which may hold a token."""


def _told(error: Exception) -> str:
    kind = type(error).__name__
    return kind if isinstance(error, _QUOTES_URL) else str(error) or kind


def _is_downgrade(answer: aiohttp.ClientResponse) -> bool:
    """Whether a redirect led from https to where anybody may answer."""
    schemes = [each.url.scheme for each in (*answer.history, answer)]
    return any(step == ("https", "http") for step in pairwise(schemes))


async def _body_of(answer: aiohttp.ClientResponse) -> str:
    if _is_downgrade(answer):
        raise ValueError("redirected from https to http: whoever is between could answer")
    if answer.status != HTTPStatus.OK:
        raise ValueError(f"HTTP {answer.status}")
    if answer.content_type != "application/json":
        raise ValueError(f"the answer is {answer.content_type}, not application/json")
    chunks, room = [], LARGEST_BYTES
    async for chunk in answer.content.iter_any():
        chunks.append(chunk)
        room -= len(chunk)
        if room < 0:
            raise ValueError(f"the answer is larger than {LARGEST_BYTES} bytes")
    return b"".join(chunks).decode()
