"""Checked devices as tables with a summary for a person, and as JSON objects. Pure."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any, Final, TypeVar

from exporter.check.examine import DeviceCheck
from exporter.check.servers import ServerCheck
from exporter.check.table import in_order
from exporter.devices.health import Issue
from exporter.system.terminal import Line, Span, Table
from exporter.system.text import (
    cell_width,
    cut_middle,
    display_name,
    escaped,
    first_names,
    folded,
    format_clock,
    format_offset,
    plural,
)
from exporter.time_servers.host_clock import HostClockNote, describe_problem
from exporter.vapix.errors import DeviceError, printable
from exporter.vapix.ntp_info import CLOCK_ONLY, NtpClientReading
from exporter.vapix.tls import Certificate

_STYLES: Final = {"bad": "red", "warning": "yellow"}
_ENABLED: Final = {True: "enabled", False: "disabled", None: "enabled or disabled not reported"}
_SYNCED: Final = {
    True: "synchronized",
    False: "not synchronized",
    None: "synchronization not reported",
}
_COUNTED: Final = {"fine": "fine", "problem": "with a problem", "not checked": "not checked"}

_MOST_NAMES: Final = 5
"""So many devices are named beside a problem."""

_INDENT: Final = " " * 8
"""Where the problem stands beside its count, and what to do about it below."""

T = TypeVar("T")
Row = tuple[str, Span]


def table(check: DeviceCheck) -> Table:
    """Return everything that the check shows, and for each issue what to do."""
    target = check.device.target
    title = Span(display_name(target.name, target.address), "bold"), Span(": "), _outcome(check)
    return Table(title, tuple(_rows(check)) if check.checked else ())


def _outcome(check: DeviceCheck) -> Span:
    if not check.checked:
        return Span("not checked", "yellow")
    if check.fine:
        return Span("fine", "green")
    return Span("problem", _STYLES[check.issues[0].level])


def _rows(check: DeviceCheck) -> Iterator[Row]:
    state = check.device.state
    yield from _connection_rows(check)
    if state.last.reading is CLOCK_ONLY:
        yield "API", Span("not asked: clock_only is set")
    elif state.last.reading is not None:
        yield "API version", Span(printable(state.last.reading.api_version or "not reported"))
    if state.client is not None:
        yield from _client_rows(state.client)
    if check.offset is not None:
        yield "clock", Span(f"{format_clock(check.offset)} from this host's")
    if check.true_offset is not None:
        yield "true offset", Span(f"{format_clock(check.true_offset)} from the time servers")
    if state.last.compliant:
        yield "settings", Span("as expected", "green")
    for issue in check.issues:
        yield from _issue_rows(check, issue)


def _connection_rows(check: DeviceCheck) -> Iterator[Row]:
    state, scheme = check.device.state, check.device.target.scheme
    took = f"{(state.last_poll_seconds or 0) * 1e3:.0f} ms"
    if state.last.answered:
        yield "connection", Span(f"{scheme}, responded in {took}")
    else:
        yield "connection", Span(f"{scheme}, no response after {took}", "red")
    if scheme == "http":
        yield "TLS", Span("none")
    elif check.certificate is not None:
        yield from _certificate_rows(check, check.certificate)
    if state.last.answered:
        refused = state.last.kind is not None and state.last.kind.reason == "unauthorized"
        login = check.device.client.scheme or "not required"
        yield "login", Span("refused", "red") if refused else Span(login)


def _certificate_rows(check: DeviceCheck, certificate: Certificate) -> Iterator[Row]:
    verified, why = _verify(check, certificate)
    shown = f"{'verified' if verified else 'not verified'}: {escaped(why)}"
    yield "TLS", Span(shown, "green" if verified else "yellow")
    yield "certificate", Span(check.device.client.shown(certificate.subject))
    yield "fingerprint", Span(certificate.fingerprint_sha256)


def _verify(check: DeviceCheck, certificate: Certificate) -> tuple[bool, str]:
    """Return whether a certificate proves the device's identity, and why."""
    tls = check.module.tls_config
    if certificate.refusal is not None:
        return False, certificate.refusal
    if (pin := check.device.client.pin) is not None:
        if pin.refuse(bytes.fromhex(certificate.fingerprint_sha256)) is None:
            return True, "has the pinned fingerprint"
        what = "no certificate is pinned" if pin.fingerprint is None else "another one is pinned"
        return False, what
    if tls.insecure_skip_verify:
        return False, "insecure_skip_verify accepts any certificate"
    return True, f"signed by a CA of {tls.ca_file or 'this system'}"


def _client_rows(client: NtpClientReading) -> Iterator[Row]:
    settings, status = client
    words = [_ENABLED[settings.enabled], _SYNCED[status.synced]]
    if status.reported_offset_seconds is not None:
        words.append(f"{format_offset(status.reported_offset_seconds)} from its server")
    if settings.nts_enabled:
        words.append("NTS")
    yield "NTP client", Span(", ".join(words))
    servers, source = settings.active_servers, settings.active_source
    if servers is not None and source is not None:
        listed = f" ({source.replace('_', '-')})" if servers else ""
        yield "servers", Span(printable(", ".join(servers) or "none") + listed)


