"""What a statement holds, and when there is none; the truth is simulated."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.clock.offset import SECOND_NS, Offset
from exporter.evidence.measurements import limits, measurements
from exporter.evidence.records import Asked, Scrape, Witness
from exporter.evidence.statement import Finding, make_statement
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
        "nonce_every": draw(st.sampled_from([0, 0, 1, 5])),
        "width": draw(st.sampled_from([0.001, 0.02, 0.1])),
        "interval": draw(INTERVALS),
        "scrape_interval": draw(INTERVALS),
        "outages": tuple((start, start + lasts) for start, lasts in ends),
        "asks_servers": draw(st.booleans()),
        "host_offset": draw(st.sampled_from([0.0, 0.3, -0.4])),
        "host_drift_ppm": draw(st.floats(-40, 40)),
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


STEP_SIZES = st.one_of(st.floats(-0.2, 0.2), st.floats(-2, 2))


@settings(max_examples=200 * EXAMPLES)
@given(worlds(slewed=(0, 0, 0)), STEP_SIZES, st.floats(-9 * MINUTE, 9 * MINUTE), KINDS, MOMENTS)
def test_a_step_that_is_noticed_late_or_never_is_covered(
    world: World, size: float, since: float, kind: str, m: float
) -> None:
    moved = world.but(steps={ASKED_AT + since: size})
    statement = moved.ask(kind, m)
    assert statement.finding is None or moved.holds(statement, m)


@settings(max_examples=100 * EXAMPLES)
@given(
    worlds(slewed=(0, 0, 0)),
    STEP_SIZES,
    st.floats(-3 * MINUTE, 3 * MINUTE),
    st.sampled_from(["the exporter was restarted", "the device was away"]),
    KINDS,
    MOMENTS,
)
def test_a_step_while_nobody_looked_is_covered(
    world: World, size: float, since: float, why: str, kind: str, m: float
) -> None:
    when = ASKED_AT + since
    moved = world.but(steps={when: size}, outages=())
    if why == "the device was away":
        unseen = moved.but(outages=((when - 90, when + 30),))
    else:
        unseen = moved.but(restart=when + 0.5)
    statement = unseen.ask(kind, m)
    assert statement.finding is None or unseen.holds(statement, m)


@settings(max_examples=100 * EXAMPLES)
@given(
    worlds(),
    st.sampled_from([-1, 1]),
    st.lists(st.tuples(NEAR, st.floats(0.001, 0.3)), max_size=4),
    st.floats(0, 80_000),
    KINDS,
    MOMENTS,
)
def test_any_moves_in_one_direction_are_covered(
    world: World, sign: int, steps: list[tuple[float, float]], ppm: float, kind: str, m: float
) -> None:
    """Several steps, and a slew as fast as chrony's, 83,000 ppm."""
    began = world.slewed[0]
    moved = world.but(
        steps={when: sign * size for when, size in steps}, slewed=(began, began + 90, sign * ppm)
    )
    statement = moved.ask(kind, m)
    assert statement.finding is None or moved.holds(statement, m)


@settings(max_examples=100 * EXAMPLES)
@given(
    worlds(interval=MINUTE, slewed=(0, 0, 0), outages=()),
    st.sampled_from([15.0, 30.0, MINUTE]),
    st.floats(-1, 1),
    st.tuples(st.floats(70, 300), st.floats(5, 90)),
    st.floats(0, 1),
    KINDS,
)
def test_a_restart_gives_no_wrong_statement(
    world: World,
    scrape_interval: float,
    size: float,
    lasts: tuple[float, float],
    place: float,
    kind: str,
) -> None:
    """From its restart until it is synchronized, the device's clock is wrong by up to a second."""
    away, wrong = lasts
    restarted = world.but(
        scrape_interval=scrape_interval,
        outages=((ASKED_AT - away, ASKED_AT),),
        steps={ASKED_AT - 5: size, ASKED_AT - 5 + wrong: -size},
    )
    m = ASKED_AT - 5 + place * wrong
    statement = restarted.ask(kind, m)
    assert statement.finding is None or restarted.holds(statement, m)


