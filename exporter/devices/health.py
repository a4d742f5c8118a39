"""Diagnose a device: what is wrong with it, and what to do about it. Pure.

`check` and the status page show it. The thresholds are those of the alerts.
"""

import sys
import time
from collections.abc import Iterator, Sequence
from typing import Final, Literal, NamedTuple

from exporter.clock.host import HostTime
from exporter.clock.offset import Offset
from exporter.config import ThresholdPair, Thresholds
from exporter.devices.state import DeviceState, ErrorKind
from exporter.system.text import format_day, format_magnitude, format_roughly
from exporter.vapix.errors import (
    Busy,
    CertificateChanged,
    CertificateInFileChanged,
    CertificateNotPinned,
    CertificateNotTrusted,
    DeviceError,
    FactoryNew,
    HttpForbidden,
    HttpsPort,
    NewerApi,
    NoAccount,
    NoCommonScheme,
    NonceAlwaysStale,
    PlainHttp,
    RedirectToHttps,
    TlsResponse,
    TooManyOpenFiles,
)
from exporter.vapix.ntp_info import NtpClientReading, NtpSettings

INTERVALS_UNCHANGED: Final = 4
"""A synchronized device has stalled when its reported offset is the same for so many intervals.

Its longest interval counts. It is the condition of AxisNTPSyncStalled.
"""

UNCHANGED_SECONDS: Final = 4096
"""The same for a device that does not report its longest interval."""

_DAY_SECONDS: Final = 86_400

CERTIFICATE_DAYS: Final = 21
"""A certificate that ends within so many days is an issue, as for AxisNTPCertificateExpiring."""

POLLS_TO_SUSPECT_NO_API: Final = 3
"""A device that closed so many connections, and has answered none, may close all CGI requests."""


Level = Literal["bad", "warning", "waiting", "good"]

LEVELS: Final[tuple[Level, ...]] = ("bad", "warning", "waiting", "good")
"""Most severe first: last poll failed or a clock is off beyond the critical threshold, has other
problems, not polled yet, no problems."""


class Issue(NamedTuple):
    """One problem of a device: `bad` if its NTP state is unknown, otherwise a `warning`.

    `is_critical` is whether a clock is off beyond the critical threshold. `what`, `cause` and
    `advice`, one sentence on what to do, are the same for all devices with this problem, so that
    they can be counted. `detail` is `what`, and `own_advice` is `advice`, with the device's own
    values, if there are any. `since_steady` is when it began, on the host's steady clock; `None`
    while unknown.
    """

    level: Literal["bad", "warning"]
    what: str
    advice: str
    detail: str = ""
    is_critical: bool = False
    since_steady: float | None = None
    cause: str = ""
    own_advice: str = ""

    @property
    def title(self) -> str:
        """The problem in words that tell it from those with other advice."""
        return f"{self.what}, {self.cause}" if self.cause else self.what

    @property
    def to_do(self) -> str:
        """What to do about this device."""
        return self.own_advice or self.advice

    @property
    def text(self) -> str:
        """The problem in words that fit into a table's cell."""
        return self.detail or self.what


def diagnose(
    state: DeviceState, offset: Offset | None, now: HostTime, thresholds: Thresholds
) -> list[Issue]:
    """Return all issues that a device has now, the worst first; none before its first poll.

    `offset` is its measured offset now; `None` while unknown.
    """
    if state.last_poll_steady is None:
        return []
    client = state.client
    found: list[Issue] = []
    if (error := state.last.kind) is not None:
        found.append(_failure(state, error))
    else:
        found += _reading_issues(state, client, now)
    found += _clock_issues(offset, thresholds.skew)
    if client is not None:
        # After the clock: a clock that is off may report it too, and the alert on it is inhibited.
        found += _reported_offset_issues(client, thresholds.offset)
    found += _certificate_issues(state.identity.certificate_not_after, now)
    if len(found) > 1:
        found.sort(key=lambda issue: (issue.level != "bad", not issue.is_critical))
    return [_with_since(issue, state) for issue in found]


def level_of(state: DeviceState, issues: Sequence[Issue]) -> Level:
    """Return a device's level; `issues` are all its problems."""
    if state.last_poll_steady is None:
        return "waiting"
    if any(issue.level == "bad" or issue.is_critical for issue in issues):
        return "bad"
    return "warning" if issues else "good"


def _with_since(issue: Issue, state: DeviceState) -> Issue:
    if issue.since_steady is not None or issue.what != state.problem:
        return issue
    return issue._replace(since_steady=state.problem_since_steady)


