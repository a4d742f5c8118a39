"""The last polls of a device, packed and told again."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.clock.host import HostTime
from exporter.devices.history import HIGHEST_CODE, KEPT, History, Poll
from exporter.vapix.errors import REASONS, ApiError, DeviceError, PollTimeout, UnexpectedStatus

CLASSES = {kind.reason: kind for kind in DeviceError.__subclasses__()}


def kept(*polls: tuple[float, float, float | None, DeviceError | None]) -> list[Poll]:
    history = History()
    for poll in polls:
        history.add(*poll)
    return list(history.polls(HostTime(0, 10**12)))


def test_a_device_that_was_never_polled_has_none() -> None:
    assert kept() == []


@given(
    st.integers(0, 2**32 // 10),
    st.floats(0, 60_000),
    st.none() | st.floats(-1e9, 1e9, width=32),
    st.none() | st.sampled_from(REASONS),
    st.none() | st.integers(0, HIGHEST_CODE),
)
def test_a_poll_is_told_as_it_was(
    ended: int, seconds: float, offset: float | None, reason: str | None, code: int | None
) -> None:
    error: Any = None if reason is None else CLASSES[reason]("x", code)
    [poll] = kept((ended, seconds, offset, error))
    assert poll.ended_unix == 1000 + ended
    assert math.isclose(poll.duration_seconds, seconds, rel_tol=1e-3, abs_tol=1e-7)
    assert poll.clock_offset_seconds == offset
    assert (poll.reason, poll.code) == (reason, code if reason else None)


@pytest.mark.parametrize("code", [HIGHEST_CODE + 1, 2**63, -1])
def test_a_code_that_no_api_gives_is_forgotten_and_its_reason_is_not(code: int) -> None:
    [poll] = kept((1.0, 0.1, None, ApiError("x", code)))
    assert (poll.reason, poll.code) == ("api_error", None)


def test_the_last_hundred_are_kept_oldest_first() -> None:
    polls = kept(*((float(n), 0.1, None, None) for n in range(2 * KEPT + 30)))
    assert [poll.ended_unix for poll in polls] == list(
        range(1000 + KEPT + 30, 1000 + 2 * KEPT + 30)
    )


def test_failures_stay_where_they_were_in_the_row() -> None:
    errors = [PollTimeout("x") if n % 3 else None for n in range(KEPT + 1)]
    polls = kept(*((float(n), 0.1, None, error) for n, error in enumerate(errors)))
    assert [poll.reason for poll in polls] == ["timeout" if e else None for e in errors[1:]]


def test_it_takes_twelve_bytes_a_poll_and_no_more_for_ever() -> None:
    history = History()
    for n in range(3 * KEPT):
        history.add(float(n), 0.1, None, UnexpectedStatus("x", 500))
        assert len(history._records) == 12 * min(n + 1, KEPT)
    assert len(history) == KEPT


@pytest.mark.parametrize(("ended", "seconds"), [(-1.0, 0.1), (2.0**33, 0.1), (1.0, 1e9)])
def test_no_clock_and_no_wait_is_too_odd_to_be_kept(ended: float, seconds: float) -> None:
    assert len(kept((ended, seconds, None, None))) == 1
