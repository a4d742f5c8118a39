"""Ask every time server again and again, and keep what it answered."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from collections.abc import Set as AbstractSet
from contextlib import nullcontext
from dataclasses import dataclass, field
from math import inf
from typing import Final

import structlog

from exporter.clock.host import HostClock, HostTime
from exporter.clock.offset import MAX_AGE_NS, SECOND_NS, Offset
from exporter.config import TimeServersConfig
from exporter.time_servers.client import NameLookupFailed, NoAnswer, NotSent, Unreachable
from exporter.time_servers.host_clock import Vote, count_votes
from exporter.time_servers.sntp import InvalidAnswer, KissOfDeath, QueryFailed, TimeAnswer
from exporter.time_servers.targets import Key, TargetRules, TimeServerTarget, Usage

MAX_DEVICE_QUERIES: Final = 32
"""Open queries of devices' servers: each has a file, and silent ones keep it until the timeout."""

REASONS: Final = tuple(
    error.reason for error in (NameLookupFailed, NoAnswer, Unreachable, KissOfDeath, InvalidAnswer)
)
"""Every value of the label `reason` of a failed query."""

ANSWER_INTERVALS: Final = 8
"""For so many intervals an answer counts while later queries fail, as in NTP's `reach`."""

START_SPREAD_SECONDS: Final = 4.0
"""Within this time a new server is asked first, at random, so that not all are asked at once."""

MAX_INTERVAL_SECONDS: Final = 1024.0
"""A server that asks for fewer queries gets them at least this often: NTP's default maxpoll."""

_REFUSED_SECONDS: Final = 86_400.0
"""How long a server that ended its queries is remembered after it is no longer named."""

Query = Callable[[str, int, float, int], Awaitable[TimeAnswer]]
"""`TimeServerClient.query`."""

_log = structlog.get_logger()


@dataclass(slots=True, eq=False)
class TimeServer:
    """A time server and its queries so far. Only the monitor changes it.

    `up` is whether the last query got a valid answer, `None` if that is not known. `answer` is the
    last valid one, which counts until the steady time `answer_ends_ns`. `devices` is how many
    devices use the server, `spellings` how they name it. `slowdown` multiplies its interval. After
    `has_ended` it is not asked again.
    """

    target: TimeServerTarget
    devices: int = 0
    spellings: AbstractSet[str] = frozenset()
    up: bool | None = None
    error: str | None = None
    answer: TimeAnswer | None = None
    answer_ends_ns: int = 0
    queries: int = 0
    failures: dict[str, int] = field(default_factory=lambda: dict.fromkeys(REASONS, 0))
    slowdown: int = 1
    has_ended: bool = False

    def current_answer(self, steady_ns: int) -> TimeAnswer | None:
        """Return the last valid answer; `None` if it is too old."""
        return self.answer if steady_ns <= self.answer_ends_ns else None


@dataclass(slots=True, eq=False)
class _Watched:
    """A server, the task that asks it, and when it was last asked (the event loop's time)."""

    server: TimeServer
    task: asyncio.Task[None] | None = None
    asked_at: float = -inf


