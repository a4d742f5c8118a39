"""NTP packets written independently of the code under test."""

import struct
from typing import NamedTuple

SECOND_NS = 10**9
EPOCH_SECONDS = 2_208_988_800


def timestamp(unix_ns: int) -> int:
    """Return a Unix time in NTP's 32.32 bits, rounded down, whatever the era."""
    seconds, rest = divmod(unix_ns, SECOND_NS)
    return ((seconds + EPOCH_SECONDS) % 2**32 << 32) + (rest << 32) // SECOND_NS


class Reply(NamedTuple):
    """What a server answers; root delay and dispersion in seconds."""

    received_ns: int
    sent_ns: int
    leap: int = 0
    version: int = 4
    mode: int = 4
    stratum: int = 2
    precision: int = -25
    root_delay: float = 0.0
    root_dispersion: float = 0.0
    reference_id: bytes = b"\x0a\0\0\1"

    def packet(self, nonce: bytes) -> bytes:
        return struct.pack(
            "!BBbbII4sQ8sQQ",
            self.leap << 6 | self.version << 3 | self.mode,
            self.stratum,
            6,
            self.precision,
            round(self.root_delay * 2**16),
            round(self.root_dispersion * 2**16),
            self.reference_id,
            0,
            nonce,
            timestamp(self.received_ns),
            timestamp(self.sent_ns),
        )
