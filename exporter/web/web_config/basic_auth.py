"""Passwords of the web side: checked with bcrypt off the event loop, and what came of it kept."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Final

import bcrypt

MOST_WAITING: Final = 64
MOST_WAITING_OF_ONE_ADDRESS: Final = 4
MOST_WRONG: Final = 1000
"""Wrong passwords that are remembered."""

_LONGEST_PASSWORD_BYTES: Final = 72
"""bcrypt looks at no more; its Python binding refuses what is longer."""


class TooManyChecks(Exception):
    """Too many passwords wait to be checked, in all or from one address."""


class Checker:
    """Compares passwords with bcrypt hashes: one at a time, in a thread of its own.

    bcrypt is slow on purpose. Who floods us with wrong passwords gets one thread at most and a
    few places in the queue: polls go on, and others get their turn.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "bcrypt")
        self._one_at_a_time = asyncio.Lock()
        self._waiting: Counter[str] = Counter()
        self._closed = False

    @asynccontextmanager
    async def turn(self, address: str) -> AsyncIterator[None]:
        """A turn of `matches` for a client at `address`. Raises `TooManyChecks`."""
        if (
            self._waiting.total() >= MOST_WAITING
            or self._waiting[address] >= MOST_WAITING_OF_ONE_ADDRESS
        ):
            raise TooManyChecks
        self._waiting[address] += 1
        try:
            async with self._one_at_a_time:
                if self._closed:
                    raise TooManyChecks
                yield
        finally:
            self._waiting[address] -= 1
            # Without zeros, or every address that ever came would stay.
            self._waiting = +self._waiting

    async def matches(self, password: bytes, hashed: bytes) -> bool:
        """Whether a hash is that of a password, of at most 72 bytes."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, bcrypt.checkpw, password, hashed)

    def close(self) -> None:
        """Check nothing more, whoever waits; a check that has begun ends by itself."""
        self._closed = True
        self._thread.shutdown(wait=False, cancel_futures=True)


class Accounts:
    """Who may come in: names with bcrypt hashes, and what is known already of passwords.

    A password is kept as a digest only, under a key that nobody else has and that dies with us.
    """

    def __init__(self, hashes: Mapping[str, str], checker: Checker) -> None:
        self._hashes = {name.encode(): hashed.encode() for name, hashed in hashes.items()}
        self._checker = checker
        self._key = secrets.token_bytes(32)
        # As secret as the hashes, and after a restart the same.
        self._decoy_key = hashlib.blake2b(b"".join(self._hashes.values())).digest()
        # Of a name the last password that was right: no flood of wrong ones drives it out.
        self._right: dict[bytes, bytes] = {}
        self._wrong: OrderedDict[bytes, None] = OrderedDict()

    async def admit(self, name: bytes, password: bytes, address: str) -> bool:
        """Whether that is the name and the password of an account. Raises `TooManyChecks`."""
        password = password[:_LONGEST_PASSWORD_BYTES]
        attempt = _digest(name + b":" + password, self._key)
        if (known := self._known(name, attempt)) is not None:
            return known
        async with self._checker.turn(address):
            # While we waited, the same password may have had its turn.
            if (known := self._known(name, attempt)) is not None:
                return known
            right = await self._matches(name, password)
        self._keep(name, attempt, right=right)
        return right

    def _known(self, name: bytes, attempt: bytes) -> bool | None:
        if self._right.get(name) == attempt:
            return True
        if attempt in self._wrong:
            self._wrong.move_to_end(attempt)
            return False
        return None

    async def _matches(self, name: bytes, password: bytes) -> bool:
        hashed = self._hashes.get(name)
        # Always a check: a name that nobody has takes as long to refuse as a wrong password.
        matches = await self._checker.matches(password, hashed or self._decoy(name))
        return matches and hashed is not None

    def _decoy(self, name: bytes) -> bytes:
        """A hash that is no password's, of the cost of an account's, always the same for a name."""
        number = int.from_bytes(_digest(name, self._decoy_key))
        like = list(self._hashes.values())[number % len(self._hashes)]
        return like[: -len(_DIGEST_OF_NOTHING)] + _DIGEST_OF_NOTHING

    def _keep(self, name: bytes, attempt: bytes, *, right: bool) -> None:
        if right:
            self._right[name] = attempt
            return
        self._wrong[attempt] = None
        if len(self._wrong) > MOST_WRONG:
            self._wrong.popitem(last=False)


_DIGEST_OF_NOTHING: Final = b"." * 31


def _digest(text: bytes, key: bytes) -> bytes:
    return hashlib.blake2b(text, key=key, digest_size=32).digest()
