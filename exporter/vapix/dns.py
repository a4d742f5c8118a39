"""Resolve names without a thread for each: docs/decisions/0006-resolve-names-with-aiodns.md.

aiohttp calls `CachingResolver` before it connects, which calls `AresDns`.
"""

import asyncio
import ipaddress
import os
import re
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Final, Protocol

import aiodns
import structlog
from aiodns.error import ARES_ENOTFOUND, DNSError
from aiohttp.abc import AbstractResolver, ResolveResult

from exporter.system.files import Digests, digests, find_lack_of_files
from exporter.system.threads import HungCallGuard
from exporter.vapix.errors import printable

MIN_TTL_SECONDS: Final = 10.0
"""Answers are cached for at least this time; /etc/hosts has a TTL of 0."""

MAX_TTL_SECONDS: Final = 3600.0
"""Answers are cached for at most this time."""

STALE_SECONDS: Final = 3600.0
"""How long an answer is used after its TTL while lookups fail."""

RETRY_SECONDS: Final = 5.0
"""How long after a failed lookup the name is looked up again."""

LOOKUP_TIMEOUT_SECONDS: Final = 5.0
"""The timeout of one lookup, waiting and retries included. It is shorter than a poll's default
timeout of 10 s, so that a DNS server that does not answer is reported as `dns`."""

MAX_ADDRESSES_OF_FAMILY: Final = 4
"""How many addresses of a name are used, of IPv4 and IPv6 each. aiohttp starts with the next one
every 250 ms while the others are silent, and if all refuse it goes through the rest once more."""

MAX_LOOKUPS: Final = 128
"""Concurrent lookups, two queries each: a socket's default buffer holds that many answers."""

MAX_FAILING_LOOKUPS: Final = 64
"""Concurrent lookups of names whose last lookup failed, apart from all others."""

FILES: Final = tuple(map(Path, ("/etc/resolv.conf", "/etc/nsswitch.conf", "/etc/hosts")))
"""What c-ares reads. It notices no change behind a symlink or in a bind mount, as containers
have, nor a hosts file that is older than the one before."""

FILES_INTERVAL_SECONDS: Final = 5.0
"""How often the contents of `FILES` are compared, at most."""

_FILES_TIMEOUT_SECONDS: Final = 1.0
_FIRST_TRY_SECONDS: Final = 1.0
_TRIES: Final = 4
_MIN_NAMES_TO_PRUNE: Final = 1024
_LONGEST_NAME: Final = 253
_LABEL: Final = re.compile(r"[A-Za-z0-9_-]{1,63}", re.ASCII)
_NUMERIC: Final = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV

_log = structlog.get_logger()

Address = tuple[str, socket.AddressFamily]
"""An IP address as text, and its family."""


class LookupFailed(OSError):
    """A name has no address; `str()` says why. aiohttp turns it into `ClientConnectorDNSError`.

    `no_such_name`: the DNS says that the name does not exist, so a cached answer is wrong.
    `errno` is set if this process could not even ask.
    """

    def __init__(
        self, message: str, *, no_such_name: bool = False, errno: int | None = None
    ) -> None:
        super().__init__(message)
        self.strerror, self.errno = message, errno  # parts of aiohttp's error
        self.no_such_name = no_such_name

    def __str__(self) -> str:
        """Return the message, without the error number that `OSError` would put before it."""
        return str(self.strerror)


@dataclass(frozen=True, slots=True)
class DnsAnswer:
    """A name's addresses, in order of preference, and how long they may be cached."""

    addresses: tuple[Address, ...]
    ttl_seconds: float


class Dns(Protocol):
    """A DNS client without a cache."""

    async def look_up(self, name: str, family: socket.AddressFamily) -> DnsAnswer:
        """Return the addresses of a family, or all for `AF_UNSPEC`. Raises `LookupFailed`."""

    async def close(self) -> None:
        """Release all resources."""


