"""The web-config of a running server: reloaded when it, or a file that it names, changes."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Self
from weakref import WeakSet

import structlog
from aiohttp import hdrs, web

from exporter.config.errors import ConfigError
from exporter.system.files import Digests, FileWatcher, digests
from exporter.system.threads import read_files
from exporter.web.paths import NO_PREFIX, WebPaths
from exporter.web.web_config.basic_auth import CheckQueue, Users, require_password
from exporter.web.web_config.schema import WebConfig, files_named_in, load_web_config
from exporter.web.web_config.tls import TlsServerConfig

CHECK_INTERVAL_SECONDS: Final = 1.0

_log = structlog.get_logger()


class LiveWebConfig:
    """The TLS context, headers and users of a web-config file, kept up to date.

    Raises `ConfigError` if the file cannot be used at the start. Later a broken file changes
    nothing, and each of its errors is logged once.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._queue = CheckQueue()
        self._watcher = FileWatcher(lambda: (file, *files_named_in(file)), checksums(file))
        self._logged_error: str | None = None
        config = load_web_config(file)
        section = config.tls_server_config
        self.tls = None if section is None else ReloadableTls(section)
        self.users: Users | None = None
        self._hashes: Mapping[str, str] = {}
        self._apply(config)

    def protect(self, app: web.Application, paths: WebPaths = NO_PREFIX) -> None:
        """Make an application ask for passwords and send the headers of the web-config."""
        app.middlewares.insert(0, require_password(lambda: self.users, paths))
        app.middlewares.insert(0, self._disconnect)
        app.on_response_prepare.append(self._prepare)
        app.on_shutdown.append(self._close_queue)

    async def watch(self) -> None:
        """Check the files for changes until cancelled."""
        while True:
            await asyncio.sleep(CHECK_INTERVAL_SECONDS)
            try:
                await self.check_files()
            except Exception:  # noqa: BLE001 - last resort: without it, no change is ever loaded
                _log.exception("web_config.internal_error", file=str(self._file))

    async def check_files(self) -> None:
        """Load changed files once two checks in a row have found them the same."""
        if not await self._watcher.has_changed():
            return
        try:
            self._reload(await read_files(lambda: load_web_config(self._file)))
        except (ConfigError, TimeoutError) as error:
            problem = "; ".join(str(error).splitlines())
            if problem != self._logged_error:
                self._logged_error = problem
                _log.error("web_config.reload_failed", error=problem)

    def _reload(self, config: WebConfig) -> None:
        if removed := list(_removed_protections(self._config, config)):
            raise ConfigError([f"{self._file}: {problem}" for problem in removed])
        had_users = self.users is not None
        self._apply(config)
        self._logged_error = None
        _log.info("web_config.loaded", file=str(self._file))
        if had_users and self.users is None:
            _log.warning("web_config.authentication_disabled", file=str(self._file))

    def _apply(self, config: WebConfig) -> None:
        self._config = config
        if self.tls is not None and config.tls_server_config is not None:
            self.tls.replace(config.tls_server_config)
        self.headers = config.http_server_config.headers.by_name()
        hashes = {
            name: secret.get_secret_value() for name, secret in config.basic_auth_users.items()
        }
        if hashes != self._hashes:
            self.users = Users(hashes, self._queue) if hashes else None
            self._hashes = hashes

    async def _close_queue(self, _app: web.Application) -> None:
        # Without this, the exporter could not stop until every waiting password is checked.
        self._queue.close()

    async def _prepare(self, request: web.Request, response: web.StreamResponse) -> None:
        for name, value in self.headers.items():
            if value:
                response.headers[name] = value
            else:
                response.headers.popall(name, None)
        if self.tls is not None and self.tls.is_outdated(request.transport):
            # aiohttp has already decided on keep-alive, so set both flag and header.
            response.force_close()
            response.headers[hdrs.CONNECTION] = "close"

    @web.middleware
    async def _disconnect(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Close the connection if its client was verified by rules that have been replaced.

        A client that the new rules admit opens a new connection; Prometheus does so by itself.
        """
        if self.tls is None or not self.tls.has_outdated_client(request.transport):
            return await handler(request)
        request.protocol.force_close()
        return web.Response(status=403)  # required by aiohttp, never sent


def checksums(file: Path) -> Digests:
    """Return the checksums of a web-config and of the files that it names."""
    return digests((file, *files_named_in(file)))


def _removed_protections(before: WebConfig, after: WebConfig) -> Iterator[str]:
    """Yield `path: problem` for each protection that the new config omits instead of disabling it.

    A file that was truncated on its way must not weaken authentication.
    """
    old, new = before.tls_server_config, after.tls_server_config
    if (old is None) != (new is None):
        # In both directions: scrapers configured for the other scheme would break.
        yield "tls_server_config: restart the exporter to turn TLS on or off"
    if old is not None and new is not None:
        yield from _removed_client_rules(old, new)
    if before.basic_auth_users and "basic_auth_users" not in after.model_fields_set:
        yield "basic_auth_users: is missing; write {} to remove all users"


def _removed_client_rules(old: TlsServerConfig, new: TlsServerConfig) -> Iterator[str]:
    if old.verifies_clients and "client_auth_type" not in new.model_fields_set:
        yield (
            "tls_server_config.client_auth_type: is missing; "
            "write NoClientCert to stop asking for client certificates"
        )
    if not new.verifies_clients:
        return
    # Without client_ca_file the system's CAs would count, without client_allowed_sans any name.
    for key in ("client_ca_file", "client_allowed_sans"):
        if getattr(old, key) is not None and getattr(new, key) is None:
            yield f"tls_server_config.{key}: is missing; restart the exporter to remove it"


class ReloadableTls(ssl.SSLContext):
    """The context that a server listens with; each new connection uses the current one behind it.

    The event loops, uvloop's and Python's, call `wrap_bio` for every connection that they accept.
    This way all settings can change. `sni_callback` could not do that: client verification and
    TLS versions are fixed before it is called.
    """

    def __new__(cls, _first: TlsServerConfig) -> Self:
        """Create the context; `SSLContext` takes its protocol here and not in `__init__`."""
        return super().__new__(cls, ssl.PROTOCOL_TLS_SERVER)

    def __init__(self, first: TlsServerConfig) -> None:
        self._current = first
        # The contexts that verify clients as the current one does.
        self._same_client_rules = WeakSet([first.context])

    def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:  # noqa: ANN401 - passed on
        """Start a connection's TLS with the current context."""
        return self._current.context.wrap_bio(*args, **kwargs)

    def replace(self, new: TlsServerConfig) -> None:
        """Use other settings for all new connections."""
        if new.client_rules != self._current.client_rules:
            self._same_client_rules.clear()
        self._current = new
        self._same_client_rules.add(new.context)

    def is_outdated(self, transport: asyncio.BaseTransport | None) -> bool:
        """Return whether a connection was made before the last `replace`."""
        context = _context_of(transport)
        return context is not None and context is not self._current.context

    def has_outdated_client(self, transport: asyncio.BaseTransport | None) -> bool:
        """Return whether a connection's client was verified by other rules than the current."""
        context = _context_of(transport)
        return context is not None and context not in self._same_client_rules


def _context_of(transport: asyncio.BaseTransport | None) -> ssl.SSLContext | None:
    connection = None if transport is None else transport.get_extra_info("ssl_object")
    return None if connection is None else connection.context
