"""Where target groups come from: files by pattern, and HTTP servers."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from pathlib import Path
from typing import Final, NamedTuple, Protocol

import aiohttp

from exporter.config import Config, FileSd, HttpSd
from exporter.discovery.groups import Targets, read_groups

LARGEST_ANSWER_BYTES: Final = 64 * 1024 * 1024
"""A list of 100,000 devices takes a fifth of it."""

_HTTP_TIMEOUT_SECONDS: Final = 30.0


class Refreshed(NamedTuple):
    """What a source has told: its targets, or `None` and why there are none to be had."""

    source: str
    targets: Targets | None
    problem: str = ""


class Mechanism(Protocol):
    """A way of discovery. `name` is Prometheus's word for it."""

    name: str
    interval_seconds: float

    async def refresh(self) -> list[Refreshed]:
        """Every source that there is, each with what it tells now."""


def mechanisms(config: Config) -> dict[FileSd | HttpSd, Mechanism]:
    """Every mechanism of a config, by its section, in the config's order."""
    found: dict[FileSd | HttpSd, Mechanism] = {}
    found.update((section, Files(section)) for section in config.file_sd_configs)
    found.update((section, Server(section)) for section in config.http_sd_configs)
    return found


class Files:
    """Files by pattern; each is a source of its own."""

    name = "file"

    def __init__(self, config: FileSd) -> None:
        self.interval_seconds = config.refresh_interval
        self._patterns = config.files

    async def refresh(self) -> list[Refreshed]:
        """Read every file that there is."""
        return await asyncio.to_thread(self._read_all)

    def _read_all(self) -> list[Refreshed]:
        files = dict.fromkeys(
            file for pattern in self._patterns for file in sorted(pattern.parent.glob(pattern.name))
        )
        return [_read(file) for file in files]


def _read(file: Path) -> Refreshed:
    try:
        document = file.read_text("utf-8")
        return Refreshed(str(file), read_groups(document, is_json=file.suffix == ".json"))
    except OSError as problem:
        return Refreshed(str(file), None, f"cannot be read: {problem.strerror}")
    except ValueError as problem:
        return Refreshed(str(file), None, str(problem))


class Server:
    """An HTTP server that answers with target groups as JSON."""

    name = "http"

    def __init__(self, config: HttpSd) -> None:
        self.interval_seconds = config.refresh_interval
        self._url = config.url

    async def refresh(self) -> list[Refreshed]:
        """Ask the server."""
        try:
            document = await self._fetch()
            targets = await asyncio.to_thread(read_groups, document, is_json=True)
        except TimeoutError:
            problem = f"no answer within {_HTTP_TIMEOUT_SECONDS:g} s"
        except (aiohttp.ClientError, ValueError) as error:
            problem = str(error) or type(error).__name__
        else:
            return [Refreshed(self._url, targets)]
        return [Refreshed(self._url, None, problem)]

    async def _fetch(self) -> str:
        timeout = aiohttp.ClientTimeout(total=_HTTP_TIMEOUT_SECONDS)
        headers = {
            "Accept": "application/json",
            "X-Prometheus-Refresh-Interval-Seconds": f"{self.interval_seconds:g}",
        }
        async with (
            aiohttp.ClientSession(timeout=timeout, headers=headers) as session,
            session.get(self._url) as answer,
        ):
            return await _body_of(answer)


async def _body_of(answer: aiohttp.ClientResponse) -> str:
    if answer.status != HTTPStatus.OK:
        raise ValueError(f"HTTP {answer.status}")
    if answer.content_type != "application/json":
        raise ValueError(f"the answer is {answer.content_type}, not application/json")
    chunks, room = [], LARGEST_ANSWER_BYTES
    async for chunk in answer.content.iter_any():
        chunks.append(chunk)
        room -= len(chunk)
        if room < 0:
            raise ValueError(f"the answer is larger than {LARGEST_ANSWER_BYTES} bytes")
    return b"".join(chunks).decode()
