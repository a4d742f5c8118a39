"""What `check --pin` shows: each certificate that is to be pinned, and what became of it. Pure."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

from exporter.config.pins import Place, place_of
from exporter.devices.device import Device
from exporter.system.terminal import Line, Span
from exporter.system.text import cell_width, cut, escaped, plural
from exporter.vapix.tls import Certificate

PinState = Literal["new", "changed", "pinned", "ambiguous", "not seen"]

_STYLES: Final = {"new": "", "changed": "red", "ambiguous": "red", "not seen": "yellow"}
_HEAD: Final = ("DEVICE", "ADDRESS", "STATE", "SUBJECT", "ISSUER", "ENDS", "FINGERPRINT (SHA-256)")
_WIDEST: Final = 32
"""The widest column in a terminal; only the last one is wider."""


@dataclass(slots=True)
class PinCheck:
    """A device, the file for its pin, what is pinned now, and the certificate that it showed.

    Fingerprints are 64 hex digits, `""` for none. `is_ambiguous`: another device at the same
    address has shown another certificate.
    """

    device: Device
    file: Path
    pinned: str
    certificate: Certificate | None = None
    is_ambiguous: bool = False

    @property
    def shown(self) -> str:
        """The fingerprint of the certificate that it showed."""
        return "" if self.certificate is None else self.certificate.fingerprint_sha256

    @property
    def state(self) -> PinState:
        """How its certificate compares with the pinned one."""
        if not self.shown:
            return "not seen"
        if self.is_ambiguous:
            return "ambiguous"
        if not self.pinned:
            return "new"
        return "pinned" if self.pinned == self.shown else "changed"


def find_ambiguous(checks: Sequence[PinCheck]) -> None:
    """Mark the devices whose address, which has one pin, has shown several certificates."""
    shown: defaultdict[tuple[Path, Place], set[str]] = defaultdict(set)
    for check in checks:
        shown[check.file, place_of(check.device.target.address)].add(check.shown)
    for check in checks:
        found = shown[check.file, place_of(check.device.target.address)] - {""}
        check.is_ambiguous = len(found) > 1


def pin_lines(checks: Sequence[PinCheck]) -> Iterator[Line]:
    """Yield a table of the devices whose certificate is not the pinned one."""
    shown = [check for check in checks if check.state != "pinned"]
    rows = [_HEAD, *map(_columns, shown)]
    widths = [min(_WIDEST, max(map(cell_width, column))) for column in zip(*rows, strict=True)][:-1]
    styles = ["bold", *(_STYLES[check.state] for check in shown)]
    for row, style in zip(rows, styles, strict=True) if shown else ():
        *cells, last = row
        padded = [_padded(cell, width) for cell, width in zip(cells, widths, strict=True)]
        yield (Span("  ".join([*padded, last]), style),)


def _padded(text: str, width: int) -> str:
    shown = cut(text, width)
    return shown + " " * (width - cell_width(shown))


def _columns(check: PinCheck) -> tuple[str, ...]:
    target, certificate, show = check.device.target, check.certificate, check.device.client.shown
    place = escaped(target.name), escaped(target.address), check.state
    if certificate is None:
        return *place, "", "", "", escaped(str(check.device.state.last.error or "not asked"))
    is_own = certificate.issuer == certificate.subject
    before = f" instead of {check.pinned}" if check.pinned else ""
    return (
        *place,
        show(certificate.subject),
        "itself" if is_own else show(certificate.issuer),
        _date(certificate.not_after),
        f"{check.shown}{before}",
    )


def _date(unix_seconds: float | None) -> str:
    if unix_seconds is None:
        return "unreadable"
    return datetime.fromtimestamp(unix_seconds, UTC).date().isoformat()


def summary(checks: Sequence[PinCheck]) -> str:
    """Return how many devices are in each state."""
    counts = {
        state: sum(check.state == state for check in checks)
        for state in ("pinned", "new", "changed", "ambiguous", "not seen")
    }
    words = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    return f"{len(checks)} {plural(len(checks), 'device')}: {words}"
