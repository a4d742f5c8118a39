"""Dates in HTTP's three formats, and times in nonces, which count if they agree with the date."""

import base64
import calendar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.clock.http_time import ResponseTimes, clock_sample, nonce_time_us, parse_date
from exporter.clock.offset import MICROSECOND_NS, SECOND_NS, ClockSample

THIS_YEAR = 2026
NOON = calendar.timegm((2026, 11, 22, 12, 0, 0))
DATE = "Sun, 22 Nov 2026 12:00:00 GMT"
SENT, RECEIVED = 10 * SECOND_NS, 10 * SECOND_NS + 20_000_000


def nonce(device_us: int, tail: str = "0a1b2c3d4e5f") -> str:
    return base64.b64encode(device_us.to_bytes(8, "little", signed=True)).decode() + tail


def response(date: str | None = DATE, *nonces: str) -> ResponseTimes:
    return ResponseTimes(SENT, RECEIVED, date, nonces)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        (DATE, (2026, 11, 22, 12, 0, 0)),
        ("Sunday, 22-Nov-26 12:00:00 GMT", (2026, 11, 22, 12, 0, 0)),
        ("Sun Nov 22 12:00:00 2026", (2026, 11, 22, 12, 0, 0)),
        ("Sun Nov  1 12:00:00 2026", (2026, 11, 1, 12, 0, 0)),
        ("Thu, 01 Jan 1970 00:00:00 GMT", (1970, 1, 1, 0, 0, 0)),
        ("Sun, 07 Feb 2106 06:28:16 GMT", (2106, 2, 7, 6, 28, 16)),
        ("Fri, 31 Dec 9999 23:59:59 GMT", (9999, 12, 31, 23, 59, 59)),
        ("Tuesday, 29-Feb-00 00:00:00 GMT", (2000, 2, 29, 0, 0, 0)),
        ("Sunday, 06-Nov-94 08:49:37 GMT", (1994, 11, 6, 8, 49, 37)),
        ("Sunday, 06-Nov-76 08:49:37 GMT", (2076, 11, 6, 8, 49, 37)),
        ("Sunday, 06-Nov-77 08:49:37 GMT", (1977, 11, 6, 8, 49, 37)),
    ],
)
def test_a_date_is_parsed_in_each_of_the_three_formats(text: str, moment: tuple[int, ...]) -> None:
    assert parse_date(text, THIS_YEAR) == calendar.timegm(moment)


def test_a_leap_second_is_the_second_after_the_59th() -> None:
    leap = parse_date("Sat, 31 Dec 2016 23:59:60 GMT", THIS_YEAR)
    assert leap == calendar.timegm((2017, 1, 1, 0, 0, 0))


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "now",
        "Sun, 22 Nov 2026 12:00:00",
        "Sun, 22 Nov 2026 12:00:00 CET",
        "Sun, 22 Nov 2026 24:00:00 GMT",
        "Sun, 22 Nov 2026 12:60:00 GMT",
        "Sun, 22 Nov 2026 12:00:61 GMT",
        "Sun, 31 Nov 2026 12:00:00 GMT",
        "Sun, 00 Nov 2026 12:00:00 GMT",
        "Sun, 29 Feb 2026 12:00:00 GMT",
        "Sun, 22 Nix 2026 12:00:00 GMT",
        "Wed, 31 Dec 1969 23:59:59 GMT",
        "Sun, 22 Nov 0000 12:00:00 GMT",
        "Sun, 22 Nov 2026 12:00:00 GMT\n",
        "Sun, \u0662\u0662 Nov 2026 12:00:00 GMT",
    ],
)
def test_other_texts_are_not_a_date(text: str | None) -> None:
    assert parse_date(text, THIS_YEAR) is None


@given(st.text())
def test_parsing_a_date_never_raises(text: str) -> None:
    parse_date(text, THIS_YEAR)


def test_a_nonce_begins_with_microseconds_as_apaches_does() -> None:
    # Recorded from Debian's apache2 at Sun, 22 Nov 2026 18:02:39 GMT.
    moment = calendar.timegm((2026, 11, 22, 18, 2, 39)) * 1_000_000 + 123_456
    assert nonce_time_us(nonce(moment)) == moment


@pytest.mark.parametrize(
    "odd", ["", "short", "bm9uY2U=", "!" * 40, "A" * 40, "\u00e9" * 20, "A=" * 9]
)
def test_a_nonce_in_another_format_is_ignored(odd: str) -> None:
    assert nonce_time_us(odd) is None


@given(st.text(max_size=60))
def test_parsing_a_nonce_never_raises(text: str) -> None:
    nonce_time_us(text)
    clock_sample(response(DATE, text), THIS_YEAR)


def test_a_nonce_that_agrees_with_the_date_is_a_point() -> None:
    seen = clock_sample(response(DATE, nonce(NOON * 1_000_000 + 654_321)), THIS_YEAR)
    assert seen == ClockSample.of(NOON * SECOND_NS + 654_321_000, MICROSECOND_NS, SENT, RECEIVED)


@pytest.mark.parametrize("off_us", [-20_000, 1_029_999])
def test_a_nonce_agrees_within_the_dates_second_the_round_trip_and_the_lag(off_us: int) -> None:
    seen = clock_sample(response(DATE, nonce(NOON * 1_000_000 + off_us)), THIS_YEAR)
    assert seen is not None
    assert seen.is_point


@pytest.mark.parametrize("off_us", [-20_001, 1_030_001, 3_600_000_000, -(2**62), 2**62])
def test_a_nonce_that_disagrees_with_the_date_is_ignored(off_us: int) -> None:
    seen = clock_sample(response(DATE, nonce(NOON * 1_000_000 + off_us)), THIS_YEAR)
    assert seen == ClockSample.of(NOON * SECOND_NS, SECOND_NS, SENT, RECEIVED)


def test_of_several_nonces_the_one_that_agrees_is_used() -> None:
    good = nonce(NOON * 1_000_000 + 1)
    seen = clock_sample(response(DATE, "x", nonce(0), good), THIS_YEAR)
    assert seen == ClockSample.of(NOON * SECOND_NS + 1_000, MICROSECOND_NS, SENT, RECEIVED)


@pytest.mark.parametrize("date", [None, "nonsense"])
def test_without_a_date_a_nonce_is_ignored(date: str | None) -> None:
    assert clock_sample(response(date, nonce(NOON * 1_000_000)), THIS_YEAR) is None
