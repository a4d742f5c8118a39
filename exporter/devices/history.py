"""The last polls of a device, packed: twelve bytes each, for memory is counted by the device."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from exporter.vapix.errors import REASONS, DeviceError

KEPT: Final = 100
"""So many polls are remembered."""

HIGHEST_CODE: Final = 0xFFE
"""An error's code beyond this is forgotten; the API's and HTTP's are below."""

# Unix seconds, how long it took (a half has three digits), clock offset, reason and code.
_POLL: Final = struct.Struct("<IefH")
_SIZE: Final = _POLL.size
_MOST_BYTES: Final = KEPT * _SIZE
_BLANK: Final = bytes(_SIZE)
_LONGEST_SECONDS: Final = 65_504.0
_CODE_BITS: Final = 12
_NO_CODE: Final = 0xFFF
_UNKNOWN: Final = math.nan
_SUCCESS: Final = 0
_NUMBER_OF: Final = {reason: number << _CODE_BITS for number, reason in enumerate(REASONS, 1)}


class Poll(NamedTuple):
    """How a poll went; when it ended in whole Unix seconds, the rest in seconds.

    `reason` is `None` for a good one. `clock_offset_seconds` is the device's clock minus the
    host's after it, `None` while unknown.
    """

    ended_unix: int
    duration_seconds: float
    clock_offset_seconds: float | None
    reason: str | None
    code: int | None


class History:
    """The last polls, oldest first; takes memory as they come."""

    __slots__ = ("_next", "_records")

    def __init__(self) -> None:
        self._records = bytearray()
        self._next = 0

    def add(
        self,
        ended_unix: float,
        duration_seconds: float,
        clock_offset_seconds: float | None,
        error: DeviceError | None,
    ) -> None:
        """Take in a poll; the oldest goes once there are `KEPT`."""
        records, at = self._records, self._next
        if at == len(records):
            records += _BLANK
        _POLL.pack_into(
            records,
            at,
            int(ended_unix) & 0xFFFFFFFF,
            min(duration_seconds, _LONGEST_SECONDS),
            _UNKNOWN if clock_offset_seconds is None else clock_offset_seconds,
            _SUCCESS if error is None else _failure(error),
        )
        self._next = (at + _SIZE) % _MOST_BYTES

    def __len__(self) -> int:
        return len(self._records) // _SIZE

    def __iter__(self) -> Iterator[Poll]:
        oldest_first = self._records[self._next :] + self._records[: self._next]
        return (_unpacked(*fields) for fields in _POLL.iter_unpack(oldest_first))


def _failure(error: DeviceError) -> int:
    code = error.code
    kept = _NO_CODE if code is None or not 0 <= code <= HIGHEST_CODE else code
    return _NUMBER_OF[error.reason] | kept


def _unpacked(ended_unix: int, duration_seconds: float, offset: float, result: int) -> Poll:
    number, code = result >> _CODE_BITS, result & _NO_CODE
    return Poll(
        ended_unix,
        duration_seconds,
        None if math.isnan(offset) else offset,
        REASONS[number - 1] if number else None,
        code if number and code != _NO_CODE else None,
    )
