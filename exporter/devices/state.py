"""What is known of one device: its latest reading and the account of its polls."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from exporter.clock.estimator import DeviceClock
from exporter.clock.host import HostTime
from exporter.clock.http_time import ResponseTimes, clock_samples
from exporter.clock.offset import SECOND_NS, Offset
from exporter.config import Expect
from exporter.devices.compliance import mismatches
from exporter.devices.history import History
from exporter.vapix.errors import REASONS, DeviceError, PollTimeout
from exporter.vapix.reading import NtpClientReading, Reading

MAX_ERROR_KINDS = 64
"""How many (reason, code) a device may open: its codes are its own to choose, memory is ours."""


class PollOutcome(NamedTuple):
    """How a poll ended, and when: a reading, or an error.

    `sightings` are the HTTP answers it got, oldest first. `held_ns`, for how long its request was
    held back, is not part of `duration_ns`.
    """

    ended: HostTime
    duration_ns: int
    result: Reading | DeviceError
    sightings: tuple[ResponseTimes, ...] = ()
    held_ns: int = 0

    @property
    def duration_seconds(self) -> float:
        """How long the device took, seconds."""
        return self.duration_ns / SECOND_NS

    @property
    def began_steady_seconds(self) -> float:
        """When the poll began, on the host's steady clock."""
        return (self.ended.steady_ns - self.duration_ns - self.held_ns) / SECOND_NS

    @property
    def ready_after_ns(self) -> int | None:
        """How long after the poll began its request could leave; `None` without an answer."""
        if not self.sightings:
            return None
        return self.sightings[0].sent_ns - (self.ended.steady_ns - self.duration_ns)


class ErrorKind(NamedTuple):
    """The labels of an error: `reason`, and `code` as text, empty where there is none."""

    reason: str
    code: str = ""

    @classmethod
    def of(cls, error: DeviceError) -> ErrorKind:
        """The kind of a device's error."""
        return cls(error.reason, "" if error.code is None else str(error.code))


_SAID_NOTHING: Final = NtpClientReading()


@dataclass(slots=True)
class DeviceState:
    """A device's polls so far, flat: what can be shown of it. Times in seconds.

    Changed by the poller alone, read by everyone. `None` is what is not known, or no longer.
    `reading`, `client` and `mismatches` (the parameters that deviate from `expect`) are those of
    the last poll if it was a good one; `error` and `last_error` those of a failed one. `shown` is
    `client`, or one that says nothing.
    """

    expect: Expect = field(default_factory=Expect)
    polls: int = 0
    failures: int = 0
    errors: dict[ErrorKind, int] = field(default_factory=dict)
    up: bool | None = None
    reading: Reading | None = None
    client: NtpClientReading | None = None
    shown: NtpClientReading = _SAID_NOTHING
    client_present: bool | None = None
    server_present: bool | None = None
    mismatches: tuple[str, ...] | None = None
    compliant: bool | None = None
    error: DeviceError | None = None
    last_error: ErrorKind | None = None
    consecutive_failures: int | None = None
    down_since_steady: float | None = None
    last_poll_unix: float | None = None
    last_success_unix: float | None = None
    last_poll_seconds: float | None = None
    next_poll_unix: float | None = None
    answered: bool = False
    clock: DeviceClock = field(default_factory=DeviceClock)
    history: History = field(default_factory=History)

    def clock_offset(self, now: HostTime) -> Offset | None:
        """The device's clock minus the host's; `None` while unknown.

        Unknown too when the device did not answer the last poll at all.
        """
        return self.clock.offset(now) if self.answered else None

    @property
    def description(self) -> tuple[str, str] | None:
        """Source of the servers and API version, empty where not said; `None` without a client."""
        if self.reading is None or self.client is None:
            return None
        return self.client.servers_source or "", self.reading.api_version or ""

    def as_unanswered(self) -> DeviceState:
        """A copy for while the device owes an answer: the reading is gone, the account stays."""
        return replace(
            self,
            up=False,
            answered=False,
            last_error=ErrorKind(PollTimeout.reason),
            reading=None,
            client=None,
            shown=_SAID_NOTHING,
            client_present=None,
            server_present=None,
            mismatches=None,
            compliant=None,
        )

    def expect_now(self, expect: Expect) -> None:
        """Hold the reading that is there against other expectations."""
        self.expect = expect
        self._compare()

    def record(self, outcome: PollOutcome) -> None:
        """Take in how a poll ended."""
        ended, result = outcome.ended, outcome.result
        self.polls += 1
        self.last_poll_unix = ended.unix_seconds
        self.last_poll_seconds = outcome.duration_seconds
        self.answered = bool(outcome.sightings)
        self._record_clock(outcome)
        if isinstance(result, DeviceError):
            self._record_failure(outcome, result)
        else:
            self._record_success(result)
        known = self.clock.rough_offset_seconds(ended) if self.answered else None
        self.history.add(self.last_poll_unix, self.last_poll_seconds, known, self.error)

    def _record_success(self, reading: Reading) -> None:
        self.up = True
        self.error = self.last_error = self.down_since_steady = None
        self.consecutive_failures = 0
        self.last_success_unix = self.last_poll_unix
        self._show(reading)

    def _record_failure(self, outcome: PollOutcome, error: DeviceError) -> None:
        self.up = False
        self.failures += 1
        self.consecutive_failures = (self.consecutive_failures or 0) + 1
        if self.down_since_steady is None:
            self.down_since_steady = outcome.began_steady_seconds
        self.error = error
        self.last_error = self._bounded(ErrorKind.of(error))
        self.errors[self.last_error] = self.errors.get(self.last_error, 0) + 1
        self._show(None)

    def _show(self, reading: Reading | None) -> None:
        self.reading = reading
        self.client = None if reading is None else reading.client
        self.shown = self.client or _SAID_NOTHING
        self.client_present = None if reading is None else reading.client is not None
        self.server_present = None if reading is None else reading.server_present
        self._compare()

    def _compare(self) -> None:
        expected = self.reading is not None and bool(self.expect.named())
        self.mismatches = mismatches(self.expect, self.client) if expected else None
        self.compliant = None if self.mismatches is None else not self.mismatches

    def _record_clock(self, outcome: PollOutcome) -> None:
        seen = clock_samples(outcome.sightings, outcome.ended.year)
        self.clock.take_poll(seen, outcome.ready_after_ns)

    def _bounded(self, kind: ErrorKind) -> ErrorKind:
        """`kind`, without its code once a device has given too many of them."""
        if kind in self.errors or len(self.errors) < MAX_ERROR_KINDS - len(REASONS):
            return kind
        return ErrorKind(kind.reason)
