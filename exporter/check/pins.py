"""What `check --pin` shows: each certificate that is to be pinned, and what became of it. Pure."""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Final, Literal

from exporter.config.pins import Place, place_of
from exporter.devices.device import Device
from exporter.system.terminal import Line, Span
from exporter.system.text import cell_width, cut, escaped, first_names, format_day, plural
from exporter.vapix.tls import Certificate

PinState = Literal["new", "changed", "pinned", "ambiguous", "not seen"]

_STYLES: Final = {"new": "", "changed": "red", "ambiguous": "red", "not seen": "yellow"}
_HEAD: Final = ("DEVICE", "ADDRESS", "STATE", "ENDS", "FINGERPRINT", "PINNED", "ISSUER", "SUBJECT")

_ALL_DIGITS, _FEW_DIGITS = 64, 16
_WIDTH_OF_ALL_DIGITS: Final = 200
"""In a narrower terminal fingerprints have few digits; the file has all of them."""

_LEAST_COLUMN: Final = 8
"""A column with less room is left out."""

_MOST_NAMES: Final = 3

_SERIAL: Final = re.compile(r"(?<![0-9A-Za-z])[0-9A-F]{12}(?![0-9A-Za-z])", re.IGNORECASE)
"""A serial number in the subject of a certificate: `CN=axis-accc8e012345-eccp256-1`."""


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


def pin_lines(checks: Sequence[PinCheck], width: int) -> Iterator[Line]:
    """Yield a table of the devices whose certificate is not the pinned one.

    No line is longer than `width`: fingerprints are cut first, then the last columns left out.
    """
    shown = [check for check in checks if check.state != "pinned"]
    digits = _ALL_DIGITS if width >= _WIDTH_OF_ALL_DIGITS else _FEW_DIGITS
    rows = [_columns(check, digits) for check in shown]
    # The last cell of a device without a certificate is its error, which has the rest of the line.
    aligned = [row if len(row) == len(_HEAD) else row[:-1] for row in rows]
    columns = zip_longest(_HEAD, *aligned, fillvalue="")
    widths = [_width(name, cells) for name, *cells in columns]
    if shown:
        yield (Span(_fit(_HEAD, widths, width), "bold"),)
    for check, row in zip(shown, rows, strict=True):
        yield (Span(_fit(row, widths, width), _STYLES[check.state]),)


def _width(name: str, cells: Sequence[str]) -> int:
    """Return the width of a column; 0 if it is empty."""
    return max(map(cell_width, (name, *cells))) if any(cells) else 0


def _fit(row: Sequence[str], widths: Sequence[int], width: int) -> str:
    line = ""
    for cell, column in zip(row, widths, strict=False):
        if column and cell_width(line) + _LEAST_COLUMN <= width:
            line += f"{cell}{' ' * (column - cell_width(cell))}  "
    return cut(line.rstrip(), width)


def _columns(check: PinCheck, digits: int) -> tuple[str, ...]:
    target, certificate, show = check.device.target, check.certificate, check.device.client.shown
    place = escaped(target.name), escaped(target.address), check.state
    if certificate is None:
        return *place, escaped(str(check.device.state.last.error or "not asked"))
    is_own = certificate.issuer == certificate.subject
    return (
        *place,
        "unreadable" if certificate.not_after is None else format_day(certificate.not_after),
        check.shown[:digits],
        check.pinned[:digits],
        "itself" if is_own else show(certificate.issuer),
        show(certificate.subject),
    )


def summary(checks: Sequence[PinCheck]) -> str:
    """Return how many devices are in each state."""
    counts = {
        state: sum(check.state == state for check in checks)
        for state in ("pinned", "new", "changed", "ambiguous", "not seen")
    }
    words = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    return f"{len(checks)} {plural(len(checks), 'device')}: {words}"


def find_doubts(checks: Sequence[PinCheck]) -> Iterator[str]:
    """Yield what an operator should look at before any of these certificates is pinned."""
    of_print: defaultdict[str, list[PinCheck]] = defaultdict(list)
    for check in checks:
        if check.state in ("new", "changed"):
            of_print[check.shown].append(check)
    for shown, same in of_print.items():
        places = {place_of(check.device.target.address) for check in same}
        if len(places) > 1:
            yield f"{_names(same)} show the same certificate, {shown[:_FEW_DIGITS]}…"
    others = [check for same in of_print.values() for check in same if _is_of_another(check)]
    if others:
        yield f"the certificate of {_names(others)} has the serial number of another device"


def _is_of_another(check: PinCheck) -> bool:
    """Return whether the subject has a serial number, and not the one in the label `serial`."""
    own = check.device.target.labels.get("serial", "").upper()
    subject = "" if check.certificate is None else check.certificate.subject
    found = {serial.upper() for serial in _SERIAL.findall(subject)}
    return bool(own and found) and own not in found


def _names(checks: Sequence[PinCheck]) -> str:
    return first_names([escaped(check.device.target.name) for check in checks], _MOST_NAMES)
