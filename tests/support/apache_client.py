"""The exporter's client for one Apache device."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from yarl import URL

from exporter.vapix import ntp
from exporter.vapix.client import Endpoint, NtpClient
from exporter.vapix.connection import open_session
from exporter.vapix.http_auth import Authenticator, DeviceCredentials, Policy
from exporter.vapix.tls import TlsSettings, make_ssl_context
from tests.support.apache import Apache
from tests.support.apache_config import PASSWORD, USERNAME


@dataclass(frozen=True)
class ClientOptions:
    """The options of a client; with `tls` it uses HTTPS."""

    password: str = PASSWORD
    policy: Policy = "auto"
    tls: TlsSettings | None = None
    server_name: str | None = None


@asynccontextmanager
async def open_client(
    apache: Apache, settings: ClientOptions = ClientOptions()
) -> AsyncIterator[NtpClient]:
    """Open a client with a session of its own."""
    secure = settings.tls is not None
    tls = None if settings.tls is None else make_ssl_context(settings.tls)
    url = URL(f"{'https' if secure else 'http'}://{apache.address}{ntp.PATH}")
    credentials = DeviceCredentials(USERNAME, settings.password)
    async with open_session() as session:
        yield NtpClient(
            session,
            Endpoint(url, tls, settings.server_name),
            Authenticator(settings.policy, credentials, secure=secure),
        )
