"""What a device shows of itself besides its answers: its serial number, and its certificate."""

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

_SERIAL: Final = re.compile(r'realm="?AXIS_([0-9A-F]{12})\b', re.IGNORECASE)


class DeviceIdentity(NamedTuple):
    """The serial number (12 hex digits), empty until seen, and when the certificate ends.

    `certificate_not_after` is in Unix seconds, of the last TLS handshake; `None` without one.
    """

    serial: str = ""
    certificate_not_after: float | None = None


UNKNOWN_IDENTITY: Final = DeviceIdentity()
"""One object for all devices that have shown nothing yet."""


def find_serial(challenges: Iterable[str]) -> str:
    """Return the serial number in a challenge's realm (`AXIS_B8A44F000001`), or an empty text."""
    found = filter(None, map(_SERIAL.search, challenges))
    return next((match[1].upper() for match in found), "")