@pytest.mark.parametrize("kind", ["at", "shown"])
@pytest.mark.parametrize("nonce_every", [0, 1, 5])
@pytest.mark.parametrize("seconds", [60, 100])
def test_a_device_that_did_not_answer_may_have_been_restarted(
    kind: str, nonce_every: int, seconds: int
) -> None:
    """One or two polls failed. Its clock is 0.7 s wrong for 20 s, until it is synchronized."""
    away = (ASKED_AT + 10 - seconds, ASKED_AT + 10)
    steps = {ASKED_AT: -0.7, ASKED_AT + 20: 0.7}
    for seed in range(5):
        world = World(seed, outages=(away,), steps=steps, nonce_every=nonce_every)
        for m in (ASKED_AT - 20, ASKED_AT + 5, ASKED_AT + 9):
            statement = world.ask(kind, m)
            assert statement.finding is None


@pytest.mark.parametrize("kind", ["at", "shown"])
def test_where_nobody_looked_for_long_there_is_no_statement(kind: str) -> None:
    """The exporter and the device may have been restarted together, as power failed."""
    witness = World().witness()
    for away, is_stated in ((90, True), (200, False)):
        kept = [
            each
            for each in witness.scrapes
            if abs(each.scraped_seconds - EPOCH - ASKED_AT) > away / 2
        ]
        asked = Asked("at" if kind == "at" else "shown", (EPOCH + round(ASKED_AT)) * SECOND_NS)
        statement = make_statement(asked, [witness._replace(scrapes=kept)], asked.time_ns, 900)
        assert (statement.finding is not None) == is_stated
        if not is_stated:
            assert str(statement.reason).startswith("nothing was measured between 2027-01-15 08:2")


def test_an_exporter_that_was_restarted_may_have_been_without_power_as_the_device_was() -> None:
    for seconds, is_stated in ((80, True), (100, False)):
        told = [(since, 0.0, 0.01) for since in (-140, -80, -20, seconds - 20, seconds + 40)]
        witness = hand_made(None, *told)
        restarted = [
            each._replace(polls=number - 2) if number > 2 else each
            for number, each in enumerate(witness.scrapes)
        ]
        asked = Asked("at", HAND_MADE * SECOND_NS)
        witness = witness._replace(scrapes=restarted)
        statement = make_statement(asked, [witness], asked.time_ns, 900)
        assert (statement.finding is not None) == is_stated, statement.reason


def test_another_exporter_that_looked_covers_the_gap_of_one() -> None:
    """The device answered it all the time."""
    away, b = World(outages=((ASKED_AT - 90, ASKED_AT + 10),)), World(instance="b:10123")
    assert away.ask("at", ASKED_AT).finding is None
    assert b.holds(away.ask("at", ASKED_AT, b), ASKED_AT)


def test_polls_that_are_rare_are_no_gaps() -> None:
    """A clock that lost 0.1 s in five minutes: as little as a slew, but all at once."""
    for when in (-60, 0, 60):
        world = World(interval=5 * MINUTE, scrape_interval=30.0, steps={ASKED_AT + when: -0.1})
        for m in (ASKED_AT - 250, ASKED_AT, ASKED_AT + 250):
            assert world.holds(world.ask("at", m), m)


@given(worlds(asks_servers=True, outages=()), st.floats(0.6, 1e6), KINDS)
def test_a_suspect_host_clock_gives_none(world: World, wrong: float, kind: str) -> None:
    statement = world.but(host_offset=wrong).ask(kind, ASKED_AT)
    assert statement.finding is None
    assert "suspect" in str(statement.reason) or "measurement" in str(statement.reason)


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
    assert "not enough measurements" in str(statement.reason)


def test_no_measurement_at_all_gives_none() -> None:
    statement = World(outages=((0, 4000),)).ask("at", ASKED_AT)
    assert statement.reason == "no measurement within 15m of 2027-01-15 08:30:00 UTC"


def test_without_the_counter_of_steps_there_is_none() -> None:
    witness = World().witness()
    without = [each._replace(steps=None) for each in witness.scrapes]
    asked = Asked("at", (EPOCH + round(ASKED_AT)) * SECOND_NS)
    statement = make_statement(asked, [witness._replace(scrapes=without)], asked.time_ns, 900)
    assert "axis_ntp_clock_steps_total was not kept" in str(statement.reason)


