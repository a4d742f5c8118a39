"""The last polls of a device, packed into 14 bytes each to save memory."""

import math
import struct
from dataclasses import dataclass
from typing import Final, NamedTuple

from exporter.clock.host import HostTime
from exporter.clock.offset import Offset
from exporter.vapix.errors import REASONS, DeviceError

KEPT: Final = 100
"""The number of polls that are kept."""

HIGHEST_CODE: Final = 0xFFE
"""A higher error code is not kept; those of the API and of HTTP are lower."""

LONGEST_SECONDS: Final = 65_504.0
"""The largest number of half precision: longer polls are kept as this, larger reported offsets not
at all."""

# Time, step and uncertainty, see `_packed_time`; duration in seconds; measured offset; reported
# offset; reason and code. Half precision has three digits.
_POLL: Final = struct.Struct("<IefeH")
_SIZE: Final = _POLL.size

_PER_SECOND: Final = 2
_TIME_MASK: Final = (1 << 23) - 1
_STEPPED: Final = 1 << 23
_UNCERTAINTY_SHIFT: Final = 24
_LEAST_UNCERTAINTY_SECONDS: Final = 1e-6
_LEVELS_PER_DOUBLING: Final = 8
_HIGHEST_LEVEL: Final = 255
_FLOAT_ROUNDING: Final = 2**-24

_CODE_BITS: Final = 12
_NO_CODE: Final = 0xFFF
_NUMBER_OF: Final = {reason: number << _CODE_BITS for number, reason in enumerate(REASONS, 1)}


class PollRecord(NamedTuple):
    """What is kept of a poll. The offsets are those after it, `None` while unknown.

    `stepped` is whether it showed a step of the device's clock.
    """

    duration_seconds: float
    error: DeviceError | None
    measured: Offset | None = None
    reported_offset_seconds: float | None = None
    stepped: bool = False


class Poll(NamedTuple):
    """A kept poll, and when it ended in Unix seconds, to half a second.

    `reason` is `None` after a success. The uncertainty of the measured offset is rounded up by up
    to 9 %, the duration and the reported offset are rounded to three digits.
    """

    ended_unix: float
    duration_seconds: float
    reason: str | None
    code: int | None
    measured: Offset | None = None
    reported_offset_seconds: float | None = None
    stepped: bool = False


@dataclass(slots=True, eq=False)
class History:
    """The last polls, oldest first; its memory grows with them."""

    # Copied at each poll: without a position and spare room, this takes the least memory.
    _records: bytes = b""

    def add(self, ended_steady: float, poll: PollRecord) -> None:
        """Add a poll that ended then; it replaces the oldest once there are `KEPT`."""
        measured, reported = poll.measured, poll.reported_offset_seconds
        record = _POLL.pack(
            _packed_time(ended_steady, measured, stepped=poll.stepped),
            min(poll.duration_seconds, LONGEST_SECONDS),
            math.nan if measured is None else measured.seconds,
            math.nan if reported is None or abs(reported) > LONGEST_SECONDS else reported,
            0 if poll.error is None else _failure(poll.error),
        )
        self._records = (self._records + record)[-KEPT * _SIZE :]

    def __len__(self) -> int:
        return len(self._records) // _SIZE

    def polls(self, now: HostTime) -> list[Poll]:
        """Return the polls, oldest first, with their times as the wall clock counts them now."""
        newest_first: list[Poll] = []
        later = math.floor(now.steady_seconds * _PER_SECOND)
        for fields in reversed(list(_POLL.iter_unpack(self._records))):
            # The high bits of a time are not kept: it is the last one before the next poll's.
            later -= (later - fields[0]) & _TIME_MASK
            newest_first.append(_unpacked(now.unix_seconds_at(later / _PER_SECOND), fields))
        return newest_first[::-1]


def _packed_time(ended_steady: float, measured: Offset | None, *, stepped: bool) -> int:
    """Return a time in half seconds modulo 48 days, whether the clock stepped, the uncertainty."""
    time = math.floor(ended_steady * _PER_SECOND) & _TIME_MASK
    return time | stepped * _STEPPED | _level(measured) << _UNCERTAINTY_SHIFT


def _level(measured: Offset | None) -> int:
    """Return an uncertainty as a number of eighths of a doubling, rounded up."""
    if measured is None:
        return 0
    # Of the offset, single precision is kept.
    seconds = measured.uncertainty_seconds + abs(measured.seconds) * _FLOAT_ROUNDING
    doublings = math.log2(max(seconds / _LEAST_UNCERTAINTY_SECONDS, 1.0))
    return min(math.ceil(doublings * _LEVELS_PER_DOUBLING), _HIGHEST_LEVEL)


def _failure(error: DeviceError) -> int:
    code = error.code
    kept = _NO_CODE if code is None or not 0 <= code <= HIGHEST_CODE else code
    return _NUMBER_OF[error.reason] | kept


def _unpacked(ended_unix: float, fields: tuple[int, float, float, float, int]) -> Poll:
    time, duration_seconds, seconds, reported, end = fields
    number, code = end >> _CODE_BITS, end & _NO_CODE
    level = time >> _UNCERTAINTY_SHIFT
    uncertainty = _LEAST_UNCERTAINTY_SECONDS * 2 ** (level / _LEVELS_PER_DOUBLING)
    return Poll(
        ended_unix,
        duration_seconds,
        REASONS[number - 1] if number else None,
        code if number and code != _NO_CODE else None,
        None if math.isnan(seconds) else Offset(seconds, uncertainty),
        None if math.isnan(reported) else reported,
        bool(time & _STEPPED),
    )
