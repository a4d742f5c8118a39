"""How many responses are written at once, and how many requests may wait.

Each response takes memory until its client has read it. A request waits for one of the slots, first
come, first served, so a client that retries fast has no advantage.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Container, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final, NamedTuple

from aiohttp import hdrs, web

from exporter.web.limits import require_client

MAX_RESPONSES: Final = 40

MAX_RESPONSES_PER_CLIENT: Final = 10
"""Of one client address: so four clients that read slowly are needed to take all slots."""

MAX_WAITING: Final = 200
"""Each keeps a connection, of which health checks need one too."""

WAIT_SECONDS: Final = 5.0
"""Half of Prometheus's default timeout. A scraper that gives up earlier disconnects."""

STALLED_SECONDS: Final = 5.0
"""From when on a response that its client has not read makes way for another one."""

_LOOK_SECONDS: Final = 1.0

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class WaitingRoom:
    """Limits how many requests wait for something: beyond, they get a 503 at once."""

    def __init__(self, most: int, what: str) -> None:
        self._most = most
        self._what = what
        self._taken = 0

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold a place. Raises `HTTPServiceUnavailable` if all are taken."""
        if self._taken >= self._most:
            raise _busy(f"{self._most} requests wait for {self._what} already")
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1


def _busy(why: str) -> web.HTTPServiceUnavailable:
    text = f"{why}: try again in a second.\n"
    return web.HTTPServiceUnavailable(text=text, headers={hdrs.RETRY_AFTER: "1"})


class _Begun(NamedTuple):
    """A response that is being written, or a request that waits until its may be."""

    address: str | None
    since_seconds: float
    may_begin: asyncio.Future[None]


class ResponseSlots:
    """Lets `most` responses be written at once, `most_per_client` of them to one client address."""

    def __init__(
        self, most: int = MAX_RESPONSES, most_per_client: int = MAX_RESPONSES_PER_CLIENT
    ) -> None:
        self._most = most
        self._most_per_client = most_per_client
        self._writing: dict[web.RequestHandler, _Begun] = {}
        self._waiting: dict[web.RequestHandler, _Begun] = {}
        self._room = WaitingRoom(MAX_WAITING, "a response")

    @asynccontextmanager
    async def slot(self, request: web.Request) -> AsyncIterator[None]:
        """Hold a slot for a response.

        Raises `HTTPServiceUnavailable` if none is free within `WAIT_SECONDS`, and
        `ConnectionError` if the client has left meanwhile.
        """
        try:
            with self._room.place():
                await self._wait(request)
            require_client(request)
            yield
        finally:
            self._writing.pop(request.protocol, None)
            self._hand_out()

    async def _wait(self, request: web.Request) -> None:
        loop = asyncio.get_running_loop()
        mine = _Begun(request.remote, loop.time(), loop.create_future())
        self._waiting[request.protocol] = mine
        try:
            self._hand_out()
            while not mine.may_begin.done():
                if loop.time() >= mine.since_seconds + WAIT_SECONDS:
                    raise _busy(f"no response could be begun for {WAIT_SECONDS:g} s")
                self._end_a_stalled_one(mine.address)
                await asyncio.wait([mine.may_begin], timeout=min(_LOOK_SECONDS, WAIT_SECONDS))
        finally:
            self._waiting.pop(request.protocol, None)

    def _hand_out(self) -> None:
        """Let those begin for whom there is room, the first one first."""
        now = asyncio.get_running_loop().time()
        taken = Counter(each.address for each in self._writing.values())
        for connection, each in list(self._waiting.items()):
            if len(self._writing) >= self._most:
                return
            if taken[each.address] < self._most_per_client:
                taken[each.address] += 1
                del self._waiting[connection]
                self._writing[connection] = each._replace(since_seconds=now)
                each.may_begin.set_result(None)

    def _end_a_stalled_one(self, address: str | None) -> None:
        """End the oldest response that keeps an address waiting and is read too slowly."""
        latest = asyncio.get_running_loop().time() - STALLED_SECONDS
        is_full = len(self._writing) >= self._most
        for connection, each in self._writing.items():
            transport = connection.transport
            is_stalled = each.since_seconds <= latest and connection.writing_paused
            if is_stalled and transport is not None and (is_full or each.address == address):
                transport.abort()
                del self._writing[connection]
                self._hand_out()
                return


def limit_responses(
    slots: ResponseSlots, unlimited: Container[str]
) -> Callable[..., Awaitable[web.StreamResponse]]:
    """Return a middleware that responds within a slot, except to requests of unlimited paths."""

    @web.middleware
    async def limit(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path in unlimited:
            return await handler(request)
        async with slots.slot(request):
            response = await handler(request)
            # Here and not in aiohttp, so that it counts until the client has read most of it.
            await response.prepare(request)
            await response.write_eof()
            return response

    return limit
