"""The packets of an NTP client: build a request, decode a response. Pure; RFC 5905, section 7.3.

A response is trusted only if it has the random number of its request. Everything else in it may
be a lie, so it gives an interval and no more: docs/clock.md.
"""

import struct
from typing import ClassVar, Final, NamedTuple, Self

from exporter.clock.offset import SECOND_NS, Estimate, drift_ns

PACKET_BYTES: Final = 48
"""The length of the header; extension fields and a MAC may follow in a response."""

NONCE_BYTES: Final = 8

MAX_ROOT_DISTANCE_NS: Final = 3 * SECOND_NS
"""NTP clients use no server that may be further from the true time: chrony's `maxdistance`."""

UNSYNCHRONIZED: Final = 16
"""The stratum of a server that has no time; its packets say 0 (RFC 5905, figure 11)."""

LEAP_UNKNOWN: Final = 3
"""The leap indicator of a server that has no time."""

_VERSION: Final = 4
_ACCEPTED_VERSIONS: Final = (3, 4)
_CLIENT: Final = 3
_SERVER: Final = 4
_HEADER: Final = struct.Struct("!BBbbII4s8x8sQQ")
_UNIX_EPOCH_SECONDS: Final = 2_208_988_800
"""From NTP's epoch, 1900, to 1970."""

_ERA: Final = 2**64
_SHORT_SECOND: Final = 2**16
_ROUNDING_NS: Final = 2
"""Two timestamps, each cut to a nanosecond."""

_MAX_PRECISION: Final = 0
"""A clock with steps of a second. No NTP server has a coarser one: the RFC's slowest, with the tick
of the mains, has 2^-6 s. More would make the interval useless, up to 2^127 s."""

_KISS_CODES: Final = (b"RATE", b"DENY", b"RSTR")
_NO_TIME_YET: Final = (b"\0\0\0\0", b"INIT", b"STEP")
"""Reference ids with stratum 0 of a server that is not synchronized: chrony's and ntpd's."""


class QueryFailed(Exception):
    """A query got no usable response; `str()` says why, `reason` is the label of the metric."""

    reason: ClassVar[str]


class InvalidAnswer(QueryFailed):
    """The response is not what RFC 5905 describes, or not to this request."""

    reason = "invalid_response"


class KissOfDeath(QueryFailed):
    """The server asks for fewer queries (`RATE`) or for none (`DENY`, `RSTR`). Section 7.4."""

    reason = "kiss_of_death"

    def __init__(self, code: str) -> None:
        super().__init__(f"the server answered {code}")
        self.code = code


class QueryTimes(NamedTuple):
    """When a query was sent and its response read: steady nanoseconds.

    `unix_minus_steady_ns` is the difference of the host's clocks, which only selects the NTP era:
    the response's times must be within 68 years of the host's.
    """

    sent_ns: int
    received_ns: int
    unix_minus_steady_ns: int


class TimeAnswer(NamedTuple):
    """A valid response.

    `estimate` is the interval of the true time minus the host's steady clock, as far as the
    server knows the true time: half the round trip, half the root delay, the root dispersion and
    the server's precision to both sides of the middle.
    """

    estimate: Estimate
    round_trip_ns: int
    stratum: int
    leap: int
    root_delay_ns: int
    root_dispersion_ns: int

    @property
    def is_selectable(self) -> bool:
        """Whether an NTP client would use the server: RFC 5905, section 11.2, "fit"."""
        return (
            self.leap != LEAP_UNKNOWN
            and self.stratum < UNSYNCHRONIZED
            and self.estimate.width_ns <= 2 * MAX_ROOT_DISTANCE_NS
        )


def encode_request(nonce: bytes) -> bytes:
    """Return a client's packet with 8 random bytes as its transmit timestamp.

    They say nothing about this host, and only who saw the packet can answer it.
    """
    if len(nonce) != NONCE_BYTES:
        raise ValueError(f"the nonce must have {NONCE_BYTES} bytes")
    return bytes([_VERSION << 3 | _CLIENT]).ljust(PACKET_BYTES - NONCE_BYTES, b"\0") + nonce


