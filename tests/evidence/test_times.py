"""Moments as people write them, and those that a time zone has twice or not at all."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.clock.offset import SECOND_NS
from exporter.evidence.times import (
    format_clock_time,
    format_date,
    format_local,
    format_rfc3339,
    format_utc,
    parse_time,
    parse_zone,
)

STOCKHOLM = ZoneInfo("Europe/Stockholm")
NOON = 1_795_183_402 * SECOND_NS
"""2026-11-20 14:03:22 UTC."""
LEAP = 1_483_228_800 * SECOND_NS - NOON
"""The start of 2017, UTC."""


@pytest.mark.parametrize(
    ("text", "since_noon_ns"),
    [
        ("2026-11-20T14:03:22Z", 0),
        ("2026-11-20 14:03:22z", 0),
        ("2026-11-20T15:03:22+01:00", 0),
        ("2026-11-20t09:03:22.5-05:00", 500_000_000),
        ("2026-11-20T14:03:22.000000001Z", 1),
        ("2026-11-20T14:03:22,25Z", 250_000_000),
        ("2026-11-20T14:03Z", -22 * SECOND_NS),
        ("2026-11-20T14:03:22.123456789+00:00", 123_456_789),
        ("2016-12-31T23:59:60Z", LEAP),  # a leap second is the second after it
        ("2017-01-01T00:59:60+01:00", LEAP),
    ],
)
def test_a_time_with_an_offset_is_read(text: str, since_noon_ns: int) -> None:
    assert parse_time(text, None) - NOON == since_noon_ns
    assert parse_time(text, STOCKHOLM) - NOON == since_noon_ns


def test_a_local_time_is_one_of_the_time_zone() -> None:
    assert parse_time("2026-11-20T15:03:22", STOCKHOLM) == NOON
    assert parse_time("2026-07-20T16:03:22", STOCKHOLM) == parse_time("2026-07-20T14:03:22Z", None)


def test_a_local_time_needs_a_time_zone() -> None:
    with pytest.raises(ValueError, match=r"has no offset from UTC.* --timezone=Europe/Stockholm"):
        parse_time("2026-11-20T15:03:22", None)


def test_a_time_that_was_twice_is_refused_with_both_possibilities() -> None:
    with pytest.raises(ValueError, match="was twice") as refused:
        parse_time("2026-10-25T02:30:00", STOCKHOLM)
    assert str(refused.value) == (
        "'2026-10-25T02:30:00' was twice in Europe/Stockholm, as clocks were set back: write "
        "2026-10-25T02:30:00+02:00 or 2026-10-25T02:30:00+01:00"
    )


def test_a_time_that_was_not_is_refused_with_both_possibilities() -> None:
    with pytest.raises(ValueError, match="did not exist") as refused:
        parse_time("2026-03-29T02:30:00", STOCKHOLM)
    assert str(refused.value) == (
        "'2026-03-29T02:30:00' did not exist in Europe/Stockholm, as clocks were set forward: "
        "write 2026-03-29T01:30:00+01:00 or 2026-03-29T03:30:00+02:00"
    )


@pytest.mark.parametrize(
    "text",
    ["", "now", "1795183402", "2026-13-01T00:00:00Z", "2026-11-20T25:00:00Z", "2026-11-20", "٢٠٢٦"],
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a time"):
        parse_time(text, None)


@pytest.mark.parametrize(
    "name",
    [
        *("", "Mars/Olympus", "../etc/passwd", "/etc/passwd", "a\0b"),
        # Some hosts have these: zones with leap seconds, and the host's own.
        *("right/Europe/Stockholm", "posix/Europe/Stockholm", "localtime", "Factory"),
    ],
)
def test_what_is_no_time_zone_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is not a time zone such as Europe/Stockholm"):
        parse_zone(name)


def test_a_time_zone_in_the_wrong_case_has_a_hint() -> None:
    with pytest.raises(ValueError, match=r"Stockholm: did you mean Europe/Stockholm\?$"):
        parse_zone("europe/stockholm")


def test_second_60_is_only_where_leap_seconds_are() -> None:
    with pytest.raises(ValueError, match="a leap second is at 23:59:60 UTC only"):
        parse_time("2026-11-20T14:03:60Z", None)


@given(st.datetimes(datetime(1970, 1, 2), datetime(2100, 1, 1)), st.sampled_from([None, STOCKHOLM]))  # noqa: DTZ001
def test_a_time_reads_back_as_it_was_written(moment: datetime, zone: ZoneInfo | None) -> None:
    microseconds = round((moment.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(microseconds=1))  # fmt: skip  # noqa: E501
    assert parse_time(format_rfc3339(microseconds), zone) == microseconds * 1000


def test_times_for_people_have_milliseconds_only_if_there_are_any() -> None:
    assert format_utc(NOON) == "2026-11-20 14:03:22 UTC"
    assert format_utc(NOON + 1_400_000) == "2026-11-20 14:03:22.001 UTC"


@given(st.integers(-(10**30), 10**30), st.sampled_from([None, STOCKHOLM]))
def test_any_moment_can_be_written(unix_ns: int, zone: ZoneInfo | None) -> None:
    """A device's clock may show any year."""
    assert format_utc(unix_ns).endswith(" UTC")
    assert format_local(unix_ns // 10**6, zone)
    assert format_clock_time(unix_ns // 10**6, zone, unix_ns + 1)
    assert format_rfc3339(unix_ns // 1000).endswith("Z")


TIMES = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?(\.\d+)?(Z|[+-]\d\d:\d\d)?"


@given(st.from_regex(TIMES, fullmatch=True), st.sampled_from([None, STOCKHOLM]))
def test_any_text_is_a_time_or_is_refused(text: str, zone: ZoneInfo | None) -> None:
    with suppress(ValueError):
        assert isinstance(parse_time(text, zone), int)


def test_the_date_is_left_out_if_it_is_that_of_the_question() -> None:
    assert format_clock_time(NOON // 10**6 + 7, None, NOON) == "14:03:22.007"
    assert format_clock_time(NOON // 10**6, STOCKHOLM, NOON) == "15:03:22"
    tomorrow = NOON // 10**6 + 86_400_000
    assert format_clock_time(tomorrow, None, NOON) == "14:03:22 on 21 November 2026"
    assert format_date(NOON, STOCKHOLM) == "20 November 2026"
