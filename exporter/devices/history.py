"""The last polls of a device, packed into twelve bytes each to save memory."""

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from exporter.clock.host import HostTime
from exporter.vapix.errors import REASONS, DeviceError

KEPT: Final = 100
"""The number of polls that are kept."""

HIGHEST_CODE: Final = 0xFFE
"""A higher error code is not kept; those of the API and of HTTP are lower."""

# Tenths of a steady second, duration in seconds (half precision), clock offset, reason and code.
_POLL: Final = struct.Struct("<IefH")
_SIZE: Final = _POLL.size
_LONGEST_SECONDS: Final = 65_504.0
_PER_SECOND: Final = 10
_CODE_BITS: Final = 12
_NO_CODE: Final = 0xFFF
_NUMBER_OF: Final = {reason: number << _CODE_BITS for number, reason in enumerate(REASONS, 1)}


class Poll(NamedTuple):
    """How a poll ended, and when in Unix seconds, to a tenth.

    `reason` is `None` after a success. `clock_offset_seconds` is the measured offset after the
    poll, `None` while unknown.
    """

    ended_unix: float
    duration_seconds: float
    clock_offset_seconds: float | None
    reason: str | None
    code: int | None


@dataclass(slots=True, eq=False)
class History:
    """The last polls, oldest first; its memory grows with them."""

    _records: bytearray = field(default_factory=bytearray)
    _next: int = 0

    def add(
        self,
        ended_steady: float,
        duration_seconds: float,
        clock_offset_seconds: float | None,
        error: DeviceError | None,
    ) -> None:
        """Add a poll that ended then; it replaces the oldest once there are `KEPT`."""
        records, at = self._records, self._next
        if at == len(records):
            records += bytes(_SIZE)
        _POLL.pack_into(
            records,
            at,
            round(ended_steady * _PER_SECOND) & 0xFFFFFFFF,
            min(duration_seconds, _LONGEST_SECONDS),
            math.nan if clock_offset_seconds is None else clock_offset_seconds,
            0 if error is None else _failure(error),
        )
        self._next = (at + _SIZE) % (KEPT * _SIZE)

    def __len__(self) -> int:
        return len(self._records) // _SIZE

    def polls(self, now: HostTime) -> Iterator[Poll]:
        """Yield the polls, oldest first, with their times as the wall clock counts them now."""
        oldest_first = self._records[self._next :] + self._records[: self._next]
        return (_unpacked(now, *fields) for fields in _POLL.iter_unpack(oldest_first))


def _failure(error: DeviceError) -> int:
    code = error.code
    kept = _NO_CODE if code is None or not 0 <= code <= HIGHEST_CODE else code
    return _NUMBER_OF[error.reason] | kept


def _unpacked(
    now: HostTime, ended: int, duration_seconds: float, offset: float, result: int
) -> Poll:
    number, code = result >> _CODE_BITS, result & _NO_CODE
    return Poll(
        now.unix_seconds_at(ended / _PER_SECOND),
        duration_seconds,
        None if math.isnan(offset) else offset,
        REASONS[number - 1] if number else None,
        code if number and code != _NO_CODE else None,
    )
