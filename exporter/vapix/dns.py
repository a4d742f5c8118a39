"""Names to addresses, without a thread for each: docs/decisions/0006-resolve-names-with-aiodns.md.

`CachingResolver` is what aiohttp asks before it connects; `AresDns` is what it asks in turn.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Final, Protocol

import aiodns
import structlog
from aiodns.error import ARES_ENOTFOUND, DNSError
from aiohttp.abc import AbstractResolver, ResolveResult
from pycares import AddrInfoResult

from exporter.vapix.errors import printable

SHORTEST_KEPT_SECONDS: Final = 10.0
"""How long an answer is kept whose lifetime is shorter; /etc/hosts gives a lifetime of 0."""

LONGEST_KEPT_SECONDS: Final = 3600.0
"""How long an answer is kept whose lifetime is longer."""

STALE_SECONDS: Final = 3600.0
"""How long after that an answer still serves while a newer one is sought."""

RETRY_SECONDS: Final = 5.0
"""How long a failure holds before the name is looked up again."""

LOOKUP_SECONDS: Final = 5.0
"""The end of one lookup, waiting for its turn and all tries included: within a poll's usual
deadline of 10 s, so that a silent DNS is told as `dns` and not as `timeout`."""

LANE_WIDTH: Final = 128
"""Lookups at once, two questions each: as many answers fit into a socket's usual buffer."""

FAILING_LANE_WIDTH: Final = 64
"""Lookups at once of names that failed the last time, apart from all others."""

_FIRST_TRY_SECONDS: Final = 1.0
_TRIES: Final = 4
_FEW_NAMES: Final = 1024
_LONGEST_NAME: Final = 253
_LABEL: Final = re.compile(r"[A-Za-z0-9_-]{1,63}", re.ASCII)
_NUMERIC: Final = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV

_log = structlog.get_logger()

Address = tuple[str, socket.AddressFamily]
"""An IP address in its usual notation, and its family."""


class LookupFailed(OSError):
    """A name has no address; `str()` says why. aiohttp makes a `ClientConnectorDNSError` of it.

    `no_such_name`: the DNS itself says so, an answer of before is void.
    """

    def __init__(self, message: str, *, no_such_name: bool = False) -> None:
        super().__init__(message)
        self.strerror = message  # which aiohttp's error shows
        self.no_such_name = no_such_name


@dataclass(frozen=True, slots=True)
class DnsAnswer:
    """A name's addresses, the best first, and how long they hold: its lifetime in seconds."""

    addresses: tuple[Address, ...]
    lifetime_seconds: float


class Dns(Protocol):
    """Who looks names up: nothing kept, nothing shared."""

    async def look_up(self, name: str, family: socket.AddressFamily) -> DnsAnswer:
        """The addresses of that family, or of both for `AF_UNSPEC`. Raises `LookupFailed`."""

    async def close(self) -> None:
        """Give back what is held."""


class AresDns:
    """The names this host knows (/etc/hosts) or is told to ask for (resolv.conf), through c-ares.

    Needs a running event loop. `nameservers`, as `address:port`, replace those of resolv.conf.
    """

    def __init__(self, nameservers: Sequence[str] | None = None) -> None:
        self._resolver = aiodns.DNSResolver(nameservers, timeout=_FIRST_TRY_SECONDS, tries=_TRIES)

    async def look_up(self, name: str, family: socket.AddressFamily) -> DnsAnswer:
        """The addresses of `name`. Raises `LookupFailed`, after up to 15 s if nobody answers."""
        try:
            found = await self._resolver.getaddrinfo(name, family, type=socket.SOCK_STREAM)
        except DNSError as error:
            code, text = error.args
            raise LookupFailed(text, no_such_name=code == ARES_ENOTFOUND) from None
        return _answer_of(found)

    async def close(self) -> None:
        """End c-ares's thread; lookups that are under way fail."""
        await self._resolver.close()


def _answer_of(found: AddrInfoResult) -> DnsAnswer:
    """What c-ares found; it holds as long as its shortest-lived record."""
    if not found.nodes:
        raise LookupFailed("the DNS answered without an address")
    addresses = tuple(
        (node.addr[0].decode("ascii"), socket.AddressFamily(node.family)) for node in found.nodes
    )
    lifetimes = [node.ttl for node in found.nodes] + [cname.ttl for cname in found.cnames]
    return DnsAnswer(addresses, min(lifetimes))


@dataclass(slots=True, eq=False)
class _Entry:
    """What is known of a name, times in seconds on the resolver's clock.

    `due`: from then on it may be looked up again; `usable_until`: the end of `addresses`;
    `failure`: what became of the last lookup; `failing_since`: when that was first told.
    """

    addresses: tuple[Address, ...] = ()
    usable_until: float = -inf
    due: float = -inf
    failure: str | None = None
    failing_since: float | None = None
    lookup: asyncio.Task[None] | None = None

    def answered(self, answer: DnsAnswer, now: float) -> None:
        kept = min(max(answer.lifetime_seconds, SHORTEST_KEPT_SECONDS), LONGEST_KEPT_SECONDS)
        self.addresses = answer.addresses
        self.due = now + kept
        self.usable_until = self.due + STALE_SECONDS
        self.failure = None

    def failed(self, failure: LookupFailed, now: float) -> None:
        self.failure = str(failure)
        self.due = now + RETRY_SECONDS
        if failure.no_such_name:
            self.addresses, self.usable_until = (), -inf

    def worthless(self, now: float) -> bool:
        """Nothing would be lost: no lookup is spared by it and none is under way."""
        return self.lookup is None and now >= max(self.due, self.usable_until)


