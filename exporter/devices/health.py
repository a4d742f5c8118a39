"""What is wrong with a device and what to do about it, in words for people. Pure.

`check` and the status page say it; the alerts' thresholds for warnings are its thresholds.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

from exporter.clock.offset import Offset
from exporter.devices.state import DeviceState, ErrorKind
from exporter.vapix.errors import (
    CertificateNotTrusted,
    DeviceError,
    FactoryNew,
    NoAccount,
    NoCommonScheme,
    NonceAlwaysStale,
)
from exporter.vapix.ntp_info import NtpClientReading

OFFSET_SECONDS: Final = 0.1
"""A device that says it is further off than this wants a look: AxisNTPOffsetHigh's warning."""

SKEW_SECONDS: Final = 0.5
"""A clock that is certainly further off than this wants a look: AxisNTPClockSkew's warning."""


class Issue(NamedTuple):
    """One thing that is wrong: `bad` if nothing is known of the device's NTP, else a `warning`.

    `what` goes into a table's cell; `advice` is one sentence on what to do.
    """

    level: Literal["bad", "warning"]
    what: str
    advice: str


def diagnose(state: DeviceState, offset: Offset | None) -> list[Issue]:
    """Everything that is wrong with a device, the gravest first; nothing before its first poll.

    `offset` is its clock seen from outside, now; `None` while unknown.
    """
    if state.last_poll_unix is None:
        return []
    error = state.last_error
    found = _reading_troubles(state) if error is None else [_failure(error, state.error)]
    return [*found, *_clock_troubles(offset)]


_ADVICE: Final = {
    "dns": "Correct the name, or look at the name server of this host.",
    "connect": "See that the device has power and network, and that address and scheme are right.",
    "tls": "See whether https is spoken there; an old device may need a lower min_version.",
    "timeout": "See whether the device is overloaded or a firewall drops; else raise the timeout.",
    "disconnected": "See whether http and https are mixed up, or restart the device.",
    "unauthorized": "Correct username and password, or the account on the device.",
    "forbidden": "Give the account the rights of an administrator on the device.",
    "unsupported": "Update the device's firmware: the NTP API needs AXIS OS 9.10 or newer.",
    "http_status": "See whether the address is that of an Axis device, and not of a proxy.",
    "invalid_response": "See whether the address is that of an Axis device; if so, update it.",
    "api_error": "Restart the device; if that does not help, update its firmware.",
    "internal": "Look at the exporter's log, and report what stands there.",
}

_ADVICE_ON: Final[dict[type[DeviceError], str]] = {
    CertificateNotTrusted: (
        "Set tls_config to fit the device's certificate: ca_file, or fingerprint_sha256."
    ),
    NoAccount: "Give the username and password of an administrator on the device.",
    NoCommonScheme: "Use https, or let the device offer Digest and auth.scheme answer it.",
    NonceAlwaysStale: "Restart the device; if that does not help, update its firmware.",
    FactoryNew: "Set the device's first password, in its web page.",
}
"""Where an error's reason alone does not tell what to do."""


def _failure(error: ErrorKind, said: DeviceError | None) -> Issue:
    # A device that owes an answer fails otherwise than it last did.
    kind = type(said) if said is not None and said.reason == error.reason else DeviceError
    advice = _ADVICE_ON.get(kind) or _ADVICE[error.reason]
    return Issue("bad", f"{error.reason} {error.code}".strip(), advice)


def _reading_troubles(state: DeviceState) -> Iterator[Issue]:
    if state.client is None:
        what, advice = "no NTP client", "Update the device's firmware: it reports no NTP client."
        yield Issue("warning", what, advice)
    else:
        yield from _client_troubles(state.client)
    if state.mismatches:
        differs = ", ".join(state.mismatches)
        advice = "See the difference with `axis-ntp-exporter configure`; --apply sets it right."
        yield Issue("warning", f"not as expected: {differs}", advice)


def _client_troubles(client: NtpClientReading) -> Iterator[Issue]:
    if not client.settings.enabled:
        what = (
            "disabled" if client.settings.enabled is False else "does not say whether it is enabled"
        )
        yield Issue("warning", f"NTP client {what}", "Enable the device's NTP client.")
    elif not client.status.synced:
        unsaid = "does not say whether it is synchronized"
        advice = "See that the device can reach its NTP servers, and that they answer."
        if client.settings.active_server_count == 0:
            advice = "Give the device NTP servers: it has none."
        yield Issue(
            "warning", unsaid if client.status.synced is None else "not synchronized", advice
        )
    offset_seconds = client.status.reported_offset_seconds
    if offset_seconds is not None and abs(offset_seconds) > OFFSET_SECONDS:
        advice = "See whether its NTP servers agree, and whether the network delays their answers."
        yield Issue("warning", "far off its NTP server", advice)


def _clock_troubles(offset: Offset | None) -> Iterator[Issue]:
    if offset is not None and abs(offset.seconds) - offset.uncertainty_seconds > SKEW_SECONDS:
        advice = "Compare its NTP servers with this host's: one of the two clocks is wrong."
        yield Issue("warning", "its clock is off", advice)
