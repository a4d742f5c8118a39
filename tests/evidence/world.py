"""A device, an exporter and their clocks with a known truth, and what its scrapes would show.

Base of all times is the exporter host's steady clock `m`, in seconds since `EPOCH`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from random import Random

from exporter.clock.estimator import DeviceClock
from exporter.clock.host import HostTime
from exporter.clock.offset import SECOND_NS, ClockSample, Offset
from exporter.evidence.records import Asked, Bounds, Scrape, Witness
from exporter.evidence.statement import Statement, make_statement

EPOCH = 1_800_000_000
MINUTE = 60.0
WINDOW = 15 * MINUTE
ASKED_AT = 30 * MINUTE
"""The middle of the simulated hour."""


@dataclass
class World:
    """The true clocks, and how the exporter's own estimator measures them.

    The device drifts, is `slewed` from one time to another (seconds, seconds, ppm), and steps.
    One of `nonce_every` responses has a nonce, which shows microseconds; the others, or all if
    that is 0, have a `Date`, which shows whole seconds. The host's steady clock drifts against the
    true time, and its wall clock is set by `host_steps` besides.
    """

    seed: int = 0
    offset: float = 0.0
    drift_ppm: float = 0.0
    slewed: tuple[float, float, float] = (0.0, 0.0, 500.0)
    steps: dict[float, float] = field(default_factory=dict)
    host_offset: float = 0.0
    host_drift_ppm: float = 0.0
    host_steps: dict[float, float] = field(default_factory=dict)
    asks_servers: bool = True
    nonce_every: int = 1
    width: float = 0.01
    interval: float = MINUTE
    scrape_interval: float = MINUTE
    outages: tuple[tuple[float, float], ...] = ()
    restart: float | None = None
    instance: str = "exporter:10123"

    def true_time(self, m: float) -> float:
        return EPOCH + m * (1 - self.host_drift_ppm / 1e6)

    def wall(self, m: float) -> float:
        """Return the host's wall clock."""
        return self.host_offset + EPOCH + m + _sum_until(self.host_steps, m)

    def device(self, m: float) -> float:
        began, ended, ppm = self.slewed
        slew = max(0.0, min(m, ended) - began) * ppm / 1e6
        drift = m * self.drift_ppm / 1e6
        return EPOCH + m + self.offset + drift + slew + _sum_until(self.steps, m)

    def reference(self, m: float) -> float:
        """Return the time that the bounds are about."""
        return self.true_time(m) if self.asks_servers else self.wall(m)

    def witness(self) -> Witness:
        rng = Random(self.seed + 1)
        times = list(_every(self.scrape_interval, rng))
        scrapes = [scrape for process in self._processes() for scrape in process.run(times, rng)]
        around = [each for each in scrapes if abs(self._since_asked(each)) <= WINDOW]
        return Witness({"instance": self.instance, "job": "axis"}, around)

    def _processes(self) -> Iterator[Process]:
        """Yield the exporter, and the one that runs after its restart."""
        end = 2 * ASKED_AT
        restart = end if self.restart is None else self.restart
        yield Process(self, 0, restart)
        if restart < end:
            yield Process(self, restart, end)

    def _since_asked(self, scrape: Scrape) -> float:
        return scrape.scraped_seconds - EPOCH - ASKED_AT

    def host_clock(self, m: float) -> HostTime:
        steady_ns = round(m * SECOND_NS)
        return HostTime(steady_ns, round(self.wall(m) * SECOND_NS), 100)

    def host(self, m: float, rng: Random) -> Offset | None:
        """Return the host's own offset as the time servers tell it; `None` without them."""
        if not self.asks_servers:
            return None
        uncertainty = rng.uniform(0.001, 0.005)
        error = rng.uniform(-uncertainty, uncertainty)
        return Offset(self.wall(m) - self.true_time(m) + error, uncertainty + 1e-6)

    def ask(self, kind: str, m: float, *others: World, window: float = WINDOW) -> Statement:
        """Ask about what was at `m`: by the reference, or as the device showed it."""
        now = _ns(self.reference(m))
        asked = Asked("at", now) if kind == "at" else Asked("shown", _ns(self.device(m)))
        witnesses = [each.witness() for each in (self, *others)]
        return make_statement(asked, witnesses, now, window)

    def holds(self, statement: Statement, m: float) -> bool:
        """Return whether a statement about `m` holds the truth, relative to its reference."""
        assert statement.finding is not None
        found = statement.finding
        named = found.reference == ("time servers" if self.asks_servers else "exporter host")
        true, shown = _ns(self.reference(m)), _ns(self.device(m))
        assert statement.offset is not None
        return (
            named
            and _holds(found.true_time, true)
            and _holds(found.shown_time, shown)
            and _holds(statement.offset, shown - true)
        )

    def but(self, **changes: object) -> World:
        return replace(self, **changes)  # type: ignore[arg-type]