def hand_made(host: Offset | None, *offsets: tuple[float, float, float]) -> Witness:
    """Return polls at these seconds since `HAND_MADE`, with offset and uncertainty.

    Each was scraped one second later, and its response came at its end.
    """
    ahead = 0.0 if host is None else host.seconds
    scrapes = [
        Scrape(
            HAND_MADE + since + 1,
            HAND_MADE + since + ahead,
            Offset(seconds, uncertainty),
            host,
            steps=0,
            polls=107 + number,
            poll_seconds=0,
        )
        for number, (since, seconds, uncertainty) in enumerate(offsets)
    ]
    return Witness({"instance": "a"}, scrapes)


HAND_MADE = 2_000_000_000


def ask_hand_made(witness: Witness, since: float = 0) -> tuple[float, float]:
    asked = Asked("at", round((HAND_MADE + since) * SECOND_NS))
    statement = make_statement(asked, [witness], asked.time_ns, 900)
    assert statement.offset is not None, statement.reason
    return statement.offset.low_ns / SECOND_NS, statement.offset.high_ns / SECOND_NS


@pytest.mark.parametrize("host", [None, Offset(0.1, 0.004)])
def test_the_bounds_span_what_the_polls_before_and_after_allow(host: Offset | None) -> None:
    """Worked out by hand: polls 20 s before and 40 s after, each with bounds of its own.

    The host's clock is 0.1 s ahead, so is the time that it gives the polls.
    """
    witness = hand_made(host, (-80, -1.79, 0.009), (-20, -1.792, 0.005), (40, -1.79, 0.006))
    low, high = ask_hand_made(witness)
    off, doubt, ppm = (0.0, 0.0, 100) if host is None else (0.1, 0.004, 150)
    # From the poll to the scrape the host drifts too. Times of polls are exported in milliseconds.
    more = doubt + (0 if host is None else 0.9 * 50e-6)
    away = 0.0005 + doubt
    before = 0.005 + more + (20 + away) * ppm * 1e-6
    after = 0.006 + more + (40 + away) * ppm * 1e-6
    assert low == pytest.approx(off + min(-1.792 - before, -1.79 - after), abs=2e-6)
    assert high == pytest.approx(off + max(-1.792 + before, -1.79 + after), abs=2e-6)


def test_an_end_that_the_exporter_only_moved_outward_proves_nothing_new() -> None:
    """Its uncertainty grows by 6 ms a minute: after a hidden step such an end may be wrong."""
    told = [(-140, 0.0, 0.01), (-80, 0.0, 0.005), (-20, 0.0, 0.011), (40, 0.0, 0.017)]
    witness = hand_made(None, *told, (100, 0.0, 0.005))
    low, high = ask_hand_made(witness)
    # From the polls 80 s before and 100 s after.
    assert (low, high) == pytest.approx((-0.005 - 0.01, 0.005 + 0.01), abs=1e-6)


def test_each_end_is_taken_from_the_poll_that_proved_it() -> None:
    """A `Date` moves one end only: the lower one 80 s before, the upper one 20 s before."""
    told = [(-140, 0.0, 0.02), (-80, 0.005, 0.015), (-20, 0.0, 0.016), (40, 0.0, 0.005)]
    low, high = ask_hand_made(hand_made(None, *told))
    assert low == pytest.approx(-0.01 - 0.008, abs=1e-6)
    assert high == pytest.approx(0.016 + 0.002, abs=1e-6)


def test_ends_that_moved_because_the_hosts_clock_was_set_prove_nothing() -> None:
    """With time servers a step of the host of 20 ms is seen; of 6 ms, by the other end."""
    for step, doubt in ((0.02, 0.004), (0.006, 0.02)):
        told = [(-140, 0.0, 0.02), (-80, 0.0, 0.01), (-20, -step, 0.016), (40, -step, 0.022)]
        witness = hand_made(Offset(0.0, doubt), *told, (100, -step, 0.005))
        set_by = [0.0, 0.0, step, step, step]
        scrapes = [
            each._replace(host=Offset(by, doubt), polled_seconds=(each.polled_seconds or 0) + by)
            for each, by in zip(witness.scrapes, set_by, strict=True)
        ]
        asked = Asked("at", HAND_MADE * SECOND_NS)
        statement = make_statement(asked, [witness._replace(scrapes=scrapes)], asked.time_ns, 900)
        assert statement.finding is not None
        # Those 80 s before and 100 s after.
        assert {round(each.at_ns / SECOND_NS - HAND_MADE) for each in statement.finding.used} == {
            -80,
            100,
        }


