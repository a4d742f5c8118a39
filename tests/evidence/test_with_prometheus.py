"""Statements from a real Prometheus about a simulated day, compared with the simulator's truth."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Literal

import pytest

from exporter.evidence.statement import Statement
from tests.evidence.conftest import WINDOW, EvidenceSite
from tests.evidence.simulated_day import DAY, HOUR, NONCE_SECONDS, SimulatedCamera, SimulatedDay

pytestmark = pytest.mark.xdist_group("evidence")

MOMENTS = 200


@dataclass
class Look:
    """A statement, and the truth."""

    camera: SimulatedCamera
    kind: str
    m: float
    statement: Statement
    error_ms: float
    is_clean: bool

    @property
    def width_ms(self) -> float:
        assert self.statement.offset is not None
        return self.statement.offset.width_ns / 1e6


async def looks_at(site: EvidenceSite, count: int) -> list[Look]:
    rng = random.Random(1)
    found = []
    for _ in range(count):
        camera, m = rng.choice(site.day.cameras), rng.uniform(0, DAY)
        kind: Literal["at", "shown"] = rng.choice(["at", "shown"])
        statement = await site.ask(camera, kind, m)
        found.append(_look(site.day, camera, kind, m, statement))
    return found


def _look(
    day: SimulatedDay, camera: SimulatedCamera, kind: str, m: float, statement: Statement
) -> Look:
    error = 0
    if statement.finding is not None:
        assert statement.finding.reference == "time servers"
        true, shown = statement.finding.true_time, statement.finding.shown_time
        for bounds, value in ((true, day.true_ns(m)), (shown, day.shown_ns(camera, m))):
            error = max(error, bounds.low_ns - value, value - bounds.high_ns)
    edges = [(0.0, 20 * 60.0), (DAY, DAY), (day.restart, day.restart + 20)]
    is_edge = any(start - WINDOW <= m <= end + WINDOW for start, end in edges)
    clean = not is_edge and not camera.is_troubled(m, WINDOW)
    return Look(camera, kind, m, statement, error / 1e6, clean)


async def test_a_statement_holds_the_truth_at_200_random_moments(
    site: EvidenceSite, record_property: Callable[[str, object], None]
) -> None:
    looks = await looks_at(site, MOMENTS)
    assert [look for look in looks if look.error_ms > 0.001] == []
    clean = [look for look in looks if look.is_clean]
    stated = [look for look in clean if look.statement.finding is not None]
    assert len(clean) > MOMENTS / 3
    assert len(stated) >= 0.9 * len(clean)
    assert {look.kind for look in stated} == {"at", "shown"}
    widths = {
        every: [look.width_ms for look in stated if look.camera.nonce_seconds == every]
        for every in NONCE_SECONDS
    }
    date_only = widths.pop(None)
    record_property("widths", {every: median(found) for every, found in widths.items()})
    record_property("counts", (len(looks), len(clean), len(stated)))
    record_property("date_only", median(date_only))
    every_response, every_fifth = (median(found) for found in widths.values())
    assert every_response <= 60
    # A clock may drift by 30 ms in the 5 minutes to the next nonce, forward or back.
    assert every_fifth <= 120
    assert median(date_only) <= 150


async def test_the_time_servers_that_agree_are_counted(site: EvidenceSite) -> None:
    statement = await site.ask(site.day.cameras[0], "at", 3 * HOUR)
    assert statement.finding is not None
    # Two of four: one is wrong, and one no NTP client would use.
    assert [
        each.scrape.servers for each in (statement.finding.before, statement.finding.after)
    ] == [2, 2]
