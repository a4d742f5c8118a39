"""What is known about one device: counters, and what its last poll showed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from exporter.clock.estimator import DeviceClock
from exporter.clock.host import HostTime
from exporter.clock.http_time import CallTimes, clock_samples
from exporter.clock.offset import SECOND_NS, Offset
from exporter.config import Expect
from exporter.devices.compliance import find_mismatches
from exporter.devices.history import History
from exporter.vapix.errors import REASONS, DeviceError, PollTimeout
from exporter.vapix.ntp_info import NtpClientReading, NtpSettings, NtpStatus, Reading

MAX_ERROR_KINDS: Final = 64
"""The most (reason, code) pairs of one device: it chooses its codes, but the memory is ours."""


class PollOutcome(NamedTuple):
    """How a poll ended, and when. `duration_ns` leaves out `times.held_ns`."""

    ended: HostTime
    duration_ns: int
    result: Reading | DeviceError
    times: CallTimes = CallTimes()

    @property
    def duration_seconds(self) -> float:
        """How long the device took, seconds."""
        return self.duration_ns / SECOND_NS

    @property
    def began_steady_seconds(self) -> float:
        """When the poll began, on the host's steady clock."""
        return (self.ended.steady_ns - self.duration_ns - self.times.held_ns) / SECOND_NS

    @property
    def ready_after_ns(self) -> int | None:
        """How long it took until the request could leave; `None` without a response."""
        if not self.times.responses:
            return None
        return self.times.responses[0].sent_ns - (self.ended.steady_ns - self.duration_ns)


class ErrorKind(NamedTuple):
    """The labels of an error: `reason`, and `code` as text, empty if there is none."""

    reason: str
    code: str = ""

    @classmethod
    def of(cls, error: DeviceError) -> ErrorKind:
        """Return the kind of a device's error."""
        return cls(error.reason, "" if error.code is None else str(error.code))


class Success(NamedTuple):
    """The last poll got a reading; `mismatches` is `None` if nothing is expected."""

    reading: Reading
    mismatches: tuple[str, ...] | None


class Failure(NamedTuple):
    """The last poll failed. `kind` may lack the error's code: see `MAX_ERROR_KINDS`.

    `answered` tells whether the device sent any HTTP response.
    """

    error: DeviceError
    kind: ErrorKind
    answered: bool


class Transition(NamedTuple):
    """What a poll changed: `None` for nothing.

    `down_seconds`: the device answers again, after so long. `step_seconds`: its clock stepped,
    and did not at the poll before.
    """

    down_seconds: float | None = None
    step_seconds: float | None = None


_NO_CLIENT: Final = NtpClientReading()


