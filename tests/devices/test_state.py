"""The account of a device's polls."""

from exporter.clock.host import HostTime
from exporter.clock.http_time import CallTimes
from exporter.clock.offset import SECOND_NS
from exporter.devices.state import MAX_ERROR_KINDS, DeviceState, ErrorKind, PollOutcome
from exporter.vapix.errors import ApiError, DeviceError, PollTimeout, UnexpectedStatus
from exporter.vapix.ntp_info import Reading
from tests.support.devices import outcome

READING = Reading("1.0", None, server_present=False)


def recorded(*results: Reading | DeviceError) -> DeviceState:
    state = DeviceState()
    for n, result in enumerate(results):
        state.record(outcome(1000.0 + n * 60, 0.5, result, began_steady=n * 60.0))
    return state


def test_a_reading_is_there_until_a_poll_fails() -> None:
    assert recorded(READING).last.reading is READING
    failed = recorded(READING, PollTimeout("late"))
    assert failed.last.reading is None
    assert failed.client is None
    assert failed.last.error is not None


def test_an_error_is_there_until_a_poll_succeeds() -> None:
    assert recorded(PollTimeout("late"), READING).last.error is None


def test_polls_and_failures_are_counted() -> None:
    state = recorded(READING, PollTimeout("a"), PollTimeout("b"), READING, PollTimeout("c"))
    assert (state.polls, state.failures, state.last.consecutive_failures) == (5, 3, 1)


def test_errors_are_counted_by_reason_and_code() -> None:
    state = recorded(ApiError("x", 1000), PollTimeout("a"), ApiError("y", 1000))
    assert state.errors == {ErrorKind("api_error", "1000"): 2, ErrorKind("timeout", ""): 1}


def test_a_device_that_invents_codes_does_not_open_series_without_end() -> None:
    state = recorded(*(UnexpectedStatus("x", code) for code in range(1000)))
    assert len(state.errors) <= MAX_ERROR_KINDS
    assert sum(state.errors.values()) == 1000
    assert state.last.kind == ErrorKind("http_status", "")


def test_the_start_of_an_outage_is_kept_until_it_ends() -> None:
    assert recorded(READING, PollTimeout("a"), PollTimeout("b")).down_since_steady == 60
    assert recorded(PollTimeout("a"), READING).down_since_steady is None


def test_the_last_success_survives_failures() -> None:
    assert recorded(READING, PollTimeout("a")).last_success_steady == 0.5


def test_every_poll_is_remembered_with_its_reason() -> None:
    state = recorded(READING, ApiError("x", 1000))
    told = [
        (poll.ended_unix, poll.reason, poll.code)
        for poll in state.history.polls(HostTime(100 * SECOND_NS, 1100 * SECOND_NS))
    ]
    assert told == [(1000.5, None, None), (1060.5, "api_error", 1000)]


def test_the_history_moves_with_the_hosts_clock() -> None:
    history = recorded(READING).history
    for unix in (1000, 9000, 5):
        now = HostTime(100 * SECOND_NS, (100 + unix) * SECOND_NS)
        assert [poll.ended_unix for poll in history.polls(now)] == [unix + 0.5]


def test_a_poll_began_before_it_was_held_and_before_it_took_its_time() -> None:
    late = PollTimeout("late")
    ended = PollOutcome(
        HostTime(10_000_000_000, 0), 2_000_000_000, late, CallTimes(held_ns=3_000_000_000)
    )
    assert ended.began_steady_seconds == 5
    assert ended.duration_seconds == 2