def seconds_used(witness: Witness) -> list[int]:
    """Return the polls that a statement about `HAND_MADE` is made from."""
    asked = Asked("at", HAND_MADE * SECOND_NS)
    statement = make_statement(asked, [witness], asked.time_ns, 900)
    assert statement.finding is not None, statement.reason
    return [round(each.at_ns / SECOND_NS - HAND_MADE) for each in statement.finding.used]


def test_an_end_that_was_moved_outward_for_a_shorter_time_than_it_seems_proves_nothing() -> None:
    """The scrape 79 s before was answered 9 s late, so only 51 s went by until the next one."""
    told = [(-140, 0.0, 0.02), (-80, 0.0, 0.01), (-20, 0.0, 0.0151), (40, 0.0, 0.01)]
    assert seconds_used(hand_made(None, *told)) == [-80, 40]


def test_the_step_of_a_hosts_clock_is_seen_by_the_time_servers_alone() -> None:
    """It was set 20 ms forward, while a poll proved a lower end 30 ms further inward."""
    doubt = Offset(0.0, 0.004)
    told = [(-140, 0.0, 0.03), (-80, 0.0, 0.02), (-20, -0.002, 0.008), (40, -0.002, 0.014)]
    witness = hand_made(doubt, *told, (100, -0.002, 0.005))
    scrapes = [
        each._replace(host=doubt._replace(seconds=0.02 if number > 1 else 0.0))
        for number, each in enumerate(witness.scrapes)
    ]
    assert seconds_used(witness._replace(scrapes=scrapes)) == [-80, 100]


def test_a_clock_that_moved_faster_than_a_slew_stepped_though_no_step_was_counted() -> None:
    asked = Asked("at", HAND_MADE * SECOND_NS)
    for size, is_stated in ((0.03, True), (0.1, False)):
        told = [(-80, 0.0, 0.001), (-20, 0.0, 0.001), (40, size, 0.001), (100, size, 0.001)]
        statement = make_statement(asked, [hand_made(None, *told)], asked.time_ns, 900)
        assert (statement.finding is not None) == is_stated


def test_of_several_polls_between_two_scrapes_any_may_have_proved_an_end() -> None:
    """The moment lies between the second and the third poll of four that one scrape shows."""
    told = [(-500, 0.0, 0.02), (-260, 0.0, 0.01), (40, 0.0, 0.01), (280, 0.0, 0.01)]
    witness = hand_made(None, *told)
    rare = [each._replace(polls=100 + 4 * number) for number, each in enumerate(witness.scrapes)]
    statement = make_statement(
        Asked("at", HAND_MADE * SECOND_NS),
        [witness._replace(scrapes=rare)],
        HAND_MADE * SECOND_NS,
        900,
    )
    assert statement.finding is not None
    # Not the scrape 40 s after: its polls may have been before the moment.
    assert [round(each.at_ns / SECOND_NS - HAND_MADE) for each in statement.finding.used] == [
        -260,
        280,
    ]


def test_a_count_of_polls_that_may_have_begun_anew_does_not_tell_which_poll_proved_an_end() -> None:
    """The exporter was restarted after its third poll, and has polled four times since."""
    for polls, is_single in ((3, False), (300, True)):
        witness = hand_made(None, (-140, 0.0, 0.02), (-80, 0.0, 0.01), (-20, 0.0, 0.01))
        counted = [
            each._replace(polls=polls + number) for number, each in enumerate(witness.scrapes)
        ]
        *_, last = limits(measurements(counted))
        since = last.time.low_ns / SECOND_NS - HAND_MADE
        assert since == pytest.approx(-20 if is_single else -80, abs=0.01)


def test_a_shown_time_that_may_lie_beyond_the_last_stretch_has_no_statement() -> None:
    told = [(-140, 0.0, 0.02), (-80, 0.0, 0.01), (-20, 0.0, 0.01), (40, 0.0, 0.01)]
    witness = hand_made(None, *told)
    for since, is_stated in ((39.0, True), (39.995, False), (-79.0, True), (-79.995, False)):
        asked = Asked("shown", round((HAND_MADE + since) * SECOND_NS))
        statement = make_statement(asked, [witness], HAND_MADE * SECOND_NS, 900)
        assert (statement.finding is not None) == is_stated, since


