"""The chart of the last polls."""

from exporter.devices.history import Poll
from exporter.web.pages.chart import HEIGHT, MIN_SLOTS, SLOT, draw


def poll(seconds: float, offset: float | None = None, reason: str | None = None) -> Poll:
    return Poll(1_000_000_000, seconds, offset, reason, None)


def test_a_device_that_was_never_polled_has_no_chart() -> None:
    assert draw([]) is None


def test_a_bar_is_as_high_as_its_poll_took_and_starts_at_the_bottom() -> None:
    chart = draw([poll(1.0), poll(0.5), poll(0.0)])
    assert chart is not None
    assert [bar.height for bar in chart.bars[:2]] == [HEIGHT, HEIGHT / 2]
    assert all(bar.y + bar.height == HEIGHT for bar in chart.bars)
    assert chart.bars[2].height > 0
    assert chart.longest == "1.00 s"


def test_the_newest_poll_is_on_the_right() -> None:
    chart = draw([poll(1.0), poll(1.0)])
    assert chart is not None
    assert chart.width == MIN_SLOTS * SLOT
    assert chart.bars[-1].x + chart.bars[-1].width <= chart.width < chart.bars[-1].x + SLOT
    full = draw([poll(1.0)] * 100)
    assert full is not None
    assert 0 <= full.bars[0].x < SLOT
    assert full.width == 100 * SLOT


def test_a_failed_poll_is_described_in_text() -> None:
    chart = draw([poll(0.01), poll(10.0, reason="timeout")])
    assert chart is not None
    assert [bar.failed for bar in chart.bars] == [False, True]
    assert chart.bars[1].title == "2001-09-09 01:46:40: timeout, 10.0 s"
    assert chart.failed == 1
    assert "2 polls from 2001-09-09 01:46:40 to" in chart.summary
    assert "1 of them failed; the longest took 10.0 s" in chart.summary


def test_without_a_measured_offset_there_is_no_line() -> None:
    chart = draw([poll(1.0)])
    assert chart is not None
    assert chart.line is None


def test_the_line_has_gaps_where_the_offset_is_unknown_and_always_includes_zero() -> None:
    chart = draw([poll(1, -1.0), poll(1, -2.0), poll(1), poll(1, -1.0)])
    assert chart is not None
    assert chart.line is not None
    assert chart.line.path.count("M") == 2
    assert chart.line.path.count("L") == 1
    assert (chart.line.highest, chart.line.lowest) == ("0", "-2.000 s")
    assert 0 <= chart.line.zero_y < HEIGHT / 2


def test_an_offset_of_exactly_zero_is_drawn_too() -> None:
    chart = draw([poll(1, 0.0)])
    assert chart is not None
    assert chart.line is not None
    assert chart.line.path
