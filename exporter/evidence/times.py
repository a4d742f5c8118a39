"""Moments as people write them: RFC 3339, or local times with a time zone. Pure."""

import difflib
import re
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_FIRST: Final = datetime(1, 1, 2, tzinfo=UTC) - _EPOCH
_LAST: Final = datetime(9999, 12, 30, tzinfo=UTC) - _EPOCH
_MONTHS: Final = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
_YEARS: Final = range(1970, 9999)

_UNNAMED: Final = frozenset({"localtime", "Factory"})
"""What is among the time zones but is none: the host's own, and a placeholder."""

_TIME: Final = re.compile(
    r"(?P<date>\d{4}-\d{2}-\d{2})[Tt ](?P<clock>\d{2}:\d{2}(?::(?P<second>\d{2}))?)"
    r"(?:[.,](?P<fraction>\d{1,9}))?(?P<zone>[Zz]|[+-]\d{2}:\d{2})?",
    re.ASCII,
)


def format_utc(unix_ns: int) -> str:
    """Return `2026-11-20 14:03:22 UTC`, with milliseconds if there are any; rounded."""
    return f"{format_local(round(unix_ns / 1_000_000), None)} UTC"


def format_local(unix_ms: int, zone: ZoneInfo | None) -> str:
    """Return `2026-11-20 14:03:22` in a time zone, with milliseconds if there are any."""
    return _moment(unix_ms * 1000, zone).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3].removesuffix(".000")


def format_date(unix_ns: int, zone: ZoneInfo | None) -> str:
    """Return `20 November 2026` in a time zone."""
    moment = _moment(unix_ns // 1000, zone)
    return f"{moment.day} {_MONTHS[moment.month - 1]} {moment.year}"


def format_clock_time(unix_ms: int, zone: ZoneInfo | None, same_day_ns: int) -> str:
    """Return `14:03:22.123` in a time zone, with the date unless it is that of `same_day_ns`."""
    time = format_local(unix_ms, zone).partition(" ")[2]
    date = format_date(unix_ms * 1_000_000, zone)
    return time if date == format_date(same_day_ns, zone) else f"{time} on {date}"


def format_utc_offset(unix_ns: int, zone: ZoneInfo) -> str:
    """Return `UTC+01:00`: how far a time zone is from UTC at a moment."""
    return f"UTC{_moment(unix_ns // 1000, zone).isoformat()[-6:]}"


def format_rfc3339(unix_us: int) -> str:
    """Return `2026-11-20T14:03:22.123456Z`."""
    return _moment(unix_us, None).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _moment(microseconds: int, zone: ZoneInfo | None) -> datetime:
    # A device's clock may show any year; a day at each end is for the time zone.
    limited = min(max(microseconds, _microseconds(_FIRST)), _microseconds(_LAST))
    return (_EPOCH + timedelta(microseconds=limited)).astimezone(zone or UTC)


def _microseconds(elapsed: timedelta) -> int:
    return elapsed // timedelta(microseconds=1)


def parse_zone(name: str) -> ZoneInfo:
    """Return the time zone of this name. Raises `ValueError`."""
    known = available_timezones() - _UNNAMED
    if not known:
        raise ValueError("this host has no time zones: install its package tzdata")
    if name in known:
        return ZoneInfo(name)
    by_lower_case = {each.lower(): each for each in known}
    close = difflib.get_close_matches(name.lower(), by_lower_case, n=1)
    hint = f": did you mean {by_lower_case[close[0]]}?" if close else ""
    raise ValueError(f"{name!r} is not a time zone such as Europe/Stockholm{hint}")


def parse_time(text: str, zone: ZoneInfo | None) -> int:
    """Return the Unix time, in ns, of an RFC 3339 time, or of a local one in `zone`.

    A leap second, 23:59:60 UTC, is the first second after it, as in Unix time. Raises `ValueError`,
    also for a local time that does not exist, or that exists twice.
    """
    match = _TIME.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a time such as 2026-11-20T14:03:22Z")
    is_leap = match["second"] == "60"
    clock = f"{match['clock'][:-2]}59" if is_leap else match["clock"]
    try:
        moment = datetime.fromisoformat(f"{match['date']}T{clock}")
    except ValueError as error:
        raise ValueError(f"{text!r} is not a time: {error}") from None
    if moment.year not in _YEARS:
        raise ValueError(f"{text!r} is not a time: the year must be within 1970 to 9998")
    fraction_ns = int((match["fraction"] or "").ljust(9, "0"))
    moment = _placed(moment, match["zone"], zone, text)
    if is_leap and moment.astimezone(UTC).strftime("%H:%M") != "23:59":
        raise ValueError(f"{text!r} is not a time: a leap second is at 23:59:60 UTC only")
    moment += timedelta(seconds=is_leap)
    return _microseconds(moment - _EPOCH) * 1000 + fraction_ns


def _placed(moment: datetime, offset: str | None, zone: ZoneInfo | None, text: str) -> datetime:
    """Return a moment with its offset from UTC, or that of the time zone. Raises `ValueError`."""
    if offset is not None:
        return datetime.fromisoformat(f"{moment.isoformat()}{offset.upper()}")
    if zone is None:
        raise ValueError(
            f"{text!r} has no offset from UTC: add one (2026-11-20T14:03:22Z, "
            "2026-11-20T15:03:22+01:00), or name its time zone with --timezone=Europe/Stockholm"
        )
    first, second = (moment.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
    if first.utcoffset() == second.utcoffset():
        return first.astimezone(UTC)
    if first.astimezone(UTC).astimezone(zone).replace(tzinfo=None) == moment:
        raise ValueError(
            f"{text!r} was twice in {zone.key}, as clocks were set back: write "
            f"{first.isoformat()} or {second.isoformat()}"
        )
    # The clock went from before to after: the two readings that the gap separates.
    before, after = (each.astimezone(UTC).astimezone(zone) for each in (second, first))
    raise ValueError(
        f"{text!r} did not exist in {zone.key}, as clocks were set forward: write "
        f"{before.isoformat()} or {after.isoformat()}"
    )
