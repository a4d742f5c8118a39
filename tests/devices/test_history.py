"""The last polls of a device, packed and told again."""

import math
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.clock.host import HostTime
from exporter.clock.http_time import ResponseTimes
from exporter.clock.offset import SECOND_NS, Offset
from exporter.devices.device import Device
from exporter.devices.history import (
    HIGHEST_CODE,
    KEPT,
    LONGEST_SECONDS,
    History,
    Poll,
    PollRecord,
)
from exporter.vapix.errors import REASONS, ApiError, DeviceError, PollTimeout, UnexpectedStatus
from exporter.vapix.ntp_info import Reading
from tests.support.devices import make_device, outcome
from tests.support.readings import ntp_client

CLASSES = {kind.reason: kind for kind in DeviceError.__subclasses__()}
DAY_SECONDS = 86_400
FULL_BEFORE_BYTES = 1366
"""What a full history took before it had uncertainties, reported offsets and steps."""


def kept(*polls: tuple[float, PollRecord], now: float = 2**31) -> list[Poll]:
    history = History()
    for poll in polls:
        history.add(*poll)
    now_ns = round(now) * SECOND_NS
    return history.polls(HostTime(now_ns, now_ns + 10**12))


def test_a_device_that_was_never_polled_has_none() -> None:
    assert kept() == []


OFFSETS = st.none() | st.builds(
    Offset, st.floats(-1e9, 1e9, width=32), st.floats(0, 1000) | st.floats(0, 0.001)
)


@given(
    st.integers(0, 90 * DAY_SECONDS),
    st.floats(0, 60_000),
    OFFSETS,
    st.none() | st.floats(-LONGEST_SECONDS, LONGEST_SECONDS),
    st.none() | st.sampled_from(REASONS),
    st.none() | st.integers(0, HIGHEST_CODE),
    st.booleans(),
)
def test_a_poll_is_told_as_it_was(
    ended: int,
    seconds: float,
    offset: Offset | None,
    reported: float | None,
    reason: str | None,
    code: int | None,
    stepped: bool,  # noqa: FBT001
) -> None:
    error: Any = None if reason is None else CLASSES[reason]("x", code)
    record = PollRecord(seconds, error, offset, reported, stepped)
    [poll] = kept((ended, record), now=ended + 40 * DAY_SECONDS)
    assert poll.ended_unix == 1000 + ended
    assert math.isclose(poll.duration_seconds, seconds, rel_tol=1e-3, abs_tol=1e-7)
    assert (poll.reason, poll.code) == (reason, code if reason else None)
    assert poll.stepped == stepped
    assert (poll.measured is None) == (offset is None)
    if reported is None:
        assert poll.reported_offset_seconds is None
    else:
        shown = poll.reported_offset_seconds
        assert shown is not None
        assert math.isclose(shown, reported, rel_tol=1e-3, abs_tol=1e-7)


@given(st.floats(-1e9, 1e9), st.floats(0, 1000) | st.floats(0, 0.001))
def test_a_kept_interval_contains_the_measured_one_and_is_little_wider(
    seconds: float, uncertainty: float
) -> None:
    [poll] = kept((0.0, PollRecord(0.1, None, Offset(seconds, uncertainty))), now=0)
    assert poll.measured is not None
    kept_seconds, kept_uncertainty, _ = poll.measured
    rounding = 1e-9 * kept_uncertainty
    assert kept_seconds - kept_uncertainty <= seconds - uncertainty + rounding
    assert kept_seconds + kept_uncertainty >= seconds + uncertainty - rounding
    wider = 1.1 * (uncertainty + abs(seconds) * 1e-7)
    assert kept_uncertainty <= max(wider, 1e-6)


def test_a_reported_offset_that_does_not_fit_is_left_out() -> None:
    for reported in (1e6, -1e6, LONGEST_SECONDS * 1.001):
        [poll] = kept((0.0, PollRecord(0.1, None, None, reported)))
        assert poll.reported_offset_seconds is None


@pytest.mark.parametrize("code", [HIGHEST_CODE + 1, 2**63, -1])
def test_a_code_that_no_api_gives_is_forgotten_and_its_reason_is_not(code: int) -> None:
    [poll] = kept((1.0, PollRecord(0.1, ApiError("x", code))))
    assert (poll.reason, poll.code) == ("api_error", None)


def test_the_last_hundred_are_kept_oldest_first() -> None:
    count = 2 * KEPT + 30
    polls = kept(*((float(n), PollRecord(0.1, None)) for n in range(count)), now=count)
    assert [poll.ended_unix for poll in polls] == list(range(1000 + KEPT + 30, 1000 + count))


def test_times_stay_right_for_rare_polls_though_their_high_bits_are_not_kept() -> None:
    ended = [n * 40.0 * DAY_SECONDS for n in range(KEPT)]
    polls = kept(*((each, PollRecord(0.1, None)) for each in ended), now=ended[-1] + 10)
    assert [poll.ended_unix - 1000 for poll in polls] == ended


def test_failures_stay_where_they_were_in_the_row() -> None:
    errors = [PollTimeout("x") if n % 3 else None for n in range(KEPT + 1)]
    polls = kept(*((float(n), PollRecord(0.1, error)) for n, error in enumerate(errors)))
    assert [poll.reason for poll in polls] == ["timeout" if e else None for e in errors[1:]]


def test_it_takes_14_bytes_a_poll_and_no_more_for_ever() -> None:
    history = History()
    for n in range(3 * KEPT):
        history.add(float(n), PollRecord(0.1, UnexpectedStatus("x", 500)))
        assert len(history._records) == 14 * min(n + 1, KEPT)
    assert len(history) == KEPT
    full_bytes = sys.getsizeof(history) + sys.getsizeof(history._records)
    assert full_bytes <= FULL_BEFORE_BYTES + 150


@pytest.mark.parametrize(("ended", "seconds"), [(-1.0, 0.1), (2.0**33, 0.1), (1.0, 1e9)])
def test_no_clock_and_no_wait_is_too_odd_to_be_kept(ended: float, seconds: float) -> None:
    assert len(kept((ended, PollRecord(seconds, None)))) == 1


def polled(subject: Device, steady: float, date_unix: int, reported: float) -> None:
    sent_ns = round(steady * SECOND_NS)
    date = {10: "Thu, 01 Jan 1970 00:00:10 GMT", 80: "Thu, 01 Jan 1970 00:01:20 GMT"}[date_unix]
    seen = ResponseTimes(sent_ns, sent_ns + 1_000_000, date)
    client = ntp_client(enabled=True, synced=True, offset_seconds=reported)
    reading = Reading("1.0", client, server_present=False)
    subject.state.record(outcome(steady, 0.5, reading, steady, (seen,)))


def test_a_device_keeps_what_its_polls_measured_and_reported_and_the_steps() -> None:
    subject = make_device()
    polled(subject, 10.0, 10, 0.25)
    polled(subject, 70.0, 80, -0.5)
    first, second = subject.state.history.polls(HostTime(100 * SECOND_NS, 100 * SECOND_NS))
    assert (first.stepped, second.stepped) == (False, True)
    assert (first.reported_offset_seconds, second.reported_offset_seconds) == (0.25, -0.5)
    assert first.measured is not None
    assert abs(first.measured.seconds - 0.505) < 0.01
    assert 0.5 < first.measured.uncertainty_seconds < 0.56
    assert second.measured is not None
    assert abs(second.measured.seconds - 10.505) < 0.01
