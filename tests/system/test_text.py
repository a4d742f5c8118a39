"""Durations, offsets, counts and numbers as text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.clock.offset import Offset
from exporter.system.text import (
    format_clock,
    format_duration,
    format_magnitude,
    format_offset,
    parse_digits,
    parse_duration,
    plural,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("0s", 0),
        ("30s", 30),
        ("1m30s", 90),
        ("500ms", 0.5),
        ("1h", 3600),
        ("1d", 86_400),
        ("1w", 604_800),
        ("1y", 31_536_000),
        ("2h45m", 9900),
    ],
)
def test_a_duration_is_parsed_as_prometheus_does(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "30", "1.5s", "-1s", "1s1m", "1s ", " 1s", "1x", "s", "1S", "٣s"]
)
def test_an_invalid_duration_is_rejected_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration such as 30s, 1m30s or 500ms"):
        parse_duration(text)


@given(st.integers(min_value=0, max_value=10**12))
def test_a_formatted_duration_parses_to_the_same_value(milliseconds: int) -> None:
    assert parse_duration(format_duration(milliseconds / 1000)) == pytest.approx(
        milliseconds / 1000
    )


def test_a_duration_is_formatted_in_its_shortest_form() -> None:
    assert format_duration(90) == "1m30s"
    assert format_duration(0.25) == "250ms"
    assert format_duration(0) == "0s"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, ""),
        (0.0, "+0.000 ms"),
        (-1e-9, "+0.000 ms"),
        (0.0000211, "+0.021 ms"),
        (-0.0123, "-12.300 ms"),
        (-0.9999994, "-999.999 ms"),
        (-0.9999996, "-1.000 s"),
        (-3.25, "-3.250 s"),
        (3599.9994, "+3599.999 s"),
        (3599.9996, "+1.00 h"),
        (7200.0, "+2.00 h"),
        (86_399.0, "+1.0 days"),
        (-1.7e9, "-19,675.9 days"),
    ],
)
def test_an_offset_is_formatted_in_a_readable_unit(seconds: float | None, text: str) -> None:
    assert format_offset(seconds) == text


@given(st.floats(-2e10, 2e10))
def test_no_formatted_offset_reaches_the_next_unit(seconds: float) -> None:
    number, unit = format_offset(seconds).split()
    most = {"ms": 1000, "s": 3600, "h": 24}
    assert abs(float(number.replace(",", ""))) < most.get(unit, 1e9)
    size, unit = format_magnitude(seconds).split()
    assert float(size.replace(",", "")) < most.get(unit, 1e9)


def test_a_measured_offset_is_formatted_with_its_uncertainty() -> None:
    assert format_clock(Offset(-1.8, 0.0003)) == "-1.800 s ± 0.300 ms"
    assert not format_clock(None)


@pytest.mark.parametrize(
    ("offset", "text"),
    [
        (Offset(0.262835, 0.499711, is_date_only=True), "within ±0.8 s (Date only)"),
        (Offset(0.0, 0.5, is_date_only=True), "within ±0.5 s (Date only)"),
        (Offset(-0.1, 0.505, is_date_only=True), "within ±0.7 s (Date only)"),
        (Offset(-0.1, 0.505), "within ±0.7 s"),  # a slow answer with a nonce
        (Offset(0.249, 0.249, is_date_only=True), "+249.000 ms ± 249.000 ms"),
        (Offset(0.6, 0.505, is_date_only=True), "+0.6 s ± 0.6 s (Date only)"),
        (Offset(-30.5049, 0.505, is_date_only=True), "-30.5 s ± 0.6 s (Date only)"),
        (Offset(7205.0, 0.505, is_date_only=True), "+2.00 h ± 5.6 s (Date only)"),
        (Offset(-86_400.0 * 366, 0.505, is_date_only=True), "-366.0 days ± 0.6 s (Date only)"),
        (Offset(5.0, 4000.0), "within ±1.2 h"),
    ],
)
def test_a_rough_offset_is_not_told_in_milliseconds(offset: Offset, text: str) -> None:
    assert format_clock(offset) == text


SIZES = {"s": 1, "h": 3600, "days": 86_400}


@given(st.floats(-1e9, 1e9), st.floats(0.25, 1e5))
def test_all_of_a_rough_interval_is_within_its_text(seconds: float, uncertainty: float) -> None:
    text = format_clock(Offset(seconds, uncertainty)).replace(",", "")
    allowed = 1e-9 * max(1.0, abs(seconds))
    if text.startswith("within"):
        bound, unit = text.removeprefix("within ±").split()
        middle, half = 0.0, float(bound) * SIZES[unit]
    else:
        shown, unit, _, bound, of_bound = text.split()
        middle, half = float(shown) * SIZES[unit], float(bound) * SIZES[of_bound]
        assert abs(seconds) > uncertainty, "0 is not within"
    assert middle - half <= seconds - uncertainty + allowed
    assert middle + half >= seconds + uncertainty - allowed


def test_a_noun_is_plural_unless_the_count_is_one() -> None:
    assert [plural(count, "device") for count in (0, 1, 2)] == ["devices", "device", "devices"]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0),
        ("007", 7),
        ("100", 100),
        ("101", None),
        ("", None),
        ("-1", None),
        ("+1", None),
        (" 1", None),
        ("1_0", None),
        ("²", None),
        ("٣", None),
        ("1" * 5000, None),
    ],
)
def test_only_ascii_digits_up_to_the_largest_number_are_parsed(
    text: str, number: int | None
) -> None:
    assert parse_digits(text, 100) == number