class CachingResolver(AbstractResolver):
    """What aiohttp asks for addresses; one for the whole daemon, closed by who made it.

    An answer is kept for its lifetime; after it, it serves on while one lookup in the background
    seeks a newer one. Polls that ask for one name share one lookup, and none of them ends it.
    `monotonic` tells seconds on a clock that is never set.
    """

    def __init__(self, dns: Dns, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._dns = dns
        self._monotonic = monotonic
        self._entries: dict[tuple[str, int], _Entry] = {}
        self._crowd = _FEW_NAMES
        self._closed = False
        # Apart, so that however many names are dead, the others never queue behind them.
        self._lane = asyncio.Semaphore(LANE_WIDTH)
        self._failing_lane = asyncio.Semaphore(FAILING_LANE_WIDTH)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The addresses of `host` in aiohttp's form. Raises `LookupFailed`, an `OSError`."""
        entry = self._entries.get((host, family))
        if entry is None:
            if literal := _literal(host, family):
                return _results(host, port, literal)
            entry = self._remember(host, family)
        now = self._monotonic()
        if now >= entry.due and entry.lookup is None:
            entry.lookup = self._start_lookup(host, family, entry)
        if now >= entry.usable_until:
            await self._settled(entry)
        return _results(host, port, entry.addresses)

    async def close(self) -> None:
        """End every lookup; polls that wait for one get a `LookupFailed`."""
        self._closed = True
        lookups = [entry.lookup for entry in self._entries.values() if entry.lookup is not None]
        for lookup in lookups:
            lookup.cancel()
        await asyncio.gather(*lookups, return_exceptions=True)
        await self._dns.close()

    def _remember(self, host: str, family: int) -> _Entry:
        _check(host)
        if len(self._entries) >= self._crowd:
            self._forget_worthless()
        return self._entries.setdefault((host, family), _Entry())

    def _forget_worthless(self) -> None:
        """Drop the names that nobody asks for any more; a config may change for years."""
        now = self._monotonic()
        kept = {key: entry for key, entry in self._entries.items() if not entry.worthless(now)}
        self._entries = kept
        self._crowd = max(_FEW_NAMES, 2 * len(kept))

    def _start_lookup(
        self, host: str, family: socket.AddressFamily, entry: _Entry
    ) -> asyncio.Task[None]:
        if self._closed:
            raise LookupFailed("the resolver is closed")
        return asyncio.get_running_loop().create_task(self._look_up(host, family, entry))

    async def _look_up(self, host: str, family: socket.AddressFamily, entry: _Entry) -> None:
        try:
            answer = await self._answer(host, family, failing=entry.failure is not None)
        except LookupFailed as failure:
            entry.failed(failure, self._monotonic())
            self._tell_stale(host, entry)
        else:
            entry.answered(answer, self._monotonic())
            self._tell_recovered(host, entry)
        finally:
            entry.lookup = None

    async def _answer(self, host: str, family: socket.AddressFamily, *, failing: bool) -> DnsAnswer:
        lane = self._failing_lane if failing else self._lane
        try:
            async with asyncio.timeout(LOOKUP_SECONDS), lane:
                return await self._dns.look_up(host, family)
        except TimeoutError:
            raise LookupFailed(f"no answer from the DNS within {LOOKUP_SECONDS:g} s") from None

    async def _settled(self, entry: _Entry) -> None:
        """Wait for the lookup that is under way, if one is. Raises `LookupFailed` without answer.

        A poll that is cancelled here ends its own waiting, not the lookup.
        """
        if (lookup := entry.lookup) is not None:
            await asyncio.wait((lookup,))
            if lookup.cancelled():
                raise LookupFailed("the resolver is closed")
            lookup.result()
        if self._monotonic() >= entry.usable_until:
            raise LookupFailed(entry.failure or "no answer")

    def _tell_stale(self, host: str, entry: _Entry) -> None:
        now = self._monotonic()
        if entry.failing_since is None and now < entry.usable_until:
            entry.failing_since = now
            _log.warning("dns.stale_answer", name=host, error=entry.failure)

    def _tell_recovered(self, host: str, entry: _Entry) -> None:
        if entry.failing_since is not None:
            down_seconds = round(self._monotonic() - entry.failing_since, 3)
            _log.info("dns.recovered", name=host, down_seconds=down_seconds)
            entry.failing_since = None


def _results(host: str, port: int, addresses: Iterable[Address]) -> list[ResolveResult]:
    return [
        ResolveResult(
            hostname=host, host=address, port=port, family=family, proto=0, flags=_NUMERIC
        )
        for address, family in addresses
    ]


def _literal(host: str, family: int) -> tuple[Address, ...]:
    """An IP address is its own answer; nothing for a name. aiohttp does not ask for them."""
    try:
        version = ipaddress.ip_address(host).version
    except ValueError:
        return ()
    own = socket.AF_INET if version == 4 else socket.AF_INET6  # noqa: PLR2004 - IPv4
    if family not in {socket.AF_UNSPEC, own}:
        raise LookupFailed(f"{host} is not of the family that was asked for")
    return ((host, own),)


def _check(host: str) -> None:
    """Raise `LookupFailed` for what no DNS name can be: the DNS is not asked, nothing is kept.

    aiohttp gives names in their ASCII form (`xn--`); c-ares would end them at a NUL.
    """
    name = host.removesuffix(".")
    if len(name) > _LONGEST_NAME or not all(map(_LABEL.fullmatch, name.split("."))):
        raise LookupFailed(f"not a DNS name: {printable(host)}")
