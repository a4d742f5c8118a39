"""Offsets as a person reads them."""

import pytest

from exporter.clock.offset import Offset
from exporter.system.offsets import format_clock, format_offset


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, ""),
        (0.0, "+0.0 µs"),
        (0.0000211, "+21.1 µs"),
        (-0.0123, "-12.300 ms"),
        (-3.25, "-3.250 s"),
        (7200.0, "+2.00 h"),
        (-1.7e9, "-19,675.9 days"),
    ],
)
def test_an_offset_is_told_in_the_unit_a_person_would_choose(
    seconds: float | None, text: str
) -> None:
    assert format_offset(seconds) == text


def test_a_clock_is_told_with_what_it_may_be_off_by() -> None:
    assert format_clock(Offset(-1.8, 0.0003)) == "-1.800 s ± 300.0 µs"
    assert not format_clock(None)