def note_problem(state: DeviceState, now: HostTime, thresholds: Thresholds) -> None:
    """Keep since when the first issue has been the first, after a poll.

    A failed poll changes nothing: it has a begin of its own, and the issue may still be there.
    """
    if state.last.kind is not None:
        return
    issues = diagnose(state, state.clock_offset(now), now, thresholds)
    what = sys.intern(issues[0].what) if issues else ""  # one object for all devices
    if what != state.problem:
        state.problem = what
        # The object of the last poll, for less memory.
        state.problem_since_steady = state.last_poll_steady if what else None


_ADVICE: Final = {
    "dns": "Correct the device's host name, or check the DNS server of this host.",
    "connect": "Check power and network of the device, and its address and scheme.",
    "tls": "Check that the device serves https; an old device may need a lower min_version.",
    "timeout": "Check device load and firewall, or raise the timeout.",
    "disconnected": "Check whether http and https are mixed up (`scheme`), or restart the device.",
    "unauthorized": "Correct the username and password, or the account on the device.",
    "forbidden": "Give the account administrator rights on the device.",
    "unsupported": "Update the device's firmware: the NTP API needs AXIS OS 9.10 or newer.",
    "http_status": "Check that the address is that of an Axis device, and not of a proxy.",
    "invalid_response": "Check that the address is that of an Axis device; if so, update it.",
    "api_error": "Restart the device; if that does not help, update its firmware.",
    "internal": "Look into the exporter's log, and report the error as a bug.",
}

_ADVICE_ON: Final[dict[type[DeviceError], str]] = {
    CertificateNotTrusted: (
        "Set ca_file in tls_config, or pins_file and then run `axis-ntp-exporter check --pin`."
    ),
    CertificateNotPinned: (
        "If this is the device's own certificate, run `axis-ntp-exporter check --pin`."
    ),
    CertificateChanged: (
        "If the device was given a new certificate, set its fingerprint_sha256 in the config."
    ),
    CertificateInFileChanged: (
        "If the device was given a new certificate, run `axis-ntp-exporter check --pin --replace` "
        "with its name."
    ),
    NoAccount: "Set the username and password of an administrator account on the device.",
    NoCommonScheme: "Use https, or enable Digest on the device and set `auth.scheme: auto`.",
    NonceAlwaysStale: "Restart the device; if that does not help, update its firmware.",
    NewerApi: "Update this exporter: the device's API is newer.",
    HttpForbidden: (
        "Give the account administrator rights, or wait: the device also blocks an address for "
        "some seconds after wrong logins, perhaps of another client."
    ),
    PlainHttp: "Use the device's https port, or set `scheme: http` in its module.",
    RedirectToHttps: "Set `scheme: https` in its module.",
    HttpsPort: "Set `scheme: https` in its module.",
    TlsResponse: "Set `scheme: https` in its module.",
    Busy: "Wait: the device is busy or starting, and is polled again.",
    TooManyOpenFiles: "Raise the exporter's limit of open files (systemd: LimitNOFILE=).",
    FactoryNew: "Set the device's first password in its web interface.",
}
"""Advice on errors whose reason alone is not specific enough."""

_ADVICE_WITHOUT_API: Final = (
    "Check whether http and https are mixed up; if the device's web page opens, it has no ntp.cgi: "
    "set `clock_only: true` in its module to measure only its clock."
)


def _failure(state: DeviceState, error: ErrorKind) -> Issue:
    # `last` has another reason if the state is that of a device with an overdue response.
    last = state.last.error
    kind = type(last) if last is not None and last.reason == error.reason else DeviceError
    advice = _ADVICE_ON.get(kind) or _ADVICE[error.reason]
    if {each.reason for each in state.errors} == {"disconnected"} and state.failures == state.polls:
        # It has closed every connection so far, each of them new.
        advice = _ADVICE_WITHOUT_API if state.polls >= POLLS_TO_SUSPECT_NO_API else advice
    what = f"{error.reason} {error.code}".strip()
    since_steady = state.down_since_steady
    return Issue("bad", what, advice, since_steady=since_steady, cause=kind.cause)


def _reading_issues(
    state: DeviceState, client: NtpClientReading | None, now: HostTime
) -> Iterator[Issue]:
    if state.last.client_present is False:
        what, advice = "no NTP client", "Update the device's firmware: it reports no NTP client."
        yield Issue("warning", what, advice)
    elif client is not None:
        yield from _client_issues(client)
        yield from _stalled_issues(state, client.settings, now)
    settings = state.last.client.settings
    if differing := [each for each in state.last.mismatches or () if not _follows(each, settings)]:
        what = f"not as expected: {', '.join(differing)}"
        advice = "Run `axis-ntp-exporter configure` to see the differences, --apply to fix them."
        yield Issue("warning", what, advice)


