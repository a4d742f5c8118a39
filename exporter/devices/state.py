"""What is known about one device: counters, and what its last poll showed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import ClassVar, Final, NamedTuple, Self

from exporter.clock.drift import Drift
from exporter.clock.estimator import DeviceClock
from exporter.clock.host import HostTime
from exporter.clock.http_time import CallTimes, clock_samples
from exporter.clock.motion import ClockEvent
from exporter.clock.offset import SECOND_NS, Offset
from exporter.config import Expect
from exporter.devices.history import History, PollRecord
from exporter.vapix.errors import REASONS, DeviceError, PollTimeout
from exporter.vapix.identity import UNKNOWN_IDENTITY, DeviceIdentity
from exporter.vapix.ntp_info import CLOCK_ONLY, NtpClientReading, Reading

MAX_ERROR_KINDS: Final = 64
"""The most (reason, code) pairs of one device: it chooses its codes, but the memory is ours."""


class PollOutcome(NamedTuple):
    """How a poll ended, and when. `duration_ns` leaves out `times.held_ns`.

    `identity` is what the client has seen since it was made.
    """

    ended: HostTime
    duration_ns: int
    result: Reading | DeviceError
    times: CallTimes = CallTimes()
    identity: DeviceIdentity = UNKNOWN_IDENTITY

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


_NO_ERRORS: Final[Mapping["ErrorKind", int]] = MappingProxyType({})
"""One object for all devices without errors."""


class ErrorKind(NamedTuple):
    """The labels of an error: `reason`, and `code` as text, empty if there is none."""

    reason: str
    code: str = ""

    @classmethod
    def of(cls, error: DeviceError) -> Self:
        """Return the kind of a device's error."""
        return cls(error.reason, "" if error.code is None else str(error.code))


class _WithoutReading:
    """What is not known is `None`, as in `Success`."""

    __slots__ = ()

    reading: ClassVar[None] = None
    client: ClassVar[NtpClientReading] = NtpClientReading()
    client_present: ClassVar[None] = None
    server_present: ClassVar[None] = None
    description: ClassVar[None] = None
    mismatches: ClassVar[None] = None
    compliant: ClassVar[None] = None


@dataclass(frozen=True, slots=True)
class NotPolled(_WithoutReading):
    """There was no poll yet."""

    up: ClassVar[None] = None
    answered: ClassVar[bool] = False
    error: ClassVar[None] = None
    kind: ClassVar[None] = None
    consecutive_failures: ClassVar[None] = None


@dataclass(frozen=True, slots=True)
class Success:
    """The last poll got a reading.

    `client` has only `None` in its fields if the reading has no client section. `client_present`
    and `server_present` are `None` if the API was not asked. `description` is the servers' source
    and the API version, empty if not reported. `mismatches` are the parameters that differ from
    `expect`, and `compliant` is whether there are none; `None` without an `expect`. They are
    fields, not properties, because the exposition reads them at every poll.
    """

    reading: Reading
    client: NtpClientReading
    client_present: bool | None
    server_present: bool | None
    description: tuple[str, str] | None
    mismatches: tuple[str, ...] | None
    compliant: bool | None

    up: ClassVar[bool] = True
    answered: ClassVar[bool] = True
    error: ClassVar[None] = None
    kind: ClassVar[None] = None
    consecutive_failures: ClassVar[int] = 0

    @classmethod
    def of(cls, reading: Reading, expect: Expect) -> Self:
        """Compare a reading with what is expected."""
        client = reading.client
        mismatches = expect.find_mismatches(client) if expect.named() else None
        description = None
        if client is not None:
            description = (client.settings.servers_source or "", reading.api_version or "")
        return cls(
            reading=reading,
            client=client or NotPolled.client,
            client_present=None if reading is CLOCK_ONLY else client is not None,
            server_present=reading.server_present,
            description=description,
            mismatches=mismatches,
            compliant=None if mismatches is None else not mismatches,
        )


@dataclass(frozen=True, slots=True)
class Failure(_WithoutReading):
    """The last poll failed.

    `kind` may lack the error's code: see `MAX_ERROR_KINDS`. `answered` is whether the device sent
    any HTTP response: even a 401 shows the device's clock.
    """

    error: DeviceError
    kind: ErrorKind
    answered: bool
    consecutive_failures: int | None

    up: ClassVar[bool] = False


class Transition(NamedTuple):
    """What a poll changed.

    `down_seconds`: the device answers again, after so long; `None` if it was not down.
    `clock_events`: how its clock moved, without a step if the poll before showed one too.
    """

    down_seconds: float | None = None
    clock_events: Sequence[ClockEvent] = ()


