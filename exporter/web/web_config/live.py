"""The web-config in force: read again when it or a file that it names changes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import structlog
from aiohttp import hdrs, web

from exporter.config.errors import ConfigError
from exporter.system.files import Digests, digests
from exporter.web.web_config.authentication import ask_for_password
from exporter.web.web_config.basic_auth import Accounts, Checker
from exporter.web.web_config.cut_off import losses
from exporter.web.web_config.hang_up import hang_up_on
from exporter.web.web_config.schema import WebConfig, files_named_in, load_web_config
from exporter.web.web_config.reloadable_tls import SwappableTls

LOOK_EVERY_SECONDS: Final = 1.0

_log = structlog.get_logger()


class LiveWebConfig:
    """What a web-config asks for, as it stands: TLS, headers, accounts.

    Raises `ConfigError` if the file cannot be used at the start. Later a broken file changes
    nothing, and the log tells it once.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._checker = Checker()
        self._seen = self._tried = checksums(file)
        self._told: str | None = None
        config = load_web_config(file)
        section = config.tls_server_config
        self.tls = None if section is None else SwappableTls(section)
        self.headers: Mapping[str, str] = {}
        self.accounts: Accounts | None = None
        self._hashes: Mapping[str, str] = {}
        self._take(config)

    def protect(self, app: web.Application) -> None:
        """Let an application answer as the web-config wants it."""
        app.middlewares.insert(0, ask_for_password(lambda: self.accounts))
        app.middlewares.insert(0, hang_up_on(self._is_shut_out))
        app.on_response_prepare.append(self._prepare)
        app.on_shutdown.append(self._stop_checking)

    async def follow(self) -> None:
        """Look at the files again and again, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_EVERY_SECONDS)
            try:
                await self.look()
            except Exception:  # noqa: BLE001 - last resort: who stops looking serves what is old
                _log.exception("web_config.internal_error", file=str(self._file))

    async def look(self) -> None:
        """Take what has changed since, once it stands still from one look to the next."""
        now = await asyncio.to_thread(checksums, self._file)
        stands_still, self._seen = now == self._seen, now
        if not stands_still or now == self._tried:
            return
        self._tried = now
        try:
            self._change_to(await asyncio.to_thread(load_web_config, self._file))
        except ConfigError as error:
            self._tell_once("; ".join(error.problems))

    def _change_to(self, config: WebConfig) -> None:
        if lost := list(losses(self._config, config)):
            raise ConfigError([f"{self._file}: {each}" for each in lost])
        had_accounts = self.accounts is not None
        self._take(config)
        self._told = None
        _log.info("web_config.loaded", file=str(self._file))
        if had_accounts and self.accounts is None:
            _log.warning("web_config.asks_no_password", file=str(self._file))

    def _take(self, config: WebConfig) -> None:
        self._config = config
        if self.tls is not None and config.tls_server_config is not None:
            self.tls.swap(config.tls_server_config)
        self.headers = config.http_server_config.headers.named()
        hashes = {
            name: secret.get_secret_value() for name, secret in config.basic_auth_users.items()
        }
        if hashes != self._hashes:
            # Anew, with nothing known of what was right or wrong before.
            self.accounts = Accounts(hashes, self._checker) if hashes else None
            self._hashes = hashes

    def _tell_once(self, problem: str) -> None:
        if problem != self._told:
            self._told = problem
            _log.error("web_config.reload_failed", error=problem)

    async def _stop_checking(self, _app: web.Application) -> None:
        # Else the end of the daemon waits for everybody whose password is yet to be checked.
        self._checker.close()

    async def _prepare(self, request: web.Request, response: web.StreamResponse) -> None:
        for name, value in self.headers.items():
            if value:
                response.headers[name] = value
            else:
                response.headers.popall(name, None)
        if self.tls is not None and self.tls.is_outdated(request.transport):
            # Both: whether to close is settled before this is called, and so is what is said of it.
            response.force_close()
            response.headers[hdrs.CONNECTION] = "close"

    def _is_shut_out(self, request: web.Request) -> bool:
        return self.tls is not None and self.tls.shuts_out(request.transport)


def checksums(file: Path) -> Digests:
    """The checksums of a web-config and of the files that it names."""
    return digests((file, *files_named_in(file)))