def decode_answer(packet: bytes, nonce: bytes, times: QueryTimes) -> TimeAnswer:
    """Decode the response to the request with `nonce`.

    Raises `KissOfDeath`, and `InvalidAnswer` for everything else that is not such a response.
    """
    if len(packet) < PACKET_BYTES:
        raise InvalidAnswer(f"the response has {len(packet)} bytes, not {PACKET_BYTES}")
    first, stratum, _poll, precision, delay, dispersion, reference_id, origin, receive, transmit = (
        _HEADER.unpack_from(packet)
    )
    _check_mode(first)
    if origin != nonce:
        raise InvalidAnswer("the response is not to this request: wrong originate timestamp")
    leap = first >> 6
    stratum = _decode_stratum(stratum, leap, reference_id)
    if not receive or not transmit:
        raise InvalidAnswer("the response has no time: a timestamp is zero")
    if precision > _MAX_PRECISION:
        raise InvalidAnswer(f"the response has precision {precision}, the coarsest is 0 (1 s)")
    served = _ServerTimes.near(times, receive, transmit, _precision_ns(precision))
    delay_ns, dispersion_ns = _short_ns(delay), _short_ns(dispersion)
    return TimeAnswer(
        estimate=served.estimate(times, root_ns=(delay_ns + 1) // 2 + dispersion_ns),
        round_trip_ns=max(0, served.round_trip_ns(times)),
        stratum=stratum,
        leap=leap,
        root_delay_ns=delay_ns,
        root_dispersion_ns=dispersion_ns,
    )


class _ServerTimes(NamedTuple):
    """When the server received the request and sent the response: its Unix time, nanoseconds."""

    received_ns: int
    sent_ns: int
    precision_ns: int

    @classmethod
    def near(cls, times: QueryTimes, receive: int, transmit: int, precision_ns: int) -> Self:
        """Decode two NTP timestamps in the era in which they are nearest to the host's clock."""
        host_ns = times.received_ns + times.unix_minus_steady_ns
        host = ((host_ns + _UNIX_EPOCH_SECONDS * SECOND_NS) << 32) // SECOND_NS
        received, sent = (
            host_ns + (((time - host + _ERA // 2) % _ERA - _ERA // 2) * SECOND_NS >> 32)
            for time in (receive, transmit)
        )
        return cls(received, sent, precision_ns)

    def round_trip_ns(self, times: QueryTimes) -> int:
        """Return how long the packets travelled, both ways."""
        return (times.received_ns - times.sent_ns) - (self.sent_ns - self.received_ns)

    def estimate(self, times: QueryTimes, root_ns: int) -> Estimate:
        """Return the interval of the true time minus the steady clock, at the response's arrival.

        The server read its clock after the request was sent, and before the response arrived.
        Raises `InvalidAnswer` if there was not enough time between these.
        """
        error_ns = self.precision_ns + drift_ns(times.received_ns - times.sent_ns) + _ROUNDING_NS
        if self.round_trip_ns(times) + 2 * error_ns < 0:
            raise InvalidAnswer("the response's times are further apart than query and response")
        low_ns = self.sent_ns - times.received_ns - error_ns - root_ns
        high_ns = self.received_ns - times.sent_ns + error_ns + root_ns
        return Estimate(low_ns, high_ns, times.received_ns)


def _check_mode(first: int) -> None:
    """Raise `InvalidAnswer` unless the first byte is a server's. Some still answer as version 3."""
    version, mode = first >> 3 & 7, first & 7
    if mode != _SERVER:
        raise InvalidAnswer(f"the response has mode {mode}, not {_SERVER} (server)")
    if version not in _ACCEPTED_VERSIONS:
        raise InvalidAnswer(f"the response has version {version}, not {_VERSION}")


def _decode_stratum(stratum: int, leap: int, reference_id: bytes) -> int:
    """Return the stratum, 16 for a server without time. Raises `KissOfDeath`, `InvalidAnswer`."""
    if stratum > UNSYNCHRONIZED:
        raise InvalidAnswer(f"the response has stratum {stratum}, the highest is {UNSYNCHRONIZED}")
    if stratum > 0:
        return stratum
    if reference_id in _KISS_CODES:
        raise KissOfDeath(reference_id.decode("ascii"))
    if leap != LEAP_UNKNOWN or reference_id not in _NO_TIME_YET:
        raise InvalidAnswer(f"the response has stratum 0 with the unknown code {reference_id!r}")
    return UNSYNCHRONIZED


def _short_ns(short: int) -> int:
    """Return a duration in NTP's short format, 16.16 bits of seconds, rounded up."""
    return -(-short * SECOND_NS // _SHORT_SECOND)


def _precision_ns(exponent: int) -> int:
    """Return how coarse the server's clock is, from log2 of seconds up to 0, rounded up."""
    return (SECOND_NS >> -exponent) + 1
