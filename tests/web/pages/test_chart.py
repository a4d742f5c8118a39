"""The chart of the last polls."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.clock.offset import Offset
from exporter.devices.history import Poll
from exporter.web.pages.chart import (
    Chart,
    Limits,
    OffsetPlot,
    describe,
    draw,
    format_kept_offset,
)

LIMITS = Limits(0.5, 2.0)
START = 1_000_000_000.0


def poll(
    offset: float | None = None,
    uncertainty: float = 0.01,
    *,
    seconds: float = 0.1,
    reported: float | None = None,
    reason: str | None = None,
    stepped: bool = False,
) -> Poll:
    measured = None if offset is None else Offset(offset, uncertainty)
    return Poll(START, seconds, reason, None, measured, reported, stepped)


def drawn(*polls: Poll, interval: float = 60) -> Chart:
    chart = draw(
        [each._replace(ended_unix=START + n * interval) for n, each in enumerate(polls)], LIMITS
    )
    assert chart is not None
    return chart


def offsets(*polls: Poll) -> OffsetPlot:
    plot = drawn(*polls).offsets
    assert plot is not None
    return plot


def zero(plot: OffsetPlot) -> float:
    [place] = [tick.place for tick in plot.ticks if tick.label == "0"]
    return place


def heights(path: str) -> list[float]:
    return [float(y) for y in re.findall(r"[ML][-\d.]+ ([-\d.e]+)", path)]


def test_a_device_that_was_never_polled_has_no_chart() -> None:
    assert draw([], LIMITS) is None


def test_a_bar_is_as_high_as_its_poll_took_and_starts_at_the_bottom() -> None:
    chart = drawn(*(poll(seconds=seconds) for seconds in (1.0, 0.5, 0.0)))
    bars = re.findall(r"M[\d.]+ 100v-([\d.]+)h[\d.]+v([\d.]+)z", chart.answered)
    assert [up for up, _ in bars] == [down for _, down in bars] == ["100.0", "50.0", "4.0"]
    assert chart.unanswered == ""
    assert chart.longest == "1.00 s"


def test_polls_stand_at_their_time_the_newest_at_the_right_end() -> None:
    first, second, *_, last = drawn(*[poll(0.0)] * 50).polls
    assert first.x == pytest.approx(0, abs=0.02)
    assert last.x + last.width == pytest.approx(100, abs=0.02)
    assert second.x - first.x == pytest.approx(first.width, abs=0.02)
    late = [poll()._replace(ended_unix=START + at) for at in (0, 60, 120, 1200)]
    chart = draw(late, LIMITS)
    assert chart is not None
    middles = [each.x + each.width / 2 for each in chart.polls]
    assert middles == pytest.approx([2.4, 7.1, 11.9, 97.6], abs=0.1)


def test_the_first_polls_do_not_fill_the_chart() -> None:
    [only] = drawn(poll(0.0)).polls
    assert only.width < 10
    assert only.x > 90


def test_a_failed_poll_is_marked_and_described() -> None:
    chart = drawn(poll(), poll(seconds=10.0, reason="timeout"))
    assert chart.answered.count("M") == chart.unanswered.count("M") == 1
    assert chart.failures.startswith(f"M{chart.polls[1].x:.2f} 100v-100.0h")
    assert chart.polls[1].title == "2001-09-09 01:47:40 UTC: timeout, took 10.0 s"
    assert "2 polls from 2001-09-09 01:46:40 to 2001-09-09 01:47:40 UTC" in chart.summary
    assert "1 of them failed; the longest took 10.0 s" in chart.summary


def test_without_any_offset_there_is_no_plot_of_it() -> None:
    chart = drawn(poll(reason="timeout"))
    assert chart.offsets is None
    assert "The measured offset is unknown" in chart.summary


def test_a_small_offset_looks_small_beside_the_warning_thresholds() -> None:
    plot = offsets(poll(0.01), poll(0.012))
    assert [(each.level, each.label) for each in plot.limits] == [
        ("warning", "warning +500 ms"),
        ("warning", "warning -500 ms"),
    ]
    assert all(abs(y - zero(plot)) < 2 for y in heights(plot.line))
    top, bottom = (each.y for each in plot.limits)
    assert 0 < top < zero(plot) < bottom < 100
    assert [(box.level, box.y) for box in plot.beyond] == [("warning", 0), ("warning", bottom)]
    assert plot.beyond[0].height == top


def test_beyond_the_warning_threshold_the_critical_one_is_shown_on_that_side() -> None:
    plot = offsets(poll(-0.8))
    assert [each.label for each in plot.limits] == [
        "warning +0.5 s",
        "warning -0.5 s",
        "critical -2 s",
    ]
    assert [box.level for box in plot.beyond] == ["warning", "warning", "critical"]
    [line] = set(heights(plot.line))
    assert plot.limits[1].y < line < plot.limits[2].y


def test_thresholds_that_would_hide_zero_are_not_drawn_but_their_areas_are() -> None:
    plot = offsets(poll(-12 * 86_400.0))
    assert plot.limits == ()
    assert sum(box.height for box in plot.beyond if box.level == "critical") > 95
    assert plot.ticks[0].label == "-12 days"


def test_the_band_is_the_uncertainty_around_the_offset() -> None:
    plot = offsets(poll(0.1, 0.2), poll(0.1, 0.1))
    top_first, top_last, low_last, low_first = heights(plot.band)
    middle, _ = heights(plot.line)
    assert middle - top_first == pytest.approx(2 * (middle - top_last), abs=0.05)
    assert low_last - middle == pytest.approx(middle - top_last, abs=0.05)
    assert low_first - middle == pytest.approx(middle - top_first, abs=0.05)


def test_a_wide_band_is_cut_off_instead_of_making_everything_else_small() -> None:
    plot = offsets(poll(0.0, 8.0), poll(0.0, 0.1))
    assert min(heights(plot.band)) < 0
    assert max(heights(plot.band)) > 100
    assert [each.y for each in plot.limits] == pytest.approx([5.36, 94.64], abs=0.1)


def test_the_line_has_gaps_where_the_offset_is_unknown() -> None:
    plot = offsets(poll(-1.0), poll(-2.0), poll(), poll(-1.0))
    assert plot.line.count("M") == plot.band.count("M") == 2
    assert plot.line.count("L") == 1


def test_the_line_does_not_cross_a_step_which_is_marked() -> None:
    chart = drawn(poll(0.0), poll(0.0), poll(-2.4, stepped=True), poll(-2.4))
    assert chart.offsets is not None
    assert chart.offsets.line.count("M") == 2
    step = chart.polls[2]
    assert chart.steps == chart.step_lines == pytest.approx([step.x + step.width / 2], abs=0.02)
    assert "answered, clock stepped" in step.title
    assert "1 of them showed a step of the clock" in chart.summary


def test_many_steps_are_marked_without_lines_that_hide_the_rest() -> None:
    chart = drawn(*(poll(float(n % 3), stepped=True) for n in range(50)))
    assert len(chart.steps) == 50
    assert chart.step_lines == ()


def test_reported_offsets_are_dots_beside_the_measured_line() -> None:
    plot = offsets(poll(-1.8, reported=0.001), poll(-1.8), poll(reported=0.003))
    assert len(heights(plot.reported)) == 2
    assert all(abs(y - zero(plot)) < 1 for y in heights(plot.reported))
    assert offsets(poll(reported=0.2)).line == ""


def test_an_offset_of_exactly_zero_is_drawn_too() -> None:
    plot = offsets(poll(0.0))
    assert heights(plot.line) == [zero(plot)]


def test_a_poll_is_told_as_one_line() -> None:
    assert describe(poll(-1.8, 0.0103, reported=0.0017)) == (
        "2001-09-09 01:46:40 UTC: answered, took 100 ms, "
        "measured offset -1.800 s ± 10.3 ms, reported offset +1.70 ms"
    )
    assert [format_kept_offset(each) for each in (None, -20_000.0)] == ["", "-20000 s"]


def test_the_summary_tells_the_offsets_and_the_threshold() -> None:
    summary = drawn(poll(-1.9), poll(-1.8)).summary
    assert "The measured offset was between -1.900 s and -1.800 s" in summary
    assert "The last one is -1.800 s ± 10.0 ms" in summary
    assert "A warning begins at 500 ms, ahead or behind" in summary


VALUES = st.none() | st.floats(-1e9, 1e9)


@given(
    st.lists(
        st.tuples(VALUES, st.floats(0, 1e4), VALUES, st.floats(0, 1e5), st.booleans()),
        min_size=1,
        max_size=20,
    ),
    st.floats(1e-3, 1e6),
)
def test_any_history_has_a_chart_within_its_bounds(
    values: list[tuple[float | None, float, float | None, float, bool]], interval: float
) -> None:
    polls = [
        poll(offset, uncertainty, reported=reported, seconds=seconds, stepped=stepped)
        for offset, uncertainty, reported, seconds, stepped in values
    ]
    chart = drawn(*polls, interval=interval)
    places = [x for box in chart.polls for x in (box.x + box.width / 2,)]
    assert all(-0.1 <= place <= 100.1 for place in places)
    assert len(chart.times) <= 15
    if chart.offsets is not None:
        assert all(-0.01 <= y <= 100.01 for y in heights(chart.offsets.line))
        assert all(0 <= y <= 100 for y in heights(chart.offsets.reported))
        assert 1 <= len(chart.offsets.ticks) <= 15