def _follows(parameter: str, settings: NtpSettings) -> bool:
    """Whether another issue says already that this parameter is not as expected."""
    if parameter == "enabled":
        return settings.enabled is False
    is_empty = getattr(settings, parameter, None) == ()
    return is_empty and bool(settings.enabled) and settings.active_server_count == 0


def _client_issues(client: NtpClientReading) -> Iterator[Issue]:
    settings, status = client
    if not settings.enabled:
        what = "disabled" if settings.enabled is False else "does not report whether it is enabled"
        yield Issue("warning", f"NTP client {what}", "Enable the device's NTP client.")
    elif settings.active_server_count == 0:
        # Whatever it says of its synchronization: the alert fires too. No other issue follows.
        advice = "Configure NTP servers on the device, or have its DHCP server name some."
        yield Issue("warning", "no servers configured", advice)
    elif not status.synced:
        what = "does not report whether it is synchronized"
        advice = "Check that the device can reach its NTP servers, and that they respond."
        yield Issue("warning", what if status.synced is None else "not synchronized", advice)


def _reported_offset_issues(client: NtpClientReading, limits: ThresholdPair) -> Iterator[Issue]:
    offset_seconds = client.status.reported_offset_seconds
    if offset_seconds is not None and (size := abs(offset_seconds)) > limits.warning:
        advice = "Check whether its NTP servers agree, and whether the network delays responses."
        critical = size > limits.critical
        yield Issue("warning", "large reported offset", advice, is_critical=critical)


def _stalled_issues(state: DeviceState, settings: NtpSettings, now: HostTime) -> Iterator[Issue]:
    changed_steady, asked_steady = state.reported_offset_changed_steady, state.last_success_steady
    longest = settings.poll_interval_max_seconds
    limit = UNCHANGED_SECONDS if longest is None else INTERVALS_UNCHANGED * longest
    if changed_steady is None or asked_steady is None or settings.enabled is False:
        return
    # Not until now: what the device has reported since its last poll is unknown.
    if (unchanged := asked_steady - changed_steady) <= limit:
        return
    since = time.gmtime(now.unix_seconds_at(changed_steady))
    day = "%Y-%m-%d " if unchanged >= _DAY_SECONDS else ""
    asks = "" if longest is None else f"; it asks its server every {_interval(settings)}"
    detail = "synchronized, but the reported offset has not changed since "
    detail += f"{time.strftime(f'{day}%H:%M', since)} UTC ({format_roughly(unchanged)}{asks})"
    advice = "Check that its time servers respond: it probably gets no answer from them."
    what = "the reported offset does not change"
    yield Issue("warning", what, advice, detail, since_steady=changed_steady)


def _interval(settings: NtpSettings) -> str:
    shortest, longest = settings.poll_interval_min_seconds, settings.poll_interval_max_seconds
    if shortest is None or shortest == longest:
        return format_roughly(longest or 0)
    return f"{format_roughly(shortest)} to {format_roughly(longest or 0)}"


def _clock_issues(offset: Offset | None, limits: ThresholdPair) -> Iterator[Issue]:
    if offset is None:
        return
    if (size := abs(offset.seconds) - offset.uncertainty_seconds) > limits.warning:
        advice = (
            "Check that its NTP client is enabled and its servers answer; if many devices are off, "
            "check this host's clock."
        )
        direction = "ahead" if offset.seconds > 0 else "behind"
        detail = f"its clock is {format_magnitude(offset.seconds)} {direction}"
        critical = size > limits.critical
        yield Issue("warning", "its clock is off", advice, detail, is_critical=critical)


def _certificate_issues(ends_unix: float | None, now: HostTime) -> Iterator[Issue]:
    if ends_unix is None:
        return
    left_seconds = ends_unix - now.unix_seconds
    about = format_roughly(abs(left_seconds))
    day = format_day(ends_unix)
    advice = "Install a new certificate on the device; then pin the new one if it is pinned."
    if left_seconds <= 0:
        detail = f"its certificate expired {about} ago ({day})"
        yield Issue("warning", "its certificate has expired", advice, detail)
    elif left_seconds < CERTIFICATE_DAYS * _DAY_SECONDS:
        detail = f"its certificate expires in {about} ({day})"
        yield Issue("warning", "its certificate expires soon", advice, detail)
