"""What is told of checked devices: a table each and a summary, for a person. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from exporter.check.examine import Checkup
from exporter.devices.health import Trouble
from exporter.system.offsets import format_clock, format_offset
from exporter.system.terminal import Line, Piece, Table, counted
from exporter.system.text import called, escaped
from exporter.vapix.certificate import Certificate
from exporter.vapix.errors import printable
from exporter.vapix.reading import NtpClientReading

_STYLES: Final = {"bad": "red", "warning": "yellow"}
_ENABLED: Final = {True: "enabled", False: "disabled", None: "does not say whether enabled"}
_SYNCED: Final = {
    True: "synchronized",
    False: "not synchronized",
    None: "does not say whether synchronized",
}

Row = tuple[str, Piece]


def table(checkup: Checkup) -> Table:
    """Everything that is known of a device, and for each trouble what to do."""
    return Table(_title(checkup), tuple(_rows(checkup)) if checkup.checked else ())


def _title(checkup: Checkup) -> Line:
    target = checkup.device.target
    return Piece(called(target.name, target.address), "bold"), Piece(": "), _outcome(checkup)


def _outcome(checkup: Checkup) -> Piece:
    if not checkup.checked:
        return Piece("not checked", "yellow")
    if checkup.fine:
        return Piece("fine", "green")
    return Piece("not fine", _STYLES[checkup.troubles[0].level])


def _rows(checkup: Checkup) -> Iterator[Row]:
    state = checkup.device.state
    yield from _connection_rows(checkup)
    if state.reading is not None:
        yield "API version", Piece(printable(state.reading.api_version or "not said"))
    if state.client is not None:
        yield from _client_rows(state.client)
    if checkup.offset is not None:
        yield "clock", Piece(f"{format_clock(checkup.offset)} from this host's")
    if state.compliant:
        yield "settings", Piece("as expected", "green")
    for trouble in checkup.troubles:
        yield from _trouble_rows(checkup, trouble)


def _connection_rows(checkup: Checkup) -> Iterator[Row]:
    state, scheme = checkup.device.state, checkup.module.scheme
    took = f"{(state.last_poll_seconds or 0) * 1e3:.0f} ms"
    heard = Piece(f"{scheme}, answered in {took}")
    yield "connection", heard if state.answered else Piece(f"{scheme}, no answer in {took}", "red")
    if scheme == "http":
        yield "TLS", Piece("none")
    elif checkup.certificate is not None:
        yield from _certificate_rows(checkup, checkup.certificate)
    if state.answered:
        yield "login", _login(checkup)


def _certificate_rows(checkup: Checkup, certificate: Certificate) -> Iterator[Row]:
    verified, why = belief(checkup, certificate)
    shown = f"{'verified' if verified else 'not verified'}: {escaped(why)}"
    yield "TLS", Piece(shown, "green" if verified else "yellow")
    yield "certificate", Piece(certificate.subject)
    yield "fingerprint", Piece(certificate.fingerprint_sha256)


def belief(checkup: Checkup, certificate: Certificate) -> tuple[bool, str]:
    """Whether a device's certificate proves who it is, and why."""
    tls = checkup.module.tls_config
    if certificate.refusal is not None:
        return False, certificate.refusal
    if tls.fingerprint_sha256 is not None:
        return True, "it has the pinned fingerprint"
    if tls.insecure_skip_verify:
        return False, "insecure_skip_verify takes any certificate"
    return True, f"signed by an authority of {tls.ca_file or 'this system'}"


def _login(checkup: Checkup) -> Piece:
    error, scheme = checkup.device.state.last_error, checkup.device.client.scheme
    if error is not None and error.reason == "unauthorized":
        return Piece("refused", "red")
    return Piece(scheme or "none was asked for")


def _client_rows(client: NtpClientReading) -> Iterator[Row]:
    yield "NTP client", Piece(", ".join(_client_words(client)))
    servers, source = client.active_servers, client.active_source
    if servers is not None and source is not None:
        listed = f" ({source.replace('_', '-')})" if servers else ""
        yield "servers", Piece(printable(", ".join(servers) or "none") + listed)


def _client_words(client: NtpClientReading) -> Iterator[str]:
    yield _ENABLED[client.enabled]
    yield _SYNCED[client.synced]
    if client.offset_seconds is not None:
        yield f"{format_offset(client.offset_seconds)} from its server"
    if client.nts_enabled:
        yield "NTS"


def _trouble_rows(checkup: Checkup, trouble: Trouble) -> Iterator[Row]:
    error = checkup.device.state.error
    said = f": {error}" if trouble.level == "bad" and error is not None else ""
    yield "trouble", Piece(escaped(f"{trouble.what}{said}"), _STYLES[trouble.level])
    yield "what to do", Piece(trouble.advice)


def summary(checkups: Sequence[Checkup]) -> Iterator[Line]:
    """How many devices are fine, and what is wrong with how many, the most frequent first."""
    counts = Counter(_outcome(each).text for each in checkups)
    order = ("fine", "not fine", "not checked")
    told = ", ".join(f"{counts[words]} {words}" for words in order if counts[words])
    yield (Piece(f"{counted(len(checkups))}: {told}", "bold"),)
    wrong = Counter((each.level, each.what) for checkup in checkups for each in checkup.troubles)
    for (level, what), count in wrong.most_common() if len(checkups) > 1 else ():
        yield Piece(f"{count:>7} "), Piece(escaped(what), _STYLES[level])
