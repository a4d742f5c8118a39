"""What an HTTP answer shows of the device's clock: its `Date`, and the time in a digest nonce.

RFC 9110 section 5.6.7 (dates); for the nonce, Apache's mod_auth_digest as found in the field.
Whatever cannot be read is ignored: a device owes us no clock.
"""

from __future__ import annotations

import base64
import binascii
import calendar
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final, NamedTuple

from exporter.clock.offset import SECOND_NS, ClockSample

_NONCE_TIME: Final = re.compile(r"[A-Za-z0-9+/]{11}=")
_MONTHS: Final = (
    "Jan",
    "Feb",
    "Mar",
    "Apr",
    "May",
    "Jun",
    "Jul",
    "Aug",
    "Sep",
    "Oct",
    "Nov",
    "Dec",
)
_MONTH: Final = rf"(?P<month>{'|'.join(_MONTHS)})"
_TIME: Final = r"(?P<hour>[01]\d|2[0-3]):(?P<minute>[0-5]\d):(?P<second>[0-5]\d|60)"
_DATE_FORMATS: Final = tuple(
    re.compile(pattern, re.ASCII)
    for pattern in (
        rf"[A-Z][a-z]{{2}}, (?P<day>\d\d) {_MONTH} (?P<year>\d{{4}}) {_TIME} GMT",
        rf"[A-Z][a-z]{{5,8}}, (?P<day>\d\d)-{_MONTH}-(?P<year>\d\d) {_TIME} GMT",
        rf"[A-Z][a-z]{{2}} {_MONTH} (?P<day>[ \d]\d) {_TIME} (?P<year>\d{{4}})",
    )
)
_FIRST_YEAR: Final = 1970
_CENTURY: Final = 100
_SHORT_YEAR_HORIZON: Final = 50


class ResponseTimes(NamedTuple):
    """One HTTP answer's clock readings, and the steady nanoseconds around the exchange.

    `sent_ns`: the request had not left before; `received_ns`: the answer's head had come.
    """

    sent_ns: int
    received_ns: int
    date: str | None
    nonces: tuple[str, ...] = ()


class CallTimes(NamedTuple):
    """What one call of the API showed: its responses, oldest first.

    `held_ns` is how long its first request waited on a ready connection for its time to leave.
    """

    responses: tuple[ResponseTimes, ...] = ()
    held_ns: int = 0


def clock_samples(sightings: Iterable[ResponseTimes], this_year: int) -> list[ClockSample]:
    """What sightings tell; those that tell nothing are left out."""
    seen = (clock_sample(sighting, this_year) for sighting in sightings)
    return [each for each in seen if each is not None]


def clock_sample(sighting: ResponseTimes, this_year: int) -> ClockSample | None:
    """The best that a sighting tells; `None` without a readable `Date`.

    A nonce's time is undocumented, so it counts only where it agrees with the `Date` of the same
    answer: within its second, give or take the round trip.
    """
    second = parse_date(sighting.date, this_year)
    if second is None:
        return None
    slack_ns = sighting.received_ns - sighting.sent_ns
    for nonce in sighting.nonces:
        device_us = nonce_time_us(nonce)
        if device_us is not None and _agrees(device_us * 1_000, second, slack_ns):
            return ClockSample.point(device_us, sighting.sent_ns, sighting.received_ns)
    return ClockSample.window(second, sighting.sent_ns, sighting.received_ns)


def _agrees(device_ns: int, second: int, slack_ns: int) -> bool:
    return -slack_ns <= device_ns - second * SECOND_NS < SECOND_NS + slack_ns


def nonce_time_us(nonce: str) -> int | None:
    """Microseconds since the Unix epoch, if a nonce begins with them as Apache's do."""
    if not _NONCE_TIME.match(nonce):
        return None
    try:
        time = base64.b64decode(nonce[:12], validate=True)
    except binascii.Error:
        return None
    return int.from_bytes(time, "little", signed=True)


@lru_cache(maxsize=256)  # the devices of a fleet send the same few dates at one time
def parse_date(text: str | None, this_year: int) -> int | None:
    """Unix seconds of a `Date` header in any of HTTP's three formats; `None` for anything else.

    `this_year` settles a year of two digits: not more than 50 years ahead. A leap second is the
    second after the 59th.
    """
    if text is None:
        return None
    found = next((match for form in _DATE_FORMATS if (match := form.fullmatch(text))), None)
    if found is None:
        return None
    year = _full_year(found["year"], this_year)
    month = _MONTHS.index(found["month"]) + 1
    day = int(found["day"])
    if year < _FIRST_YEAR or not 1 <= day <= calendar.monthrange(year, month)[1]:
        return None
    clock = (int(found["hour"]), int(found["minute"]), int(found["second"]))
    return calendar.timegm((year, month, day, *clock))


def _full_year(text: str, this_year: int) -> int:
    year = int(text)
    if len(text) > len("99"):
        return year
    year += this_year - this_year % _CENTURY
    return year - _CENTURY if year > this_year + _SHORT_YEAR_HORIZON else year
