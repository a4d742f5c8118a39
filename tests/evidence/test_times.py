"""Moments as people write them, and those that a time zone has twice or not at all."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.clock.offset import SECOND_NS
from exporter.evidence.times import format_rfc3339, format_utc, parse_time, parse_zone

STOCKHOLM = ZoneInfo("Europe/Stockholm")
NOON = 1_795_183_402 * SECOND_NS
"""2026-11-20 14:03:22 UTC."""


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
        ("2026-11-20T14:02:60Z", -22 * SECOND_NS),  # a leap second is the second after it
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


@pytest.mark.parametrize("name", ["", "Mars/Olympus", "../etc/passwd", "/etc/passwd", "a\0b"])
def test_what_is_no_time_zone_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is not a time zone such as Europe/Stockholm"):
        parse_zone(name)


@given(st.datetimes(datetime(1970, 1, 2), datetime(2100, 1, 1)), st.sampled_from([None, STOCKHOLM]))  # noqa: DTZ001
def test_a_time_reads_back_as_it_was_written(moment: datetime, zone: ZoneInfo | None) -> None:
    microseconds = round((moment.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(microseconds=1))  # fmt: skip  # noqa: E501
    assert parse_time(format_rfc3339(microseconds), zone) == microseconds * 1000


def test_times_for_people_have_milliseconds_only_if_there_are_any() -> None:
    assert format_utc(NOON) == "2026-11-20 14:03:22 UTC"
    assert format_utc(NOON + 1_400_000) == "2026-11-20 14:03:22.001 UTC"
