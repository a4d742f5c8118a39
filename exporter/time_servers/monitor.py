"""Ask every time server again and again, and keep what it answered."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from collections.abc import Set as AbstractSet
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from math import inf
from typing import Final, NamedTuple, Protocol

import structlog

from exporter.clock.host import HostClock, HostTime
from exporter.clock.offset import SECOND_NS, Offset
from exporter.config import TimeServersConfig
from exporter.system.addresses import is_loopback
from exporter.time_servers.client import NameLookupFailed, NoAnswer, NotSent, Unreachable
from exporter.time_servers.host_clock import ServerProblem, Vote, count_votes, describe_problem
from exporter.time_servers.slots import Slots
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

_MAX_REMEMBERED: Final = 1024
"""How many servers are remembered after they are no longer named."""

RETRY_SECONDS: Final = 64.0
"""A failed query is repeated after this time at the latest."""

GOOD_ANSWERS: Final = 8
"""After so many answers in a row an interval that a server had doubled is halved again."""

_log = structlog.get_logger()


class Query(Protocol):
    """`TimeServerClient.query`."""

    def __call__(
        self, host: str, port: int, timeout_seconds: float, attempt: int, *, is_configured: bool
    ) -> Awaitable[TimeAnswer]:
        """Ask a server once."""


@dataclass(slots=True, eq=False)
class TimeServer:
    """A time server and its queries so far. Only the monitor changes it.

    `up` is whether the last query got a valid answer, `None` if that is not known; a request to ask
    less often changes nothing while the last answer counts. `answer` is the last valid one, which
    counts until the steady time `answer_ends_ns`. `devices` is how many devices use the server,
    `spellings` how they name it. `is_known`: a query has ended. `slowdown` multiplies its interval;
    `good_answers` are those in a row since it changed. After `has_ended` it is not asked again.
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
    is_known: bool = False
    slowdown: int = 1
    good_answers: int = 0
    has_ended: bool = False

    def current_answer(self, steady_ns: int) -> TimeAnswer | None:
        """Return the last valid answer; `None` if it is too old."""
        return self.answer if steady_ns <= self.answer_ends_ns else None

    def is_usable(self, steady_ns: int) -> bool:
        """Whether an NTP client would use the last valid answer."""
        answer = self.current_answer(steady_ns)
        return answer is not None and answer.is_selectable


@dataclass(slots=True, eq=False)
class _Watched:
    """A server, the task that asks it, and when it was last asked (the event loop's time).

    It is not asked before `not_before`. `woken` makes the task look at its times again.
    """

    server: TimeServer
    task: asyncio.Task[None] | None = None
    asked_at: float = -inf
    not_before: float = -inf
    woken: asyncio.Event = field(default_factory=asyncio.Event)