def test_what_is_missing_is_said() -> None:
    told = [(-140, 0.0, 0.02), (-80, 0.0, 0.01), (-20, 0.0, 0.016), (40, 0.0, 0.022)]
    asked = Asked("at", HAND_MADE * SECOND_NS)
    statement = make_statement(asked, [hand_made(None, *told)], asked.time_ns, 900)
    assert str(statement.reason).endswith(
        "not enough measurements after 2033-05-18 03:33:20 UTC within the window: they must prove "
        "how far the clock was ahead at most and at least"
    )


def test_a_host_clock_that_is_certainly_off_by_less_than_the_limit_is_not_suspect() -> None:
    told = [(-80, 0.0, 0.02), (-20, 0.0, 0.01), (40, 0.0, 0.01)]
    for off, is_stated in ((0.45, True), (0.65, False)):
        asked = Asked("at", HAND_MADE * SECOND_NS)
        witness = hand_made(Offset(off, 0.1), *told)
        statement = make_statement(asked, [witness], asked.time_ns, 900)
        assert (statement.finding is not None) == is_stated


def test_a_new_interval_proves_both_of_its_ends() -> None:
    """The exporter has noticed a slew and begun anew: 1 s wide, as from one `Date`."""
    told = [(-140, 0.0, 0.02), (-80, 0.0, 0.01), (-20, 0.1, 0.5), (40, 0.0, 0.02)]
    low, high = ask_hand_made(hand_made(None, *told), since=-19)
    assert (low, high) == pytest.approx((-0.4, 0.6), abs=1e-3)


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


@pytest.mark.parametrize("kind", ["at", "shown"])
@pytest.mark.parametrize("ahead", [-0.03, 0.0, 0.02])
def test_without_time_servers_a_statement_holds_by_the_clock_of_each_exporters_host(
    kind: str, ahead: float
) -> None:
    """Two hosts whose clocks differ: what both allow together may hold by neither."""
    for seed in range(20):
        a = World(seed, asks_servers=False, nonce_every=0)
        b = a.but(seed=seed + 100, host_offset=ahead, offset=a.offset, instance="b:10123")
        statement = a.ask(kind, ASKED_AT, b)
        assert statement.finding is not None
        assert a.holds(statement, ASKED_AT)
        # Its clock told the time of an `at` at another moment.
        assert b.holds(statement, ASKED_AT - (ahead if kind == "at" else 0))


def test_two_prometheus_servers_that_scrape_one_exporter_compare_with_one_clock() -> None:
    world = World(asks_servers=False, nonce_every=0)
    witness = world.witness()
    asked = Asked("at", (EPOCH + round(ASKED_AT)) * SECOND_NS)
    twin = world.but(seed=7).witness()._replace(labels={**witness.labels, "replica": "b"})
    both = make_statement(asked, [witness, twin], asked.time_ns, 900)
    alone = [make_statement(asked, [each], asked.time_ns, 900) for each in (witness, twin)]
    assert both.offset is not None
    widths = [each.offset.width_ns for each in alone if each.offset is not None]
    assert both.offset.width_ns <= min(widths)


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
    assert "08:28:20.003 UTC and" in reason
    assert "08:31:40 UTC" in reason


def test_a_clock_that_was_set_forward_has_skipped_times() -> None:
    world = World(steps={ASKED_AT: 200.0})
    skipped = Asked("shown", (EPOCH + round(ASKED_AT) + 100) * SECOND_NS)
    statement = make_statement(skipped, [world.witness()], skipped.time_ns, 900)
    assert "may never have shown this time, as the clock was set forward" in str(statement.reason)


def test_a_step_that_was_not_counted_is_a_contradiction() -> None:
    jumped = World(steps={ASKED_AT: -5.0}).witness()
    uncounted = [each._replace(steps=0) for each in jumped.scrapes]
    asked = Asked("at", (EPOCH + round(ASKED_AT)) * SECOND_NS)
    statement = make_statement(asked, [jumped._replace(scrapes=uncounted)], asked.time_ns, 900)
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
                world = World(seed=seed, drift_ppm=seed * 4.5 - 90, asks_servers=servers)
                assert world.holds(world.ask(kind, ASKED_AT + seed), ASKED_AT + seed)


def test_fakes_are_what_they_say() -> None:
    """The simulated world itself: its measured offset holds the true one."""
    world = replace(World(), width=0.001)
    [first, *_] = world.witness().scrapes
    assert first.offset is not None
    assert abs(first.offset.seconds) <= first.offset.uncertainty_seconds