def _issue_rows(check: DeviceCheck, issue: Issue) -> Iterator[Row]:
    error = check.device.state.last.error
    message = f": {error}" if issue.level == "bad" and error is not None else ""
    yield "problem", Span(escaped(f"{issue.text}{message}"), _STYLES[issue.level])
    yield "what to do", Span(issue.to_do)


def host_clock_lines(
    note: HostClockNote, servers: Sequence[ServerCheck], width: int
) -> Iterator[Line]:
    """Yield what is known about this host's clock, and why a time server had no vote.

    Lines are folded to `width` columns.
    """
    style = _STYLES.get(note.level, "")
    yield from ((Span(line, style),) for line in folded(note.text, width, "  "))
    for server in servers:
        if problem := describe_problem(server.answer, server.error):
            text = escaped(f"  time server {server.target.label}: {problem}")
            yield from ((Span(line, "yellow"),) for line in folded(text, width, "    "))


def summary(checks: Sequence[DeviceCheck], width: int) -> Iterator[Line]:
    """Count the devices by outcome; with several devices also the problems, most frequent first.

    Beside a problem are some of its devices, as many as fit into `width` columns; below those
    with the same remedy it is said once.
    """
    total, counts = len(checks), Counter(_outcome(check).text for check in checks)
    outcomes = ", ".join(f"{counts[key]} {text}" for key, text in _COUNTED.items() if counts[key])
    yield (Span(f"{total} {plural(total, 'device')}: {outcomes}", "bold"),)
    if total > 1:
        yield from _problems(checks, width)


def _problems(checks: Sequence[DeviceCheck], width: int) -> Iterator[Line]:
    by_advice: dict[str, dict[tuple[str, str], list[str]]] = defaultdict(lambda: defaultdict(list))
    for check in in_order(checks, "name"):
        for issue in check.issues:
            names = by_advice[escaped(issue.advice)][issue.level, escaped(issue.title)]
            names.append(escaped(check.device.target.name))
    sections = ((advice, _most_frequent_first(rows)) for advice, rows in by_advice.items())
    for advice, rows in sorted(sections, key=lambda section: -len(section[1][0][1])):
        for (level, title), names in rows:
            yield _count_line(level, title, names, width)
        for line in folded(_INDENT + advice, width, _INDENT):
            yield (Span(line, "dim"),)


def _most_frequent_first(rows: dict[T, list[str]]) -> list[tuple[T, list[str]]]:
    return sorted(rows.items(), key=lambda row: -len(row[1]))


def _count_line(level: str, title: str, names: Sequence[str], width: int) -> Line:
    count = f"{len(names):>{len(_INDENT) - 1}} "
    room = width - cell_width(f"{count}{title}: ")
    return Span(count), Span(title, _STYLES[level]), Span(": "), Span(_some_names(names, room))


def _some_names(names: Sequence[str], room: int) -> str:
    """Return a few names and how many there are besides, within `room` columns if one fits."""
    for count in range(min(len(names), _MOST_NAMES), 0, -1):
        text = first_names(names, count)
        if cell_width(text) <= room:
            return text
    first = cut_middle(names[0], max(room - cell_width(first_names(("", *names[1:]), 1)), 1))
    return first_names((first, *names[1:]), 1)


def as_document(check: DeviceCheck) -> dict[str, Any]:
    """Return the object that `--json` prints for a device; `None` means unknown."""
    device, state, reading = check.device, check.device.state, check.device.state.last.reading
    return {
        "device": device.target.name,
        "address": device.target.address,
        "labels": dict(device.target.labels),
        "checked": check.checked,
        "fine": check.fine,
        "scheme": device.target.scheme,
        "answered": state.last.answered,
        "seconds": state.last_poll_seconds,
        "error": _error_object(state.last.error),
        "tls": _tls_object(check),
        "authentication": device.client.scheme,
        "api_version": None if reading is None else reading.api_version,
        "client": _client_object(state.client),
        **_clock_values(check),
        "mismatches": state.last.mismatches,
        "troubles": [
            {"level": issue.level, "what": issue.what, "advice": issue.to_do}
            for issue in check.issues
        ],
    }


def _error_object(error: DeviceError | None) -> dict[str, Any] | None:
    if error is None:
        return None
    return {"reason": error.reason, "code": error.code, "message": str(error)}


def _clock_values(check: DeviceCheck) -> dict[str, Any]:
    offset, true = check.offset, check.true_offset
    return {
        "clock": None
        if offset is None
        else {"seconds": offset.seconds, "uncertainty_seconds": offset.uncertainty_seconds},
        "true_offset_seconds": None if true is None else true.seconds,
        "true_offset_uncertainty_seconds": None if true is None else true.uncertainty_seconds,
    }


def _tls_object(check: DeviceCheck) -> dict[str, Any] | None:
    certificate = check.certificate
    if certificate is None:
        return None
    verified, why = _verify(check, certificate)
    return {
        "verified": verified,
        "why": why,
        "subject": check.device.client.shown(certificate.subject),
        "fingerprint_sha256": certificate.fingerprint_sha256,
    }


def _client_object(client: NtpClientReading | None) -> dict[str, Any] | None:
    if client is None:
        return None
    settings, status = client
    return {
        **asdict(settings),
        "synced": status.synced,
        "time_to_next_sync_seconds": status.time_to_next_sync_seconds,
        "offset_seconds": status.reported_offset_seconds,
        "active_servers": settings.active_servers,
    }