@dataclass(slots=True)
class DeviceState:
    """The polls of a device so far. Only the poller changes it.

    Times are in seconds. `last` is how the last poll ended, `None` before the first.
    """

    expect: Expect = field(default_factory=Expect)
    last: Success | Failure | None = None
    polls: int = 0
    failures: int = 0
    errors: dict[ErrorKind, int] = field(default_factory=dict)
    failures_in_a_row: int = 0
    down_since_steady: float | None = None
    last_poll_unix: float | None = None
    last_poll_seconds: float | None = None
    last_success_unix: float | None = None
    next_poll_unix: float | None = None
    clock: DeviceClock = field(default_factory=DeviceClock)
    history: History = field(default_factory=History)

    @property
    def up(self) -> bool | None:
        """Whether the last poll got a reading; `None` before the first."""
        return None if self.last is None else isinstance(self.last, Success)

    @property
    def answered(self) -> bool:
        """Whether the last poll got any HTTP response: even a 401 shows the device's clock."""
        return isinstance(self.last, Success) or (self.last is not None and self.last.answered)

    @property
    def reading(self) -> Reading | None:
        """The last poll's reading, if it got one."""
        return self.last.reading if isinstance(self.last, Success) else None

    @property
    def client(self) -> NtpClientReading | None:
        """The reading's client section, if there is one."""
        return None if self.reading is None else self.reading.client

    @property
    def client_present(self) -> bool | None:
        """Whether the reading has a client section; `None` without a reading."""
        return None if self.reading is None else self.reading.client is not None

    @property
    def server_present(self) -> bool | None:
        """Whether the reading has a server section; `None` without a reading."""
        return None if self.reading is None else self.reading.server_present

    @property
    def settings(self) -> NtpSettings:
        """The settings of the NTP client; every field is `None` without a client section."""
        return (self.client or _NO_CLIENT).settings

    @property
    def status(self) -> NtpStatus:
        """The status of the NTP client; every field is `None` without a client section."""
        return (self.client or _NO_CLIENT).status

    @property
    def error(self) -> DeviceError | None:
        """The last poll's error, if it failed."""
        return self.last.error if isinstance(self.last, Failure) else None

    @property
    def last_error(self) -> ErrorKind | None:
        """The kind of the last poll's error, if it failed."""
        return self.last.kind if isinstance(self.last, Failure) else None

    @property
    def mismatches(self) -> tuple[str, ...] | None:
        """The parameters that differ from `expect`; `None` without a reading or expectations."""
        return self.last.mismatches if isinstance(self.last, Success) else None

    @property
    def compliant(self) -> bool | None:
        """Whether no parameter differs from `expect`; `None` if that is not known."""
        return None if self.mismatches is None else not self.mismatches

    @property
    def consecutive_failures(self) -> int | None:
        """Failed polls since the last success; `None` before the first poll."""
        return None if self.last is None else self.failures_in_a_row

    @property
    def description(self) -> tuple[str, str] | None:
        """The servers' source and the API version, empty if not reported.

        `None` without a client section.
        """
        if self.reading is None or self.reading.client is None:
            return None
        source = self.reading.client.settings.servers_source
        return source or "", self.reading.api_version or ""

    def clock_offset(self, now: HostTime) -> Offset | None:
        """Return the measured offset; `None` if unknown or if the last poll got no response."""
        return self.clock.offset(now) if self.answered else None

    def as_unanswered(self) -> DeviceState:
        """Return a copy for a device that has not answered yet: no reading, the same counters."""
        error = PollTimeout("no response yet")
        return replace(self, last=Failure(error, ErrorKind.of(error), answered=False))

    def set_expect(self, expect: Expect) -> None:
        """Compare the last reading with other expectations."""
        self.expect = expect
        if isinstance(self.last, Success):
            self.last = self._succeed(self.last.reading)

    def record(self, outcome: PollOutcome) -> Transition:
        """Record how a poll ended; return what it changed."""
        down_since, stepped_before = self.down_since_steady, self.clock.last_step_seconds
        self.polls += 1
        self.last_poll_unix = outcome.ended.unix_seconds
        self.last_poll_seconds = outcome.duration_seconds
        samples = clock_samples(outcome.times.responses, outcome.ended.year)
        self.clock.take_poll(samples, outcome.ready_after_ns)
        step_seconds = self.clock.last_step_seconds if stepped_before is None else None
        if isinstance(outcome.result, DeviceError):
            self.last = self._fail(outcome, outcome.result)
            self._remember(outcome)
            return Transition(step_seconds=step_seconds)
        self.last = self._succeed(outcome.result)
        self.last_success_unix = self.last_poll_unix
        self.failures_in_a_row, self.down_since_steady = 0, None
        self._remember(outcome)
        down_seconds = None if down_since is None else outcome.began_steady_seconds - down_since
        return Transition(down_seconds, step_seconds)

    def _succeed(self, reading: Reading) -> Success:
        expects = bool(self.expect.named())
        return Success(reading, find_mismatches(self.expect, reading.client) if expects else None)

    def _fail(self, outcome: PollOutcome, error: DeviceError) -> Failure:
        self.failures += 1
        self.failures_in_a_row += 1
        if self.down_since_steady is None:
            self.down_since_steady = outcome.began_steady_seconds
        kind = ErrorKind.of(error)
        if kind not in self.errors and len(self.errors) >= MAX_ERROR_KINDS - len(REASONS):
            kind = ErrorKind(kind.reason)
        self.errors[kind] = self.errors.get(kind, 0) + 1
        return Failure(error, kind, answered=bool(outcome.times.responses))

    def _remember(self, outcome: PollOutcome) -> None:
        answered = bool(outcome.times.responses)
        offset = self.clock.rough_offset_seconds(outcome.ended) if answered else None
        ended = outcome.ended.unix_seconds
        self.history.add(ended, outcome.duration_seconds, offset, self.error)
