"""The device's clock in an HTTP response: its `Date`, and the time in a Digest nonce.

`Date`: RFC 9110 section 5.6.7. Nonce: the undocumented format of Apache's mod_auth_digest, which
Axis devices run. Values in any other format are ignored.
"""

import base64
import binascii
import calendar
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final, NamedTuple

from exporter.clock.offset import DATE_LAG_NS, MICROSECOND_NS, SECOND_NS, ClockSample

_NONCE_TIME: Final = re.compile(r"[A-Za-z0-9+/]{11}=")
_MONTHS: Final = "Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec"
_MONTH: Final = rf"(?P<month>{_MONTHS})"
_TIME: Final = r"(?P<hour>[01]\d|2[0-3]):(?P<minute>[0-5]\d):(?P<second>[0-5]\d|60)"
_DATE_FORMATS: Final = tuple(
    re.compile(pattern, re.ASCII)
    for pattern in (
        rf"[A-Z][a-z]{{2}}, (?P<day>\d\d) {_MONTH} (?P<year>\d{{4}}) {_TIME} GMT",
        rf"[A-Z][a-z]{{5,8}}, (?P<day>\d\d)-{_MONTH}-(?P<year>\d\d) {_TIME} GMT",
        rf"[A-Z][a-z]{{2}} {_MONTH} (?P<day>[ \d]\d) {_TIME} (?P<year>\d{{4}})",
    )
)
"""IMF-fixdate, and the obsolete formats of RFC 850 and of C's asctime()."""

_FIRST_YEAR: Final = 1970
_CENTURY: Final = 100
_SHORT_YEAR_HORIZON: Final = 50


class ResponseTimes(NamedTuple):
    """The device times in one HTTP response, and the steady nanoseconds around the exchange.

    `sent_ns`: just before the request was sent; `received_ns`: the response's head had arrived.
    """

    sent_ns: int
    received_ns: int
    date: str | None
    nonces: tuple[str, ...] = ()


class CallTimes(NamedTuple):
    """The HTTP responses of one API call, oldest first.

    `held_ns` is how long its first request waited, on a ready connection, for its time to leave.
    """

    responses: tuple[ResponseTimes, ...] = ()
    held_ns: int = 0


def clock_samples(responses: Iterable[ResponseTimes], this_year: int) -> list[ClockSample]:
    """Return the samples of all responses that contain one."""
    samples = (clock_sample(response, this_year) for response in responses)
    return [sample for sample in samples if sample is not None]


def clock_sample(response: ResponseTimes, this_year: int) -> ClockSample | None:
    """Return the most precise sample in a response, or `None` without a valid `Date`.

    The nonce format is undocumented, so a nonce only counts if it agrees with the `Date` of the
    same response: within that second, plus or minus the round trip, or up to `DATE_LAG_NS` later.
    """
    second = parse_date(response.date, this_year)
    if second is None:
        return None
    round_trip_ns = response.received_ns - response.sent_ns
    for nonce in response.nonces:
        device_us = nonce_time_us(nonce)
        if device_us is None:
            continue
        since_date_ns = device_us * 1_000 - second * SECOND_NS
        if -round_trip_ns <= since_date_ns < SECOND_NS + DATE_LAG_NS + round_trip_ns:
            return ClockSample.of(device_us * 1_000, MICROSECOND_NS, *response[:2])
    return ClockSample.of(second * SECOND_NS, SECOND_NS, *response[:2])


def nonce_time_us(nonce: str) -> int | None:
    """Return the Unix microseconds at the start of an Apache nonce, `None` for any other nonce."""
    if not _NONCE_TIME.match(nonce):
        return None
    try:
        time = base64.b64decode(nonce[:12], validate=True)
    except binascii.Error:
        return None
    return int.from_bytes(time, "little", signed=True)


@lru_cache(maxsize=256)  # devices that are polled at the same time send the same few dates
def parse_date(text: str | None, this_year: int) -> int | None:
    """Return the Unix seconds of a `Date` in any of HTTP's three formats, else `None`.

    A two-digit year is taken to be at most 50 years after `this_year` (RFC 9110 section 5.6.7). A
    leap second counts as the first second of the next minute.
    """
    if text is None:
        return None
    found = next((match for form in _DATE_FORMATS if (match := form.fullmatch(text))), None)
    if found is None:
        return None
    year = _full_year(found["year"], this_year)
    month = _MONTHS.split("|").index(found["month"]) + 1
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
