"""What a statement holds, and when there is none; the truth is simulated."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.clock.offset import SECOND_NS, Offset
from exporter.evidence.records import Asked, Scrape, Witness
from exporter.evidence.statement import Finding, Statement, make_statement
from tests.evidence.world import ASKED_AT, EPOCH, MINUTE, World

EXAMPLES = int(os.environ.get("AXIS_NTP_EVIDENCE_EXAMPLES", "1"))
"""How many times more examples to try."""

KINDS = st.sampled_from(["at", "shown"])
MOMENTS = st.floats(ASKED_AT - 2 * MINUTE, ASKED_AT + 2 * MINUTE)
NEAR = st.floats(ASKED_AT - 14 * MINUTE, ASKED_AT + 13 * MINUTE)
INTERVALS = st.sampled_from([15.0, 30.0, MINUTE, 300.0])


@st.composite
def worlds(draw: st.DrawFn, /, **fixed: Any) -> World:
    """Draw clocks without a step: drift, a slew, outages, any precision, a host that is wrong."""
    began = draw(st.floats(0, 2 * ASKED_AT))
    ends = draw(st.lists(st.tuples(NEAR, st.floats(MINUTE, 8 * MINUTE)), max_size=2))
    drawn: dict[str, Any] = {
        "seed": draw(st.integers(0, 2**32)),
        "offset": draw(st.sampled_from([0.0, 1e-3, -1.8, 30.0, -3600.0, -1e8])),
        "drift_ppm": draw(st.floats(-100, 100)),
        "slewed": (began, draw(st.floats(began, 4000)), draw(st.sampled_from([500, -500, 120]))),
        "resolution": draw(st.sampled_from([0.0, 0.0, 1.0])),
        "width": draw(st.sampled_from([0.001, 0.02, 0.1, 0.5])),
        "interval": draw(INTERVALS),
        "scrape_interval": draw(INTERVALS),
        "outages": tuple((start, start + lasts) for start, lasts in ends),
        "asks_servers": draw(st.booleans()),
        "host_offset": draw(st.sampled_from([0.0, 0.3, -0.4])),
        "host_drift_ppm": draw(st.floats(-40, 40)),
        "late": draw(st.sampled_from([0, 0, 3])),
    }
    return World(**drawn | fixed)


@settings(max_examples=150 * EXAMPLES)
@given(worlds(), KINDS, MOMENTS)
def test_a_statement_holds_the_truth(world: World, kind: str, m: float) -> None:
    statement = world.ask(kind, m)
    assert statement.finding is None or world.holds(statement, m)
    assert (statement.finding is None) == bool(statement.reason)


@settings(max_examples=60 * EXAMPLES)
@given(worlds(asks_servers=True), st.floats(-0.45, 0.45), NEAR, KINDS, MOMENTS)
def test_a_host_clock_that_is_set_changes_no_statement_if_time_servers_are_asked(
    world: World, size: float, when: float, kind: str, m: float
) -> None:
    world = world.but(host_offset=0.0, host_steps={when: size})
    statement = world.ask(kind, m)
    assert statement.finding is None or world.holds(statement, m)


@settings(max_examples=60 * EXAMPLES)
@given(
    worlds(interval=MINUTE, scrape_interval=15.0, outages=(), slewed=(0, 0, 0)),
    st.sampled_from([-1, 1]),
    st.floats(2, 3000),
    NEAR,
    KINDS,
    MOMENTS,
)
def test_a_counted_step_within_the_window_gives_none(
    world: World, sign: int, size: float, when: float, kind: str, m: float
) -> None:
    statement = world.but(steps={when: sign * size}).ask(kind, m)
    assert statement.finding is None
    assert statement.reason


@settings(max_examples=100 * EXAMPLES)
@given(
    worlds(slewed=(0, 0, 0), interval=MINUTE, scrape_interval=15.0),
    st.floats(-2, 2),
    st.floats(-3 * MINUTE, 3 * MINUTE),
    st.sampled_from(["the exporter was restarted", "the device was away"]),
    KINDS,
    MOMENTS,
)
def test_a_step_that_nobody_could_count_is_covered(
    world: World, size: float, since: float, why: str, kind: str, m: float
) -> None:
    when = ASKED_AT + since
    uncounted = world.but(steps={when: size}, counts_steps=False, outages=())
    if why == "the device was away":
        unseen = uncounted.but(outages=((when - 90, when + 30),))
    else:
        unseen = uncounted.but(restart=when + 0.5)
    statement = unseen.ask(kind, m)
    assert statement.finding is None or unseen.holds(statement, m)


@settings(max_examples=100 * EXAMPLES)
@given(
    worlds(interval=MINUTE, outages=(), late=3, slewed=(0, 0, 0)),
    st.floats(-0.2, 0.2),
    st.floats(-4 * MINUTE, 4 * MINUTE),
    KINDS,
    MOMENTS,
)
def test_a_small_step_that_the_exporter_notices_late_is_covered(
    world: World, size: float, since: float, kind: str, m: float
) -> None:
    """For three polls its estimate is wrong, and then it says no more than that it has begun."""
    moved = world.but(steps={ASKED_AT + since: size}, counts_steps=False)
    statement = moved.ask(kind, m)
    assert statement.finding is None or moved.holds(statement, m)


@pytest.mark.parametrize("kind", ["at", "shown"])
def test_the_clock_of_a_device_that_restarted_may_have_stepped_before_or_after(kind: str) -> None:
    """Its clock lost 0.2 s in ten minutes: as little as a slew, but all at once."""
    for when in (-60, 0, 60):
        away = (ASKED_AT - 300, ASKED_AT + 300)
        step = {ASKED_AT + when: -0.2}
        world = World(outages=(away,), steps=step, counts_steps=False, drift_ppm=0)
        for m in (ASKED_AT - 250, ASKED_AT, ASKED_AT + 250):
            statement = world.ask(kind, m)
            assert statement.finding is not None
            assert world.holds(statement, m)


@given(worlds(asks_servers=True, outages=()), st.floats(0.6, 1e6), KINDS)
def test_a_suspect_host_clock_gives_none(world: World, wrong: float, kind: str) -> None:
    statement = world.but(host_offset=wrong).ask(kind, ASKED_AT)
    assert statement.finding is None
    assert "suspect" in str(statement.reason) or "no measurement" in str(statement.reason)


def test_a_host_whose_devices_are_off_it_is_suspect_if_it_asks_no_time_servers() -> None:
    asked = Asked("at", (EPOCH + round(ASKED_AT)) * SECOND_NS)
    for asks_servers, proves in ((False, False), (True, True)):
        witness = World(asks_servers=asks_servers).witness()._replace(medians=(0.1, -0.7))
        statement = make_statement(asked, [witness], asked.time_ns, 900)
        assert (statement.finding is not None) == proves


@pytest.mark.parametrize("kind", ["at", "shown"])
@pytest.mark.parametrize(("start", "end"), [(0, ASKED_AT), (ASKED_AT, 4000)])
def test_measurements_on_one_side_only_give_none(kind: str, start: float, end: float) -> None:
    statement = World(outages=((start, end),)).ask(kind, ASKED_AT)
    assert statement.finding is None
    assert "no measurement" in str(statement.reason)


def test_no_measurement_at_all_gives_none() -> None:
    statement = World(outages=((0, 4000),)).ask("at", ASKED_AT)
    assert statement.reason == "no measurement within 15m of 2027-01-15 08:30:00 UTC"


def test_without_the_counter_of_steps_there_is_none() -> None:
    witness = World().witness()
    without = [each._replace(steps=None) for each in witness.scrapes]
    asked = Asked("at", (EPOCH + round(ASKED_AT)) * SECOND_NS)
    statement = make_statement(asked, [witness._replace(scrapes=without)], asked.time_ns, 900)
    assert "axis_ntp_clock_steps_total was not kept" in str(statement.reason)


@pytest.mark.parametrize("host", [None, Offset(0.1, 0.004)])
def test_the_bounds_are_those_of_the_neighbours_widened_and_intersected(
    host: Offset | None,
) -> None:
    """Worked out by hand: polls 20 s before and 40 s after, each ± 5 ms, 600 ppm.

    The host's clock is 0.1 s ahead, so is the time that it gives the polls.
    """
    t = 2_000_000_000
    off, doubt = (0.0, 0.0) if host is None else (host.seconds, host.uncertainty_seconds)
    scrapes = [
        Scrape(t + since + 1, t + since + off, offset, host, steps=0, polls=n, poll_seconds=0)
        for n, since, offset in ((7, -20, Offset(-1.792, 0.005)), (8, 40, Offset(-1.79, 0.005)))
    ]
    asked = Asked("at", t * SECOND_NS)
    witness = Witness({"instance": "a"}, scrapes)
    statement = make_statement(asked, [witness], asked.time_ns, 900)
    assert statement.offset is not None
    low, high = (bound / SECOND_NS for bound in statement.offset)
    half = 0.005 + doubt + (20 + doubt) * 600e-6
    assert low == pytest.approx(-1.792 + off - half, abs=1e-7)
    assert high == pytest.approx(-1.792 + off + half, abs=1e-7)


def test_of_several_scrapes_of_one_poll_the_first_counts() -> None:
    rare = World(asks_servers=False, interval=120.0, scrape_interval=120.0).ask("at", ASKED_AT)
    often = World(asks_servers=False, interval=120.0, scrape_interval=5.0).ask("at", ASKED_AT)
    assert rare.offset is not None
    assert often.offset is not None
    assert often.offset.width_ns <= rare.offset.width_ns


def test_a_poll_counts_when_it_was_made_and_not_when_it_was_scraped() -> None:
    """A scrape a minute late must not make its measurement look a minute younger."""
    world = World(interval=10 * MINUTE, scrape_interval=30.0, slewed=(0, 4000, 500.0), width=0.002)
    for seconds in range(0, 600, 20):
        m = ASKED_AT - 300 + seconds
        statement = world.ask("at", m)
        assert statement.finding is None or world.holds(statement, m)


def test_the_edges_of_a_shown_time_may_lie_on_both_sides_of_a_measurement() -> None:
    world = World(interval=15.0, scrape_interval=15.0, width=0.4, offset=-5.0)
    for tenths in range(160):
        m = ASKED_AT + tenths / 10
        assert world.holds(world.ask("shown", m), m)


# Two exporters


@settings(max_examples=50 * EXAMPLES)
@given(worlds(asks_servers=True, host_drift_ppm=0), st.integers(0, 99), KINDS, MOMENTS)
def test_two_exporters_prove_at_least_as_much_as_one(
    world: World, seed: int, kind: str, m: float
) -> None:
    other = world.but(seed=seed, instance="b:10123", host_offset=-0.1)
    alone, both = world.ask(kind, m), world.ask(kind, m, other)
    if alone.finding is None or both.finding is None:
        return
    assert world.holds(both, m)
    assert both.offset is not None
    assert alone.offset is not None
    assert both.offset.width_ns <= alone.offset.width_ns


def test_exporters_that_contradict_each_other_prove_nothing_and_both_are_shown() -> None:
    a, b = World(offset=0.0), World(offset=0.3, instance="b:10123")
    statement = a.ask("at", ASKED_AT, b)
    assert statement.finding is None
    assert "the exporters contradict each other: exporter:10123 measured " in str(statement.reason)
    assert "b:10123 measured +" in str(statement.reason)
    assert len([each for each in statement.each if isinstance(each, Finding)]) == 2


def test_the_exporter_that_was_away_does_not_hide_the_other() -> None:
    world = World()
    assert world.holds(world.ask("at", ASKED_AT, World(outages=((0, 4000),))), ASKED_AT)
    away_first = World(outages=((0, 4000),)).ask("at", ASKED_AT, world)
    assert world.holds(away_first, ASKED_AT)


def test_a_step_that_one_of_two_exporters_has_counted_is_enough() -> None:
    jumped = World(steps={ASKED_AT + 300: 5.0}, instance="b:10123")
    statement = World().ask("at", ASKED_AT, jumped)
    assert "the device's clock stepped" in str(statement.reason)


def test_a_host_that_asks_no_time_servers_does_not_count_beside_one_that_does() -> None:
    blind = World(asks_servers=False, host_offset=0.4, instance="b:10123")
    world = World()
    assert world.holds(world.ask("at", ASKED_AT, blind), ASKED_AT)


def test_a_suspect_host_does_not_count_beside_one_that_was_measured_and_is_right() -> None:
    suspect = World(host_offset=9.0, instance="b:10123")
    world = World()
    assert world.holds(world.ask("at", ASKED_AT, suspect), ASKED_AT)
    blind = World(asks_servers=False).ask("at", ASKED_AT, suspect)
    assert "suspect" in str(blind.reason)


# A step, and what the picture shows


def test_a_clock_that_was_set_back_has_shown_a_time_twice() -> None:
    world = World(steps={ASKED_AT: -200.0})
    reason = str(world.ask("shown", ASKED_AT - 100).reason)
    assert "may have shown this time twice, as the clock was set back: about " in reason
    assert "08:28:20.001 UTC and" in reason
    assert "08:31:40.001" in reason


def test_a_clock_that_was_set_forward_has_skipped_times() -> None:
    world = World(steps={ASKED_AT: 200.0})
    skipped = Asked("shown", (EPOCH + round(ASKED_AT) + 100) * SECOND_NS)
    statement = make_statement(skipped, [world.witness()], skipped.time_ns, 900)
    assert "may never have shown this time, as the clock was set forward" in str(statement.reason)


def test_a_step_that_was_not_counted_is_a_contradiction() -> None:
    statement: Statement = World(steps={ASKED_AT: -5.0}, counts_steps=False).ask("at", ASKED_AT)
    assert "the device's clock or the exporter host's clock stepped between" in str(
        statement.reason
    )


def test_scrapes_with_fewer_series_are_not_trusted_more() -> None:
    """Without the number of polls a restart cannot be excluded: the bounds are wider."""
    asked = Asked("at", (EPOCH + round(ASKED_AT)) * SECOND_NS)
    witness = World().witness()
    fewer = [replace_polls(witness, None)]
    full = make_statement(asked, [witness], asked.time_ns, 900)
    less = make_statement(asked, fewer, asked.time_ns, 900)
    assert full.offset is not None
    assert less.offset is not None
    assert less.offset.width_ns > full.offset.width_ns


def replace_polls(witness: Witness, polls: float | None) -> Witness:
    return witness._replace(scrapes=[each._replace(polls=polls) for each in witness.scrapes])


def test_most_moments_of_a_good_hour_have_a_statement() -> None:
    """The properties above are not empty: what they say of statements is said of many."""
    for kind in ("at", "shown"):
        for seed in range(40):
            for servers in (True, False):
                world = World(seed=seed, drift_ppm=seed * 5 - 100, asks_servers=servers)
                assert world.holds(world.ask(kind, ASKED_AT + seed), ASKED_AT + seed)


def test_fakes_are_what_they_say() -> None:
    """The simulated world itself: its measured offset holds the true one."""
    world = replace(World(), width=0.001)
    [first, *_] = world.witness().scrapes
    assert first.offset is not None
    assert abs(first.offset.seconds) <= first.offset.uncertainty_seconds