@dataclass
class Process:
    """The exporter from its start to its end, with the real estimator."""

    world: World
    start: float
    end: float
    clock: DeviceClock = field(default_factory=DeviceClock)
    polls: int = 0
    polled: float | None = None
    poll_seconds: float | None = None
    answered: bool = False

    def run(self, scrape_times: Sequence[float], rng: Random) -> Iterator[Scrape]:
        """Poll, and yield the scrapes."""
        due = self.start + rng.uniform(0, self.world.interval)
        for m in scrape_times:
            if not self.start <= m < self.end:
                continue
            while max(due, self.polled or 0.0) + 1.1 < m:
                self._poll(max(due, self.polled or 0.0), rng)
                due += self.world.interval
            yield self._scrape(m, rng)

    def _poll(self, due: float, rng: Random) -> None:
        world, self.polls = self.world, self.polls + 1
        if any(start <= due < end for start, end in world.outages):
            self.clock.take_poll([], None)
            self.answered, self.polled, self.poll_seconds = False, due + 0.1, 0.1
            return
        sent = due + self.clock.shift_seconds(round(due * SECOND_NS))
        read = sent + rng.uniform(0.0005, world.width)
        received = read + rng.uniform(0.0005, world.width)
        self.clock.take_poll([self._sample(sent, read, received, rng)], 2_000_000)
        self.answered, self.polled, self.poll_seconds = True, received, received - due

    def _sample(self, sent: float, read: float, received: float, rng: Random) -> ClockSample:
        shown_ns, unit_ns = round(self.world.device(read) * SECOND_NS), 1000
        every = self.world.nonce_every
        if every == 0 or self.polls % every:
            # A web server reads a clock that ticks 100 times a second.
            shown_ns, unit_ns = shown_ns - rng.randrange(9_000_000), SECOND_NS
        cut_ns = shown_ns // unit_ns * unit_ns
        return ClockSample.of(cut_ns, unit_ns, round(sent * SECOND_NS), round(received * SECOND_NS))

    def _scrape(self, m: float, rng: Random) -> Scrape:
        world, polled = self.world, self.polled
        known = polled is not None
        wall = world.wall(m) - m + polled if polled is not None else None
        return Scrape(
            scraped_seconds=world.true_time(m),
            polled_seconds=None if wall is None else round(wall, 3),
            offset=self.clock.offset(world.host_clock(m)) if self.answered else None,
            host=world.host(m, rng),
            steps=float(self.clock.steps),
            polls=float(self.polls),
            poll_seconds=self.poll_seconds,
            synced=True if known and self.answered else None,
        )


def _every(interval: float, rng: Random) -> Iterator[float]:
    m = rng.uniform(0, interval)
    while m < 2 * ASKED_AT:
        yield m
        m += interval


def _holds(bounds: Bounds, value_ns: int) -> bool:
    # Floats of Unix seconds have steps of a quarter microsecond.
    return bounds.low_ns - 1000 <= value_ns <= bounds.high_ns + 1000


def _ns(seconds: float) -> int:
    return round(seconds * SECOND_NS)


def _sum_until(steps: dict[float, float], m: float) -> float:
    return sum(size for at, size in steps.items() if at <= m)