class _Removed(NamedTuple):
    """A server that is no longer asked, and until when its state is kept."""

    watched: _Watched
    until: float


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
        self._slots = Slots()
        self._device_queries = asyncio.Semaphore(MAX_DEVICE_QUERIES)
        self._watched: dict[Key, _Watched] = {}
        self._removed: dict[Key, _Removed] = {}
        self._disagreeing: list[str] = []

    @property
    def servers(self) -> list[TimeServer]:
        """The servers that are asked."""
        return [watched.server for watched in self._watched.values()]

    def apply(self, config: TimeServersConfig) -> None:
        """Ask the servers of a config from now on. Needs a running event loop."""
        if config == self._config:  # a pass through the devices may take longer than to a reload
            return
        is_shorter = config.interval < self._config.interval
        self._config = config
        self.rules = TargetRules(config)
        self._slots.apply(self.rules)
        self._reconcile()
        if is_shorter:
            self._wake()

    def new_usage(self) -> Usage:
        """Return a count of the devices' servers to fill: for `set_usage`."""
        return Usage(self.rules, self._slots.keys)

    def set_usage(self, usage: Usage) -> None:
        """Set which servers the devices use; ignored if it was counted by the rules before."""
        if usage.rules is not self.rules:
            return
        self._usage = usage
        self._slots.use(usage, asyncio.get_running_loop().time())
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

        They say nothing before a query of each has ended. Servers of devices have no vote: a
        hostile device names many.
        """
        vote = self._count_votes(now)
        problems = self._problems(now.steady_ns) if self._has_asked_all() else ()
        return vote._replace(problems=tuple(problems))

    def _count_votes(self, now: HostTime) -> Vote:
        """Return the vote without the problems of single servers: each scrape counts."""
        configured = self._configured()
        if not self._has_asked_all():
            return Vote(servers=len(configured))
        return count_votes([each.current_answer(now.steady_ns) for each in configured], now)

    def _has_asked_all(self) -> bool:
        return all(server.is_known for server in self._configured())

    def _problems(self, steady_ns: int) -> Iterator[ServerProblem]:
        for server in self._configured():
            problem = describe_problem(server.current_answer(steady_ns), server.error)
            if not problem and server.target.label in self._disagreeing:
                problem = "contradicts the others"
            if problem:
                yield ServerProblem(server.target, problem)

    def host_offset(self, now: HostTime) -> Offset | None:
        """Return this host's clock minus the time on which the configured servers agree.

        `None` if more than half of them do not agree.
        """
        return self._count_votes(now).offset_at(now)

    def _configured(self) -> list[TimeServer]:
        return [server for server in self.servers if server.target.is_configured]

    def _compare(self) -> None:
        """Log once which configured servers contradict the others, and once that none does."""
        now = self._host.now()
        vote = self._count_votes(now)
        if not vote.is_quorate:
            return
        usable = [each for each in self._configured() if each.is_usable(now.steady_ns)]
        places = range(len(usable)) if vote.agreement is None else vote.agreement.falsetickers
        disagreeing = [usable[place].target.label for place in places]
        if disagreeing != self._disagreeing:
            _log_disagreement(disagreeing, has_majority=vote.agreement is not None)
        self._disagreeing = disagreeing

    def _reconcile(self) -> None:
        now = asyncio.get_running_loop().time()
        targets = self.rules.configured | self._slots.targets(now)
        for key in self._watched.keys() - targets.keys():
            self._remove(key, now)
        self._removed = {key: each for key, each in self._removed.items() if each.until > now}
        for key, target in targets.items():
            if key not in self._watched:
                self._add(key, target, now)
            server = self._watched[key].server
            server.devices = self._usage.devices.get(key, 0)
            server.spellings = self._usage.spellings.get(key, frozenset())
            if target.is_configured or server.target.is_configured:
                server.target = target  # else it keeps its label, however devices spell it now

    def _add(self, key: Key, target: TimeServerTarget, now: float) -> None:
        removed = self._removed.pop(key, None)
        watched = _Watched(TimeServer(target)) if removed is None else removed.watched
        watched.not_before = now + self._chance() * START_SPREAD_SECONDS
        watched.task = asyncio.create_task(self._watch(watched))
        self._watched[key] = watched
        if target.is_configured and is_loopback(target.host):
            _log.warning(
                "time_server.is_this_host",
                server=target.label,
                advice="a server on this host cannot show that this host's clock is wrong",
            )

    def _remove(self, key: Key, now: float) -> None:
        """Stop asking a server. It may come back: a device may name one now and then."""
        watched = self._watched.pop(key)
        if watched.task is not None:
            watched.task.cancel()
        until = now + _REFUSED_SECONDS if watched.server.has_ended else self._due(watched)
        self._removed[key] = _Removed(watched, until)
        if len(self._removed) > _MAX_REMEMBERED:
            del self._removed[next(iter(self._removed))]

    def _wake(self) -> None:
        """Let a shorter interval count at once, spread so that not all servers are asked then."""
        now = asyncio.get_running_loop().time()
        for watched in self._watched.values():
            spread_until = now + self._chance() * START_SPREAD_SECONDS
            watched.not_before = max(watched.not_before, spread_until)
            watched.woken.set()

    def _interval(self, server: TimeServer) -> float:
        """Return the seconds between two queries of a server."""
        configured = self._config.interval
        if server.slowdown > 1:  # also while it fails: servers that are asked too much fall silent
            return max(configured, min(configured * server.slowdown, MAX_INTERVAL_SECONDS))
        return configured if server.error is None else min(configured, RETRY_SECONDS)

    def _due(self, watched: _Watched) -> float:
        return max(watched.not_before, watched.asked_at + self._interval(watched.server))

    async def _watch(self, watched: _Watched) -> None:
        """Ask a server until it is removed or refuses."""
        loop, server = asyncio.get_running_loop(), watched.server
        while not server.has_ended:
            await self._wait(watched)
            is_configured = server.target.is_configured
            async with nullcontext() if is_configured else self._device_queries:
                watched.asked_at = loop.time()
                await self._ask(server)
            if server.target.is_configured:
                self._compare()

    async def _wait(self, watched: _Watched) -> None:
        """Wait until a server's next query is due."""
        loop = asyncio.get_running_loop()
        while (due := self._due(watched)) > loop.time():
            watched.woken.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout_at(due):
                    await watched.woken.wait()

    async def _ask(self, server: TimeServer) -> None:
        target, failed = server.target, sum(server.failures.values())
        try:
            answer = await self._query(
                target.host,
                target.port,
                self._config.timeout,
                failed,
                is_configured=target.is_configured,
            )
        except QueryFailed as error:
            self._record_failure(server, error)
        except NotSent as problem:
            if server.error != str(problem):
                _log.warning(
                    "time_server.not_asked", server=server.target.label, error=str(problem)
                )
            server.up, server.error = None, str(problem)
        except Exception as fault:  # noqa: BLE001 - whatever it is, the next query may work
            _log.exception("time_server.internal_error", server=target.label)
            server.up, server.error = None, str(fault)
        else:
            self._record_answer(server, answer)
        server.is_known = True

    def _record_answer(self, server: TimeServer, answer: TimeAnswer) -> None:
        if server.up is False:
            _news(server, _log.info)("time_server.recovered", server=server.target.label)
        server.queries += 1
        server.up, server.error, server.answer = True, None, answer
        kept_ns = ANSWER_INTERVALS * round(self._interval(server) * SECOND_NS)
        server.answer_ends_ns = answer.estimate.at_ns + kept_ns
        server.good_answers += 1
        if server.slowdown > 1 and server.good_answers >= GOOD_ANSWERS:
            server.slowdown //= 2
            server.good_answers = 0

    def _record_failure(self, server: TimeServer, error: QueryFailed) -> None:
        server.queries += 1
        server.failures[error.reason] += 1
        server.good_answers = 0
        if isinstance(error, KissOfDeath) and error.code == "RATE":
            self._slow_down(server)
            if server.current_answer(self._host.now().steady_ns) is not None:
                return  # it lives, and its time is known
        if server.up is not False:
            _news(server, _log.warning)(
                "time_server.failed",
                server=server.target.label,
                reason=error.reason,
                error=str(error),
            )
        server.up, server.error = False, str(error)
        if isinstance(error, KissOfDeath) and error.code != "RATE":
            self._end(server, error)

    def _slow_down(self, server: TimeServer) -> None:
        """Ask a server half as often. RFC 5905, section 7.4."""
        if self._config.interval * server.slowdown < MAX_INTERVAL_SECONDS:
            server.slowdown *= 2

    def _end(self, server: TimeServer, kiss: KissOfDeath) -> None:
        """Ask a server no more. RFC 5905, section 7.4."""
        server.has_ended = True
        _news(server, _log.warning)(
            "time_server.refused",
            server=server.target.label,
            code=kiss.code,
            advice="it is asked again after a restart, or a day after it was removed",
        )


def _log_disagreement(servers: list[str], *, has_majority: bool) -> None:
    if not servers:
        _log.info("time_servers.agree")
        return
    advice = "the others agree" if has_majority else "no majority: configure three or more servers"
    _log.warning("time_servers.disagree", servers=", ".join(servers), advice=advice)


def _news(server: TimeServer, log: Callable[..., None]) -> Callable[..., None]:
    """Return what logs news of a server; of one that a device chose, the log gets no lines."""
    return log if server.target.is_configured else _log.debug
