"""Listening: on which addresses, behind which web-config, and a clean end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from ssl import SSLContext
from typing import Final

import structlog
from aiohttp import web

from exporter.config import ConfigError
from exporter.system.background import in_background
from exporter.web.connection import Runner
from exporter.web.web_config.live import LiveWebConfig

_SHUTDOWN_SECONDS: Final = 0.5

_log = structlog.get_logger()


class CannotServe(Exception):
    """An address cannot be listened on, or the web-config not be used; `str()` says why."""


@dataclass(frozen=True, slots=True)
class WebSettings:
    """Where the web side listens, as (host, port); an empty host is every interface.

    `config_file` is a web-config: TLS, accounts, headers.
    """

    listen: tuple[tuple[str, int], ...]
    telemetry_path: str = "/metrics"
    config_file: Path | None = None


@asynccontextmanager
async def serving(app: web.Application, settings: WebSettings) -> AsyncIterator[list[str]]:
    """Serve an application; the URLs that it listens on, as `http://host:port`.

    Raises `CannotServe`.
    """
    async with _protected(app, settings.config_file) as tls:
        runner = Runner(app, handle_signals=False, shutdown_timeout=_SHUTDOWN_SECONDS)
        await runner.setup()
        try:
            for host, port in settings.listen:
                await _listen(runner, host, port, tls)
            yield _announced(runner.addresses, "http" if tls is None else "https")
        finally:
            await runner.cleanup()


@asynccontextmanager
async def _protected(
    app: web.Application, config_file: Path | None
) -> AsyncIterator[SSLContext | None]:
    """An application behind its web-config, if there is one; the TLS to listen with."""
    if config_file is None:
        yield None
        return
    try:
        live = LiveWebConfig(config_file)
    except ConfigError as error:
        raise CannotServe(str(error)) from error
    live.protect(app)
    async with in_background(live.follow()):
        yield live.tls


async def _listen(runner: web.AppRunner, host: str, port: int, tls: SSLContext | None) -> None:
    try:
        await web.TCPSite(runner, host or None, port, ssl_context=tls).start()
    except (OSError, UnicodeError) as problem:
        reason = getattr(problem, "strerror", None) or str(problem)
        raise CannotServe(f"cannot listen on {_spelled((host, port))}: {reason}") from problem


def _announced(addresses: list[tuple[str, int]], scheme: str) -> list[str]:
    """The URLs that are listened on, told in the log."""
    spelled = [_spelled(address) for address in addresses]
    for address in spelled:
        _log.info("web.listening", address=address, scheme=scheme)
    return [f"{scheme}://{address}" for address in spelled]


def _spelled(address: tuple[str, int]) -> str:
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
