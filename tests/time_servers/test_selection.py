"""The time on which a majority of servers agrees: what it holds, and when there is none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.clock.host import HostTime
from exporter.clock.offset import MAX_AGE_NS, SECOND_NS, Estimate, drift_ns
from exporter.time_servers.selection import Agreement, find_agreement, host_offset


def at(low_ns: int, high_ns: int) -> Estimate:
    return Estimate(low_ns, high_ns, 0)


def agreed(*intervals: tuple[int, int]) -> tuple[int, int] | None:
    """Return the agreement of intervals of this moment, without the drift's rounding."""
    found = find_agreement([at(*each) for each in intervals], 0)
    if found is None:
        return None
    return found.estimate.low_ns + drift_ns(0), found.estimate.high_ns - drift_ns(0)


@pytest.mark.parametrize(
    ("intervals", "result"),
    [
        ([], None),
        ([(0, 10)], (0, 10)),
        ([(0, 10), (8, 20)], (8, 10)),
        ([(0, 10), (10, 20)], (10, 10)),
        ([(0, 10), (20, 30)], None),  # which of the two is wrong?
        ([(0, 10), (20, 30), (8, 14)], (8, 10)),
        ([(0, 10), (2, 9), (4, 30)], (4, 9)),
        ([(0, 10), (0, 2), (8, 10)], (0, 10)),  # two answers: from the first to the last
        ([(0, 1), (10, 11), (20, 21)], None),
        ([(0, 4), (1, 5), (10, 14), (11, 15)], None),
        ([(0, 4), (1, 5), (2, 6), (10, 14), (11, 15)], (2, 4)),
        ([(0, 0), (0, 0)], (0, 0)),
    ],
)
def test_the_agreement_is_where_most_intervals_overlap(
    intervals: list[tuple[int, int]], result: tuple[int, int] | None
) -> None:
    assert agreed(*intervals) == result


def test_the_servers_that_contradict_the_agreement_are_named() -> None:
    found = find_agreement([at(0, 10), at(300, 310), at(5, 12)], 0)
    assert found is not None
    assert found.falsetickers == (1,)


def test_each_interval_is_widened_by_the_drift_since_its_query() -> None:
    old, new = Estimate(0, 10, 0), Estimate(0, 20_000_000, 100 * SECOND_NS)
    found = find_agreement([old, new], 100 * SECOND_NS)
    assert found is not None
    assert found.estimate.high_ns == 10 + drift_ns(100 * SECOND_NS)
    assert found.estimate.at_ns == 100 * SECOND_NS


INTERVALS = st.lists(st.tuples(st.integers(-50, 50), st.integers(0, 30)), max_size=7).map(
    lambda pairs: [(low, low + width) for low, width in pairs]
)


@given(INTERVALS)
def test_it_agrees_with_counting_at_every_point(intervals: list[tuple[int, int]]) -> None:
    depths = {
        point: sum(low <= point <= high for low, high in intervals) for point in range(-50, 81)
    }
    most = max(depths.values())
    points = [point for point, depth in depths.items() if depth == most]
    expected = (points[0], points[-1]) if 2 * most > len(intervals) else None
    assert agreed(*intervals) == expected


@st.composite
def right_and_wrong(draw: st.DrawFn, *, apart: bool) -> tuple[int, list[Estimate], list[Estimate]]:
    """Return the truth, a majority of intervals that hold it, and some that do not."""
    truth = draw(st.integers(-(10**9), 10**9))
    reach = st.integers(0, 10**7)
    right = [
        at(truth - below, truth + above)
        for below, above in draw(st.lists(st.tuples(reach, reach), min_size=1, max_size=5))
    ]
    gap = st.integers(10**7 + 2 if apart else 1, 10**9)
    wrong = [
        at(*sorted((truth + sign * near, truth + sign * (near + width))))
        for sign, near, width in draw(
            st.lists(st.tuples(st.sampled_from([1, -1]), gap, reach), max_size=len(right) - 1)
        )
    ]
    return truth, right, wrong


def agreement_of(right: list[Estimate], wrong: list[Estimate]) -> Agreement:
    found = find_agreement([*right, *wrong], 0)
    assert found is not None
    return found


@given(right_and_wrong(apart=True))
def test_it_holds_the_truth_if_the_wrong_servers_contradict_the_right_ones(
    drawn: tuple[int, list[Estimate], list[Estimate]],
) -> None:
    truth, right, wrong = drawn
    found = agreement_of(right, wrong)
    assert found.estimate.low_ns <= truth <= found.estimate.high_ns
    assert set(range(len(right), len(right) + len(wrong))) == set(found.falsetickers)


@given(right_and_wrong(apart=False))
def test_wrong_servers_never_move_it_out_of_all_right_ones(
    drawn: tuple[int, list[Estimate], list[Estimate]],
) -> None:
    _truth, right, wrong = drawn
    found = agreement_of(right, wrong).estimate
    assert any(
        each.low_ns - 1 <= found.high_ns and found.low_ns <= each.high_ns + 1 for each in right
    )


def test_the_hosts_offset_is_the_host_minus_the_agreed_time() -> None:
    # The true time is 1.5 s, give or take 0.5 s, ahead of the wall clock.
    agreement = Agreement(Estimate(101 * SECOND_NS, 102 * SECOND_NS, 0), ())
    offset = host_offset(agreement, HostTime(0, 100 * SECOND_NS))
    assert offset is not None
    assert offset.seconds == pytest.approx(-1.5)
    assert offset.uncertainty_seconds == pytest.approx(0.5)


def test_an_old_agreement_gives_no_offset() -> None:
    assert host_offset(Agreement(Estimate(0, 1, 0), ()), HostTime(MAX_AGE_NS + 1, 0)) is None
