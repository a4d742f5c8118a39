"""A device, an exporter and their clocks with a known truth, and what its scrapes would show.

Base of all times is the exporter host's steady clock `m`, in seconds since `EPOCH`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from random import Random

from exporter.clock.offset import SECOND_NS, Offset
from exporter.evidence.records import Asked, Bounds, Scrape, Witness
from exporter.evidence.statement import Statement, make_statement

EPOCH = 1_800_000_000
MINUTE = 60.0
WINDOW = 15 * MINUTE
ASKED_AT = 30 * MINUTE
"""The middle of the simulated hour."""


@dataclass
class World:
    """The true clocks, and how they are measured.

    The device drifts, is `slewed` by 500 ppm from one time to another, and steps. It tells its time
    in units of `resolution` seconds, as a `Date` does in seconds. The host's steady clock drifts
    against the true time, and its wall clock is set by `host_steps` besides.
    """

    seed: int = 0
    offset: float = 0.0
    drift_ppm: float = 0.0
    slewed: tuple[float, float, float] = (0.0, 0.0, 500.0)
    steps: dict[float, float] = field(default_factory=dict)
    counts_steps: bool = True
    host_offset: float = 0.0
    host_drift_ppm: float = 0.0
    host_steps: dict[float, float] = field(default_factory=dict)
    asks_servers: bool = True
    resolution: float = 0.0
    width: float = 0.01
    interval: float = MINUTE
    scrape_interval: float = MINUTE
    outages: tuple[tuple[float, float], ...] = ()
    restart: float | None = None
    instance: str = "exporter:10123"
    late: int = 0
    _estimates: dict[float, tuple[float, float]] = field(default_factory=dict, init=False)

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
        rng, scrapes = Random(self.seed + 1), list[Scrape]()
        first = Random(self.seed).uniform(0, self.interval)
        m = rng.uniform(0, self.scrape_interval)
        while m < 2 * ASKED_AT:
            scrapes.append(self._scrape(m, first, rng))
            m += self.scrape_interval
        around = [each for each in scrapes if abs(self._since_asked(each)) <= WINDOW]
        return Witness({"instance": self.instance, "job": "axis"}, around)

    def _since_asked(self, scrape: Scrape) -> float:
        return scrape.scraped_seconds - EPOCH - ASKED_AT

    def _scrape(self, m: float, first: float, rng: Random) -> Scrape:
        count = int((m - first) // self.interval)
        since = 0 if self.restart is None or m < self.restart else self.restart
        polled = first + count * self.interval
        scraped = self.true_time(m)
        host = self._host(m, rng) if self.asks_servers else None
        if polled < since:
            return Scrape(scraped, host=host, steps=0.0, polls=0.0)
        answered = not any(start <= polled < end for start, end in self.outages)
        counted = sum(self.counts_steps and since < at <= polled for at in self.steps)
        return Scrape(
            scraped_seconds=scraped,
            polled_seconds=self.wall(m) - m + polled,
            offset=self._offset(m, polled) if answered else None,
            host=host,
            steps=float(counted),
            polls=float(count - int((since - first) // self.interval)),
            poll_seconds=0.1 + self.resolution,
            synced=True if answered else None,
        )

    def _offset(self, m: float, polled: float) -> Offset:
        if not self._estimates:
            self._estimates.update(self._estimate())
        low, high = self._estimates[round(polled, 3)]
        seconds = (low + high) / 2 - (self.wall(m) - m)
        return Offset(seconds, (high - low) / 2 + (m - polled) * 100e-6 + 1e-6)

    def _estimate(self) -> Iterator[tuple[float, tuple[float, float]]]:
        """Yield the estimate after each poll, as the exporter makes it.

        It begins a new one when the truth leaves the old one, or `late` polls later.
        """
        rng = Random(self.seed)
        m = Random(self.seed).uniform(0, self.interval)
        low, high, wrong = -math.inf, math.inf, 0
        while m < 2 * ASKED_AT:
            theta, drift = self.device(m) - m, self.interval * 100e-6
            sample = [*self._sample(m, rng)]
            low, high = max(low - drift, sample[0]), min(high + drift, sample[1])
            wrong = 0 if low <= theta <= high else wrong + 1
            began = self.restart is not None and m >= self.restart > m - self.interval
            if wrong > self.late or low > high or began:
                (low, high), wrong = sample, 0
            yield round(m, 3), (low, high)
            m += self.interval

    def _sample(self, m: float, rng: Random) -> Iterator[float]:
        """Yield the bounds of what one poll that ends at `m` measures.

        It waits for a part of the device's unit first, so that the bounds get narrower each time.
        """
        read = m - rng.uniform(0, self.resolution)
        shown, unit = self.device(read), self.resolution
        first = shown - shown % unit if unit else shown
        waited = (m - read) * 100e-6
        yield first - read - waited - rng.uniform(0.0005, self.width)
        yield first + unit - read + waited + rng.uniform(0.0005, self.width)

    def _host(self, m: float, rng: Random) -> Offset:
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


def _holds(bounds: Bounds, value_ns: int) -> bool:
    # Floats of Unix seconds have steps of a quarter microsecond.
    return bounds.low_ns - 1000 <= value_ns <= bounds.high_ns + 1000


def _ns(seconds: float) -> int:
    return round(seconds * SECOND_NS)


def _sum_until(steps: dict[float, float], m: float) -> float:
    return sum(size for at, size in steps.items() if at <= m)