class AresDns:
    """c-ares, made again when the contents of `FILES` change. Needs a running event loop.

    `nameservers`, as `address:port`, replace those of resolv.conf.
    """

    def __init__(self, nameservers: Sequence[str] | None = None) -> None:
        self._nameservers = nameservers
        self._files = HungCallGuard(lambda: digests(FILES), _FILES_TIMEOUT_SECONDS)
        self._seen: Digests = digests(FILES)
        self._check_at = time.monotonic() + FILES_INTERVAL_SECONDS
        self._resolver = self._new_resolver()
        self._lookups: Counter[aiodns.DNSResolver] = Counter()

    async def look_up(self, name: str, family: socket.AddressFamily) -> DnsAnswer:
        """Return the addresses of `name`, with the lowest TTL of their records.

        Raises `LookupFailed`, after up to 15 s if no server answers.
        """
        if time.monotonic() >= self._check_at:
            await self._check_files()
        try:
            async with self._use_resolver() as resolver:
                found = await resolver.getaddrinfo(name, family, type=socket.SOCK_STREAM)
        except DNSError as error:
            raise _describe(*error.args) from None
        if not found.nodes:
            raise LookupFailed("the DNS answered without an address")
        addresses = tuple(
            (node.addr[0].decode("ascii"), socket.AddressFamily(node.family))
            for node in found.nodes
        )
        ttls = [node.ttl for node in found.nodes] + [cname.ttl for cname in found.cnames]
        return DnsAnswer(addresses, min(ttls))

    async def close(self) -> None:
        """Stop the threads of c-ares; lookups in progress fail."""
        for resolver in {self._resolver, *self._lookups}:
            await resolver.close()

    def _new_resolver(self) -> aiodns.DNSResolver:
        return aiodns.DNSResolver(self._nameservers, timeout=_FIRST_TRY_SECONDS, tries=_TRIES)

    async def _check_files(self) -> None:
        """Replace the resolver if a file has changed; one that cannot be read has not."""
        try:
            now = await self._files.result()
        except TimeoutError:
            now = {}
        self._check_at = time.monotonic() + FILES_INTERVAL_SECONDS
        changed = [file for file in now if now[file] not in {None, self._seen[file]}]
        if changed:
            replaced, self._resolver = self._resolver, self._new_resolver()
            self._seen = now  # last, so that a failure is tried again
            _log.info("dns.files_changed", files=[str(file) for file in changed])
            await self._close_if_unused(replaced)

    @asynccontextmanager
    async def _use_resolver(self) -> AsyncIterator[aiodns.DNSResolver]:
        resolver = self._resolver
        self._lookups[resolver] += 1
        try:
            yield resolver
        finally:
            self._lookups[resolver] -= 1
            await self._close_if_unused(resolver)

    async def _close_if_unused(self, resolver: aiodns.DNSResolver) -> None:
        """Close a replaced resolver after its last lookup, which ends by its caller's timeout."""
        if resolver is not self._resolver and not self._lookups[resolver]:
            del self._lookups[resolver]
            await resolver.close()


def _describe(code: int, message: str) -> LookupFailed:
    # c-ares calls a lack of files "Could not contact DNS servers".
    if errno := find_lack_of_files():
        return LookupFailed(os.strerror(errno), errno=errno)
    return LookupFailed(message, no_such_name=code == ARES_ENOTFOUND)


@dataclass(slots=True, eq=False)
class _CacheEntry:
    """What is known about a name. Times are monotonic seconds.

    The next lookup is due at `refresh_at`; `addresses` can be used until `expires_at`. `failure`
    and `failure_errno` are the error of the last lookup. `stale_since`: since then `addresses` are
    used after their TTL because lookups fail, as the log says.
    """

    addresses: tuple[Address, ...] = ()
    refresh_at: float = -inf
    expires_at: float = -inf
    failure: str | None = None
    failure_errno: int | None = None
    stale_since: float | None = None
    lookup: asyncio.Task[None] | None = None


