"""The HTTP session that all devices share, and the times around each exchange on it."""

from __future__ import annotations

from typing import Final, Self

import aiohttp
from aiohttp.connector import Connection

from exporter.host_clock import steady_ns
from exporter.vapix import ntp

KEEPALIVE_SECONDS: Final = 180
"""How long an idle connection is kept: the longest that devices were seen to keep theirs."""

Session = aiohttp.ClientSession
"""What all devices share: the connections that are kept."""


class TimedResponse(aiohttp.ClientResponse):
    """A response that knows when it was asked for and when its head had come.

    `sent_ns`: steady time when there was a connection and nothing was sent on it yet;
    `received_ns`: steady time when the head was there. 0 until known.
    """

    sent_ns: int = 0
    received_ns: int = 0

    async def start(self, connection: Connection) -> Self:
        """Wait for the head; aiohttp calls this."""
        await super().start(connection)
        self.received_ns = steady_ns()
        return self


class _TimedRequest(aiohttp.ClientRequest):
    # aiohttp's tracing tells this moment too, for a quarter of a poll's CPU: decision 0005.
    async def send(self, conn: Connection) -> aiohttp.ClientResponse:
        sent_ns = steady_ns()
        response = await super().send(conn)
        if isinstance(response, TimedResponse):
            response.sent_ns = sent_ns
        return response


def open_session() -> Session:
    """A session that holds connections and nothing else.

    No cookies, no proxies from the environment, no limit of its own on connections (the
    poller has one) and no timeouts (a poll has one deadline over everything).
    """
    return Session(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEPALIVE_SECONDS),
        cookie_jar=aiohttp.DummyCookieJar(),
        request_class=_TimedRequest,
        response_class=TimedResponse,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
        auto_decompress=False,
        read_bufsize=ntp.LARGEST_BODY_BYTES,
        trust_env=False,
    )
