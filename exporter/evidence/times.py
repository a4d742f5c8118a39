"""Moments as people write them: RFC 3339, or local times with a time zone. Pure."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from exporter.clock.offset import SECOND_NS

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

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


def format_rfc3339(unix_us: int) -> str:
    """Return `2026-11-20T14:03:22.123456Z`."""
    return _moment(unix_us, None).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _moment(microseconds: int, zone: ZoneInfo | None) -> datetime:
    return (_EPOCH + timedelta(microseconds=microseconds)).astimezone(zone or UTC)


def parse_zone(name: str) -> ZoneInfo:
    """Return a time zone by its name. Raises `ValueError`."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{name!r} is not a time zone such as Europe/Stockholm") from None


def parse_time(text: str, zone: ZoneInfo | None) -> int:
    """Return the Unix time, in ns, of an RFC 3339 time, or of a local one in `zone`.

    Second 60, a leap second, is the first second after it, as in Unix time. Raises `ValueError`,
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
    fraction_ns = int((match["fraction"] or "").ljust(9, "0"))
    moment = _placed(moment, match["zone"], zone, text) + timedelta(seconds=is_leap)
    return round((moment - _EPOCH) / timedelta(seconds=1)) * SECOND_NS + fraction_ns


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
