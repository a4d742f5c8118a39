"""What is known of one device: its latest reading and the account of its polls."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from exporter.clock import Offset
from exporter.compliance import mismatches
from exporter.config import Expect
from exporter.device_clock import DeviceClock
from exporter.host_clock import HostTime
from exporter.reading import NtpClientReading, Reading
from exporter.vapix.errors import REASONS, DeviceError
from exporter.vapix.sighting import Sighting, observe

MAX_ERROR_KINDS = 64
"""How many (reason, code) a device may open: its codes are its own to choose, memory is ours."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a poll ended: a reading, or an error. Times in seconds: Unix, and the host's steady.

    `sightings` are the HTTP answers it got, oldest first; it was due at `due_ns`, steady.
    """

    started_unix: float
    duration_seconds: float
    result: Reading | DeviceError
    started_steady: float = 0.0
    sightings: tuple[Sighting, ...] = ()
    due_ns: int = 0

    @property
    def finished_unix(self) -> float:
        """When the poll ended, Unix seconds."""
        return self.started_unix + self.duration_seconds


@dataclass(frozen=True, slots=True)
class ErrorKind:
    """The labels of an error: `reason`, and `code` as text, empty where there is none."""

    reason: str
    code: str = ""

    @classmethod
    def of(cls, error: DeviceError) -> ErrorKind:
        """The kind of a device's error."""
        return cls(error.reason, "" if error.code is None else str(error.code))


@dataclass(slots=True)
class DeviceState:
    """A device's polls so far. Changed by the poller alone, read by everyone.

    `mismatches` are the parameters in which the last reading deviates from `expect`; `None`
    where nothing is expected, or there is no reading.
    """

    polls: int = 0
    failures: int = 0
    errors: dict[ErrorKind, int] = field(default_factory=dict)
    consecutive_failures: int = 0
    down_since_steady: float | None = None
    last_error: ErrorKind | None = None
    last: Outcome | None = None
    last_success_unix: float | None = None
    next_poll_unix: float | None = None
    expect: Expect = field(default_factory=Expect)
    mismatches: tuple[str, ...] | None = None
    clock: DeviceClock = field(default_factory=DeviceClock)

    def clock_offset(self, now: HostTime) -> Offset | None:
        """The device's clock minus the host's; `None` while unknown.

        Unknown too when the device did not answer the last poll at all: an estimate that nothing
        confirms is no longer shown.
        """
        return self.clock.offset(now) if self.last and self.last.sightings else None

    @property
    def reading(self) -> Reading | None:
        """The last poll's reading; `None` before the first and after a failed one."""
        return self.last.result if self.last and isinstance(self.last.result, Reading) else None

    @property
    def client(self) -> NtpClientReading | None:
        """The NTP client of the last poll's reading."""
        return None if self.reading is None else self.reading.client

    @property
    def error(self) -> DeviceError | None:
        """The last poll's error; `None` before the first poll and after a good one."""
        return self.last.result if self.last and isinstance(self.last.result, DeviceError) else None

    def record(self, outcome: Outcome) -> None:
        """Take in how a poll ended."""
        self.polls += 1
        self.last = outcome
        self.mismatches = self._compare(outcome.result)
        self._record_clock(outcome)
        if isinstance(outcome.result, DeviceError):
            self._record_failure(outcome, outcome.result)
        else:
            self.consecutive_failures = 0
            self.down_since_steady = None
            self.last_error = None
            self.last_success_unix = outcome.finished_unix

    def _compare(self, result: Reading | DeviceError) -> tuple[str, ...] | None:
        if isinstance(result, DeviceError) or not self.expect.named():
            return None
        return mismatches(self.expect, result.client)

    def _record_clock(self, outcome: Outcome) -> None:
        this_year = time.gmtime(outcome.started_unix).tm_year
        seen = [observe(sighting, this_year) for sighting in outcome.sightings]
        self.clock.take_poll([each for each in seen if each is not None], outcome.due_ns)

    def _record_failure(self, outcome: Outcome, error: DeviceError) -> None:
        self.failures += 1
        self.consecutive_failures += 1
        if self.down_since_steady is None:
            self.down_since_steady = outcome.started_steady
        self.last_error = self._bounded(ErrorKind.of(error))
        self.errors[self.last_error] = self.errors.get(self.last_error, 0) + 1

    def _bounded(self, kind: ErrorKind) -> ErrorKind:
        """`kind`, without its code once a device has given too many of them."""
        if kind in self.errors or len(self.errors) < MAX_ERROR_KINDS - len(REASONS):
            return kind
        return ErrorKind(kind.reason)