@dataclass(slots=True)
class DeviceState:
    """The polls of a device so far. Only the poller changes it. Durations are in seconds.

    Times are seconds on the host's steady clock: `HostTime.unix_seconds_at` converts them when
    they are shown, so that a step of the wall clock makes none of them wrong. `last_client` is
    that of the last reading, however many polls have failed since. `problem` is what the last
    reading showed to be wrong first, empty if nothing, and `problem_since_steady` since when.
    `reported_offset_changed_steady` is when the reported offset was first seen to be what it is;
    `None` while it is absent or 0, because a device may report 0 while it knows nothing. It is a
    field, not a property, because every scrape reads it.
    """

    expect: Expect = field(default_factory=Expect)
    last: NotPolled | Success | Failure = NotPolled()
    last_client: NtpClientReading = NotPolled.client
    polls: int = 0
    failures: int = 0
    errors: Mapping[ErrorKind, int] = field(default_factory=lambda: _NO_ERRORS)
    down_since_steady: float | None = None
    last_poll_steady: float | None = None
    last_poll_seconds: float | None = None
    last_success_steady: float | None = None
    next_poll_steady: float | None = None
    clock: DeviceClock = field(default_factory=DeviceClock)
    reported_offset_changed_steady: float | None = None
    _reported_offset_seconds: float | None = None
    _reported_offset_since_steady: float | None = None
    history: History = field(default_factory=History)
    identity: DeviceIdentity = UNKNOWN_IDENTITY
    problem: str = ""
    problem_since_steady: float | None = None

    @property
    def client(self) -> NtpClientReading | None:
        """The client section of the last poll's reading, if there is one."""
        return self.last.client if self.last.client_present else None

    def clock_offset(self, now: HostTime) -> Offset | None:
        """Return the measured offset; `None` if unknown or if the last poll got no response."""
        return self.clock.offset(now) if self.last.answered else None

    @property
    def clock_drift(self) -> Drift | None:
        """The clock's drift; `None` if unknown or if the last poll got no response."""
        return self.clock.drift if self.last.answered else None

    def as_unanswered(self) -> Self:
        """Return a copy for a device that has not answered yet: no reading, the same counters."""
        error = PollTimeout("no response yet")
        count = self.last.consecutive_failures
        return replace(
            self,
            last=Failure(error, ErrorKind.of(error), answered=False, consecutive_failures=count),
            reported_offset_changed_steady=None,
        )

    def set_expect(self, expect: Expect) -> None:
        """Compare the last reading with other expectations."""
        self.expect = expect
        if isinstance(self.last, Success):
            self.last = Success.of(self.last.reading, expect)

    def record(self, outcome: PollOutcome) -> Transition:
        """Record how a poll ended; return what it changed."""
        self.polls += 1
        self.last_poll_steady = outcome.ended.steady_seconds
        self.last_poll_seconds = outcome.duration_seconds
        if outcome.identity is not UNKNOWN_IDENTITY:
            self.identity = outcome.identity
        clock_events = self._record_clock(outcome)
        down_seconds = None
        if isinstance(outcome.result, DeviceError):
            self._record_failure(outcome, outcome.result)
        else:
            down_seconds = self._record_success(outcome, outcome.result)
        self.history.add(self.last_poll_steady, self._poll_record(outcome))
        return Transition(down_seconds, clock_events)

    def _poll_record(self, outcome: PollOutcome) -> PollRecord:
        return PollRecord(
            outcome.duration_seconds,
            self.last.error,
            self.clock_offset(outcome.ended),
            self.last.client.status.reported_offset_seconds,
            any(event.kind == "stepped" for event in self.clock.events),
        )

    def _record_clock(self, outcome: PollOutcome) -> Sequence[ClockEvent]:
        """Return how the clock moved, without a step if the poll before showed one too."""
        stepped_before = any(event.kind == "stepped" for event in self.clock.events)
        samples = clock_samples(outcome.times.responses, outcome.ended.year)
        self.clock.take_poll(samples, outcome.ready_after_ns)
        if not stepped_before:
            return self.clock.events
        return [event for event in self.clock.events if event.kind != "stepped"]

    def _record_success(self, outcome: PollOutcome, reading: Reading) -> float | None:
        """Return for how long the device was down, if it was."""
        down_since, self.down_since_steady = self.down_since_steady, None
        self.last = Success.of(reading, self.expect)
        self.last_client = self.last.client
        self.last_success_steady = self.last_poll_steady
        reported = self.last.client.status.reported_offset_seconds
        if reported != self._reported_offset_seconds:
            self._reported_offset_seconds = reported
            self._reported_offset_since_steady = self.last_poll_steady
        since_steady = self._reported_offset_since_steady
        self.reported_offset_changed_steady = since_steady if reported else None
        return None if down_since is None else outcome.began_steady_seconds - down_since

    def _record_failure(self, outcome: PollOutcome, error: DeviceError) -> None:
        self.failures += 1
        self.reported_offset_changed_steady = None
        if self.down_since_steady is None:
            self.down_since_steady = outcome.began_steady_seconds
        kind = ErrorKind.of(error)
        if kind not in self.errors and len(self.errors) >= MAX_ERROR_KINDS - len(REASONS):
            kind = ErrorKind(kind.reason)
        self.errors = {**self.errors, kind: self.errors.get(kind, 0) + 1}
        answered = bool(outcome.times.responses)
        self.last = Failure(error, kind, answered, (self.last.consecutive_failures or 0) + 1)