class CachingResolver(AbstractResolver):
    """The resolver of all devices' connections, with a cache.

    An answer is cached for its TTL. After that, it is still used (RFC 8767) while one background
    lookup refreshes it. Polls that need the same name share one lookup, which continues if a poll
    is cancelled. `monotonic` returns seconds.
    """

    def __init__(self, dns: Dns, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._dns = dns
        self._monotonic = monotonic
        self._cache: dict[tuple[str, int], _CacheEntry] = {}
        self._prune_at = _MIN_NAMES_TO_PRUNE
        self._closed = False
        # Two limits, so that working names never wait for failing ones.
        self._lookup_limit = asyncio.Semaphore(MAX_LOOKUPS)
        self._failing_lookup_limit = asyncio.Semaphore(MAX_FAILING_LOOKUPS)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses of `host` for aiohttp. Raises `LookupFailed`, an `OSError`."""
        entry = self._cache.get((host, family))
        if entry is None:
            if literal := _parse_address(host, family):
                return _results(host, port, literal)
            entry = self._add_entry(host, family)
        now = self._monotonic()
        if now >= entry.refresh_at and entry.lookup is None:
            if self._closed:
                raise LookupFailed("the resolver is closed")
            entry.lookup = asyncio.create_task(self._look_up(host, family, entry))
        if now >= entry.expires_at:
            await self._wait_for_lookup(entry)
        return _results(host, port, entry.addresses)

    async def close(self) -> None:
        """Cancel all lookups; polls that wait for one get a `LookupFailed`."""
        self._closed = True
        lookups = [entry.lookup for entry in self._cache.values() if entry.lookup is not None]
        for lookup in lookups:
            lookup.cancel()
        await asyncio.gather(*lookups, return_exceptions=True)
        await self._dns.close()

    def _add_entry(self, host: str, family: int) -> _CacheEntry:
        """Raise `LookupFailed`, without a lookup, for text that cannot be a DNS name."""
        # aiohttp passes names in their ASCII form (`xn--`); c-ares would cut them at a NUL.
        name = host.removesuffix(".")
        if len(name) > _LONGEST_NAME or not all(map(_LABEL.fullmatch, name.split("."))):
            raise LookupFailed(f"not a DNS name: {printable(host)}")
        if len(self._cache) >= self._prune_at:
            self._prune()
        return self._cache.setdefault((host, family), _CacheEntry())

    def _prune(self) -> None:
        """Drop the names that are no longer used, as a config may change for years."""
        now = self._monotonic()
        self._cache = {
            key: entry
            for key, entry in self._cache.items()
            if entry.lookup is not None or now < max(entry.refresh_at, entry.expires_at)
        }
        self._prune_at = max(_MIN_NAMES_TO_PRUNE, 2 * len(self._cache))

    async def _look_up(self, host: str, family: socket.AddressFamily, entry: _CacheEntry) -> None:
        limit = self._lookup_limit if entry.failure is None else self._failing_lookup_limit
        try:
            async with asyncio.timeout(LOOKUP_TIMEOUT_SECONDS), limit:
                answer = await self._dns.look_up(host, family)
        except TimeoutError:
            message = f"no answer from the DNS within {LOOKUP_TIMEOUT_SECONDS:g} s"
            self._record_failure(host, entry, LookupFailed(message))
        except LookupFailed as failure:
            self._record_failure(host, entry, failure)
        else:
            self._record_answer(host, entry, answer)
        finally:
            entry.lookup = None

    def _record_answer(self, host: str, entry: _CacheEntry, answer: DnsAnswer) -> None:
        now = self._monotonic()
        entry.addresses = tuple(first_of_each_family(answer.addresses))
        entry.refresh_at = now + min(max(answer.ttl_seconds, MIN_TTL_SECONDS), MAX_TTL_SECONDS)
        entry.expires_at = entry.refresh_at + STALE_SECONDS
        entry.failure = entry.failure_errno = None
        if entry.stale_since is not None:
            _log.info("dns.recovered", name=host, down_seconds=round(now - entry.stale_since, 3))
            entry.stale_since = None

    def _record_failure(self, host: str, entry: _CacheEntry, failure: LookupFailed) -> None:
        now = self._monotonic()
        entry.failure, entry.failure_errno = str(failure), failure.errno
        entry.refresh_at = now + RETRY_SECONDS
        if failure.no_such_name:
            entry.addresses, entry.expires_at = (), -inf
        if entry.stale_since is None and now < entry.expires_at:
            entry.stale_since = now
            _log.warning("dns.stale_answer", name=host, error=entry.failure)

    async def _wait_for_lookup(self, entry: _CacheEntry) -> None:
        """Wait for the lookup in progress, if any. Raises `LookupFailed` if there is no answer.

        A poll that is cancelled here does not cancel the lookup.
        """
        if (lookup := entry.lookup) is not None:
            await asyncio.wait((lookup,))
            if lookup.cancelled():
                raise LookupFailed("the resolver is closed")
            lookup.result()
        if self._monotonic() >= entry.expires_at:
            raise LookupFailed(entry.failure or "no answer", errno=entry.failure_errno)


def first_of_each_family(addresses: Iterable[Address]) -> Iterator[Address]:
    """Yield up to `MAX_ADDRESSES_OF_FAMILY` addresses of each family, in the given order."""
    count: Counter[socket.AddressFamily] = Counter()
    for address in addresses:
        count[address[1]] += 1
        if count[address[1]] <= MAX_ADDRESSES_OF_FAMILY:
            yield address


def _results(host: str, port: int, addresses: Iterable[Address]) -> list[ResolveResult]:
    return [
        ResolveResult(
            hostname=host, host=address, port=port, family=family, proto=0, flags=_NUMERIC
        )
        for address, family in addresses
    ]


def _parse_address(host: str, family: int) -> tuple[Address, ...]:
    """Return an IP address, which needs no lookup, or nothing for a name."""
    try:
        version = ipaddress.ip_address(host).version
    except ValueError:
        return ()
    own = socket.AF_INET if version == 4 else socket.AF_INET6  # noqa: PLR2004 - IPv4
    if family not in {socket.AF_UNSPEC, own}:
        raise LookupFailed(f"{host} is not an address of the requested family")
    return ((host, own),)