class TimeServerMonitor:
    """Asks the configured time servers and those of devices, one query of a server at a time.

    `apply` and `set_usage` say which. A server that stays keeps its state and its turn. `rules`
    are those of the config. `chance` returns random numbers from 0 to 1.
    """

    def __init__(
        self, query: Query, host: HostClock, chance: Callable[[], float] = random.random
    ) -> None:
        self._query = query
        self._host = host
        self._chance = chance
        self._config = TimeServersConfig()
        self.rules = TargetRules(self._config)
        self._usage = Usage(self.rules)
        self._device_slots = asyncio.Semaphore(MAX_DEVICE_QUERIES)
        self._watched: dict[Key, _Watched] = {}
        # When servers may be asked again that were removed: a device may name one now and then.
        self._not_before: dict[Key, float] = {}

    @property
    def servers(self) -> list[TimeServer]:
        """The servers that are asked."""
        return [watched.server for watched in self._watched.values()]

    def apply(self, config: TimeServersConfig) -> None:
        """Ask the servers of a config from now on. Needs a running event loop."""
        self._config = config
        self.rules = TargetRules(config)
        self._reconcile()

    def set_usage(self, usage: Usage) -> None:
        """Set which servers the devices use."""
        self._usage = usage
        self._reconcile()

    async def stop(self) -> None:
        """Cancel all queries."""
        tasks = [watched.task for watched in self._watched.values() if watched.task is not None]
        self._watched.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def vote(self, now: HostTime) -> Vote:
        """Return what the configured servers say of this host's clock.

        Servers of devices have no vote: a hostile device names many.
        """
        configured = (each for each in self.servers if each.target.is_configured)
        return count_votes([each.current_answer(now.steady_ns) for each in configured], now)

    def host_offset(self, now: HostTime) -> Offset | None:
        """Return this host's clock minus the time on which the configured servers agree.

        `None` without a majority.
        """
        return self.vote(now).offset_at(now)

    def _reconcile(self) -> None:
        targets = self.rules.targets(self._usage)
        now = asyncio.get_running_loop().time()
        for key in self._watched.keys() - targets.keys():
            self._remove(key)
        self._not_before = {key: due for key, due in self._not_before.items() if due > now}
        for key, target in targets.items():
            if key not in self._watched:
                self._add(key, target, now)
            server = self._watched[key].server
            server.devices = self._usage.devices.get(key, 0)
            server.spellings = self._usage.spellings.get(key, frozenset())
            if target.is_configured or server.target.is_configured:
                server.target = target  # else it keeps its label, however devices spell it now

    def _add(self, key: Key, target: TimeServerTarget, now: float) -> None:
        watched = self._watched[key] = _Watched(TimeServer(target))
        due = max(now + self._chance() * START_SPREAD_SECONDS, self._not_before.get(key, 0.0))
        watched.task = asyncio.create_task(self._watch(watched, due))

    def _remove(self, key: Key) -> None:
        watched = self._watched.pop(key)
        if watched.task is not None:
            watched.task.cancel()
        wait = _REFUSED_SECONDS if watched.server.has_ended else self._interval(watched.server)
        self._not_before[key] = max(watched.asked_at + wait, self._not_before.get(key, 0.0))

    def _interval(self, server: TimeServer) -> float:
        """Return the seconds between two queries of a server."""
        configured = self._config.interval
        return max(configured, min(configured * server.slowdown, MAX_INTERVAL_SECONDS))

    async def _watch(self, watched: _Watched, due: float) -> None:
        """Ask a server, first at a time of the event loop, until it is removed or refuses."""
        loop = asyncio.get_running_loop()
        while not watched.server.has_ended:
            await asyncio.sleep(max(0.0, due - loop.time()))
            is_configured = watched.server.target.is_configured
            async with nullcontext() if is_configured else self._device_slots:
                watched.asked_at = loop.time()
                await self._ask(watched.server)
            due = watched.asked_at + self._interval(watched.server)

    async def _ask(self, server: TimeServer) -> None:
        target, failed = server.target, sum(server.failures.values())
        try:
            answer = await self._query(target.host, target.port, self._config.timeout, failed)
        except QueryFailed as error:
            self._record_failure(server, error)
        except NotSent as problem:
            if server.error != str(problem):
                _log.warning("time_server.not_asked", server=target.label, error=str(problem))
            server.up, server.error = None, str(problem)
        except Exception as fault:  # noqa: BLE001 - whatever it is, the next query may work
            _log.exception("time_server.internal_error", server=target.label)
            server.up, server.error = None, str(fault)
        else:
            self._record_answer(server, answer)

    def _record_answer(self, server: TimeServer, answer: TimeAnswer) -> None:
        if server.up is False:
            _log.info("time_server.recovered", server=server.target.label)
        server.queries += 1
        server.up, server.error, server.answer = True, None, answer
        kept_ns = ANSWER_INTERVALS * round(self._interval(server) * SECOND_NS)
        server.answer_ends_ns = answer.estimate.at_ns + min(kept_ns, MAX_AGE_NS)

    def _record_failure(self, server: TimeServer, error: QueryFailed) -> None:
        if server.up is not False:
            _log.warning(
                "time_server.failed",
                server=server.target.label,
                reason=error.reason,
                error=str(error),
            )
        server.queries += 1
        server.failures[error.reason] += 1
        server.up, server.error = False, str(error)
        if isinstance(error, KissOfDeath):
            self._obey(server, error)

    def _obey(self, server: TimeServer, kiss: KissOfDeath) -> None:
        """Ask a server half as often, or no more. RFC 5905, section 7.4."""
        if kiss.code != "RATE":
            server.has_ended = True
            _log.warning(
                "time_server.refused",
                server=server.target.label,
                code=kiss.code,
                advice="it is asked again after a restart, or a day after it was removed",
            )
        elif self._interval(server) < MAX_INTERVAL_SECONDS:
            server.slowdown *= 2
