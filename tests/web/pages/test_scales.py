"""The axes of a chart: round offsets in one unit, and clock times."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.web.pages.scales import Scale, offset_label, offset_ticks, time_ticks

NOON = 1_792_411_200.0
"""2026-10-19 12:00 UTC."""


def labels(scale: Scale) -> list[str]:
    return [tick.label for tick in offset_ticks(scale)]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (-0.55, 0.55, ["-400 ms", "-200 ms", "0", "+200 ms", "+400 ms"]),
        (-2.1, 0.6, ["-2 s", "-1.5 s", "-1 s", "-0.5 s", "0", "+0.5 s"]),
        (-0.0011, 0.0011, ["-1,000 µs", "-500 µs", "0", "+500 µs", "+1,000 µs"]),
        (-0.5, 7300, ["0", "+20 min", "+40 min", "+60 min", "+80 min", "+100 min", "+120 min"]),
        (-0.5, 90_000, ["0", "+5 h", "+10 h", "+15 h", "+20 h", "+25 h"]),
        (
            -13 * 86400,
            0.5,
            ["-12 days", "-10 days", "-8 days", "-6 days", "-4 days", "-2 days", "0"],
        ),
    ],
)
def test_offsets_are_round_and_in_one_unit(low: float, high: float, expected: list[str]) -> None:
    assert labels(Scale(high, low)) == expected


def test_a_threshold_has_the_unit_of_its_axis() -> None:
    assert offset_label(0.5, Scale(2.1, -2.1)) == "+0.5 s"
    assert offset_label(-0.5, Scale(0.55, -0.55)) == "-500 ms"


@given(st.floats(-1e9, 0), st.floats(1e-6, 1e9))
def test_any_axis_with_zero_has_a_few_ticks_within_it_in_order(low: float, high: float) -> None:
    scale = Scale(high, low)
    ticks = offset_ticks(scale)
    assert len(ticks) <= 15
    assert all(-0.01 <= tick.place <= 100.01 for tick in ticks)
    assert all(one.place >= other.place for one, other in itertools.pairwise(ticks))


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (30, ["12:00:00", "12:00:05", "12:00:10"]),
        (600, ["12:00", "12:02", "12:04"]),
        (6000, ["12:00", "12:15", "12:30"]),
        (36_000, ["12:00", "14:00", "16:00"]),
        (2 * 86_400, ["12:00", "20 Oct", "12:00"]),
        (20 * 86_400, ["22 Oct", "25 Oct", "28 Oct"]),
    ],
)
def test_times_are_round_clock_times_in_utc(seconds: float, expected: list[str]) -> None:
    ticks = time_ticks(Scale(NOON, NOON + seconds))
    assert [tick.label for tick in ticks[:3]] == expected
    assert 2 <= len(ticks) <= 8


def test_places_are_percentages_from_start_to_end() -> None:
    scale = Scale(10, -10)
    assert (scale.place(10), scale.place(0), scale.place(-10)) == (0, 50, 100)
    assert scale.span(5) == scale.span(-5) == 25
