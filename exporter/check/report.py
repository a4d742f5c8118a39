"""What is told of checked devices: a table each and a summary, for a person. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from exporter.check.examine import DeviceCheck
from exporter.devices.health import Issue
from exporter.system.offsets import format_clock, format_offset
from exporter.system.terminal import Line, Span, Table, counted
from exporter.system.text import display_name, escaped
from exporter.vapix.errors import printable
from exporter.vapix.ntp_info import NtpClientReading
from exporter.vapix.tls import Certificate

_STYLES: Final = {"bad": "red", "warning": "yellow"}
_ENABLED: Final = {True: "enabled", False: "disabled", None: "does not say whether enabled"}
_SYNCED: Final = {
    True: "synchronized",
    False: "not synchronized",
    None: "does not say whether synchronized",
}

Row = tuple[str, Span]


def table(checkup: DeviceCheck) -> Table:
    """Everything that is known of a device, and for each trouble what to do."""
    return Table(_title(checkup), tuple(_rows(checkup)) if checkup.checked else ())


def _title(checkup: DeviceCheck) -> Line:
    target = checkup.device.target
    return Span(display_name(target.name, target.address), "bold"), Span(": "), _outcome(checkup)


def _outcome(checkup: DeviceCheck) -> Span:
    if not checkup.checked:
        return Span("not checked", "yellow")
    if checkup.fine:
        return Span("fine", "green")
    return Span("not fine", _STYLES[checkup.issues[0].level])


def _rows(checkup: DeviceCheck) -> Iterator[Row]:
    state = checkup.device.state
    yield from _connection_rows(checkup)
    if state.reading is not None:
        yield "API version", Span(printable(state.reading.api_version or "not said"))
    if state.client is not None:
        yield from _client_rows(state.client)
    if checkup.offset is not None:
        yield "clock", Span(f"{format_clock(checkup.offset)} from this host's")
    if state.compliant:
        yield "settings", Span("as expected", "green")
    for trouble in checkup.issues:
        yield from _trouble_rows(checkup, trouble)


def _connection_rows(checkup: DeviceCheck) -> Iterator[Row]:
    state, scheme = checkup.device.state, checkup.module.scheme
    took = f"{(state.last_poll_seconds or 0) * 1e3:.0f} ms"
    heard = Span(f"{scheme}, answered in {took}")
    yield "connection", heard if state.answered else Span(f"{scheme}, no answer in {took}", "red")
    if scheme == "http":
        yield "TLS", Span("none")
    elif checkup.certificate is not None:
        yield from _certificate_rows(checkup, checkup.certificate)
    if state.answered:
        yield "login", _login(checkup)


def _certificate_rows(checkup: DeviceCheck, certificate: Certificate) -> Iterator[Row]:
    verified, why = belief(checkup, certificate)
    shown = f"{'verified' if verified else 'not verified'}: {escaped(why)}"
    yield "TLS", Span(shown, "green" if verified else "yellow")
    yield "certificate", Span(certificate.subject)
    yield "fingerprint", Span(certificate.fingerprint_sha256)


def belief(checkup: DeviceCheck, certificate: Certificate) -> tuple[bool, str]:
    """Whether a device's certificate proves who it is, and why."""
    tls = checkup.module.tls_config
    if certificate.refusal is not None:
        return False, certificate.refusal
    if tls.fingerprint_sha256 is not None:
        return True, "it has the pinned fingerprint"
    if tls.insecure_skip_verify:
        return False, "insecure_skip_verify takes any certificate"
    return True, f"signed by an authority of {tls.ca_file or 'this system'}"


def _login(checkup: DeviceCheck) -> Span:
    error, scheme = checkup.device.state.last_error, checkup.device.client.scheme
    if error is not None and error.reason == "unauthorized":
        return Span("refused", "red")
    return Span(scheme or "none was asked for")


def _client_rows(client: NtpClientReading) -> Iterator[Row]:
    yield "NTP client", Span(", ".join(_client_words(client)))
    servers, source = client.settings.active_servers, client.settings.active_source
    if servers is not None and source is not None:
        listed = f" ({source.replace('_', '-')})" if servers else ""
        yield "servers", Span(printable(", ".join(servers) or "none") + listed)


def _client_words(client: NtpClientReading) -> Iterator[str]:
    yield _ENABLED[client.settings.enabled]
    yield _SYNCED[client.status.synced]
    offset_seconds = client.status.reported_offset_seconds
    if offset_seconds is not None:
        yield f"{format_offset(offset_seconds)} from its server"
    if client.settings.nts_enabled:
        yield "NTS"


def _trouble_rows(checkup: DeviceCheck, trouble: Issue) -> Iterator[Row]:
    error = checkup.device.state.error
    said = f": {error}" if trouble.level == "bad" and error is not None else ""
    yield "trouble", Span(escaped(f"{trouble.what}{said}"), _STYLES[trouble.level])
    yield "what to do", Span(trouble.advice)


def summary(checkups: Sequence[DeviceCheck]) -> Iterator[Line]:
    """How many devices are fine, and what is wrong with how many, the most frequent first."""
    counts = Counter(_outcome(each).text for each in checkups)
    order = ("fine", "not fine", "not checked")
    told = ", ".join(f"{counts[words]} {words}" for words in order if counts[words])
    yield (Span(f"{counted(len(checkups))}: {told}", "bold"),)
    wrong = Counter((each.level, each.what) for checkup in checkups for each in checkup.issues)
    for (level, what), count in wrong.most_common() if len(checkups) > 1 else ():
        yield Span(f"{count:>7} "), Span(escaped(what), _STYLES[level])
