"""Basic authentication (RFC 7617) with bcrypt hashes, for every path but the health checks."""

import asyncio
import base64
import hashlib
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

import bcrypt
from aiohttp import hdrs, web
from aiohttp.typedefs import Middleware

from exporter.web.limits import has_left
from exporter.web.paths import NO_PREFIX, WebPaths

PUBLIC_PATHS: Final = frozenset({"/-/healthy", "/-/ready"})
"""Paths that need no password: health checkers and load balancers have none."""

MAX_WAITING: Final = 64
MAX_WAITING_PER_ADDRESS: Final = 4
MAX_WRONG: Final = 1000
"""How many wrong passwords are remembered."""

_MAX_PASSWORD_BYTES: Final = 72
"""bcrypt uses only the first 72 bytes; its Python binding refuses longer passwords."""

_CHALLENGE: Final = 'Basic realm="axis-ntp-exporter", charset="UTF-8"'
_DIGEST_OF_NOTHING: Final = b"." * 31


class TooManyChecks(Exception):
    """Too many passwords are waiting to be checked, in total or from one address."""


class CheckQueue:
    """Checks passwords against bcrypt hashes: one at a time, in a thread.

    bcrypt is slow on purpose. A flood of wrong passwords gets one thread and a few places in this
    queue, so that polls go on and other clients get their turn.
    """

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._waiting: Counter[str] = Counter()
        self._closed = False

    @asynccontextmanager
    async def turn(self, address: str, has_left: Callable[[], bool]) -> AsyncIterator[None]:
        """Wait for the turn of a client at `address`.

        Raises `TooManyChecks`, also if the client has left meanwhile.
        """
        in_total, from_address = self._waiting.total(), self._waiting[address]
        if in_total >= MAX_WAITING or from_address >= MAX_WAITING_PER_ADDRESS:
            raise TooManyChecks
        self._waiting[address] += 1
        try:
            async with self._lock:
                if self._closed or has_left():
                    raise TooManyChecks
                yield
        finally:
            self._waiting[address] -= 1
            self._waiting = +self._waiting  # drops addresses whose count is zero

    async def matches(self, password: bytes, hashed: bytes) -> bool:
        """Return whether a hash belongs to a password of at most 72 bytes."""
        return await asyncio.to_thread(bcrypt.checkpw, password, hashed)

    def close(self) -> None:
        """Refuse all waiting checks; a check that is running finishes by itself."""
        self._closed = True


class Users:
    """User names with their bcrypt hashes, and the results of earlier checks.

    Passwords are remembered only as digests under a random key that exists only in this object.
    """

    def __init__(self, hashes: Mapping[str, str], queue: CheckQueue) -> None:
        self._hashes = {name.encode(): hashed.encode() for name, hashed in hashes.items()}
        self._queue = queue
        self._key = secrets.token_bytes(32)
        # By digest of name and password, oldest first. Only wrong ones are dropped, so that a flood
        # of wrong passwords does not make known users wait; right ones are about one per user.
        self._results: dict[bytes, bool] = {}

    async def admit(
        self,
        name: bytes,
        password: bytes,
        address: str,
        has_left: Callable[[], bool] = lambda: False,
    ) -> bool:
        """Return whether name and password belong to a user. Raises `TooManyChecks`."""
        password = password[:_MAX_PASSWORD_BYTES]
        attempt = hashlib.blake2b(name + b":" + password, key=self._key).digest()
        if attempt not in self._results:
            async with self._queue.turn(address, has_left):
                # The same password may have been checked while this request was waiting.
                if attempt not in self._results:
                    self._remember(attempt, admitted=await self._check(name, password))
        return self._results[attempt]

    async def _check(self, name: bytes, password: bytes) -> bool:
        """Check a password; for an unknown name this takes as long and returns `False`."""
        hashed = self._hashes.get(name)
        matches = await self._queue.matches(password, hashed or self._decoy(name))
        return matches and hashed is not None

    def _decoy(self, name: bytes) -> bytes:
        """Return a hash that matches no password, with the bcrypt cost of one of the users.

        A name gets the same hash after every restart. It cannot be predicted without the hashes.
        """
        hashes = list(self._hashes.values())
        number = int.from_bytes(hashlib.sha256(b"".join([*hashes, name])).digest())
        return hashes[number % len(hashes)][: -len(_DIGEST_OF_NOTHING)] + _DIGEST_OF_NOTHING

    def _remember(self, attempt: bytes, *, admitted: bool) -> None:
        self._results[attempt] = admitted
        wrong = [each for each, result in self._results.items() if not result]
        if len(wrong) > MAX_WRONG:
            del self._results[wrong[0]]


def require_password(users: Callable[[], Users | None], paths: WebPaths = NO_PREFIX) -> Middleware:
    """Return a middleware that admits `users()` only, or everyone while that is `None`."""
    public = {paths.route(path) for path in PUBLIC_PATHS}

    @web.middleware
    async def authenticate(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        current = users()
        # By route, not by path: a path can be spelled in several ways.
        resource = request.match_info.route.resource
        is_public = resource is not None and resource.canonical in public
        if current is None or is_public:
            return await handler(request)
        refusal = await _refuse(request, current)
        return await handler(request) if refusal is None else refusal

    return authenticate


async def _refuse(request: web.Request, users: Users) -> web.Response | None:
    """Return the response that refuses a request; `None` if the request is admitted."""
    credentials = parse_basic(request.headers.get(hdrs.AUTHORIZATION, ""))
    try:
        if credentials and await users.admit(
            *credentials, request.remote or "", partial(has_left, request)
        ):
            return None
    except TooManyChecks:
        headers = {hdrs.RETRY_AFTER: "1"}  # seconds
        return web.Response(status=429, text="Too Many Requests\n", headers=headers)
    headers = {hdrs.WWW_AUTHENTICATE: _CHALLENGE}
    return web.Response(status=401, text="Unauthorized\n", headers=headers)


def parse_basic(header: str) -> tuple[bytes, bytes] | None:
    """Return name and password of an `Authorization` header; `None` if it is not valid Basic."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        decoded = base64.b64decode(encoded.strip(" "), validate=True)
    except ValueError:
        return None
    name, colon, password = decoded.partition(b":")
    return (name, password) if colon else None
