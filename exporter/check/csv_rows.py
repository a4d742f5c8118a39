"""Checked devices as CSV for spreadsheets and programs. Pure."""

import csv
import time
from collections.abc import Iterable, Iterator
from typing import Any, Final, TextIO

from exporter.check.examine import DeviceCheck
from exporter.check.table import STATES
from exporter.clock.offset import Offset
from exporter.system.text import escaped

_FORMULA: Final = tuple("=+-@＝＋－＠")  # noqa: RUF001 - spreadsheets take wide signs, too
"""What a spreadsheet takes for the beginning of a formula."""

_LABEL_PREFIX: Final = "label_"


class CheckCsv:
    """Writes one table: the columns are those of `labels` and the fixed ones."""

    def __init__(self, stream: TextIO, checks: Iterable[DeviceCheck]) -> None:
        targets = [check.device.target for check in checks]
        self._labels = sorted({name for target in targets for name in target.labels})
        self._writer = csv.writer(stream, lineterminator="\n")
        self._has_header = False

    def write(self, checks: Iterable[DeviceCheck]) -> None:
        """Write the header, the first time, and a row for each device."""
        for check in checks:
            row = dict(self._columns(check))
            if not self._has_header:
                self._writer.writerow(row)
                self._has_header = True
            self._writer.writerow(_cell(value) for value in row.values())

    def _columns(self, check: DeviceCheck) -> Iterator[tuple[str, Any]]:
        state, target = check.device.state, check.device.target
        certificate = check.certificate
        yield "device", target.name
        yield "address", target.address
        yield "state", STATES[check.level]
        yield "reported_offset_seconds", state.last.client.status.reported_offset_seconds
        yield from _offset("measured", check.offset)
        yield "problem", ", ".join(issue.text for issue in check.issues)
        yield "advice", " ".join(issue.to_do for issue in check.issues)
        error = state.last.error
        yield "reason", "" if error is None else error.reason
        yield "code", None if error is None else error.code
        yield "message", "" if error is None else str(error)
        yield "time", "" if check.ended is None else _utc(check.ended.unix_seconds)
        yield "seconds", state.last_poll_seconds
        yield from _offset("true", check.true_offset)
        yield "scheme", target.scheme
        yield "fingerprint_sha256", "" if certificate is None else certificate.fingerprint_sha256
        for name in self._labels:
            yield f"{_LABEL_PREFIX}{name}", target.labels.get(name, "")


def _offset(kind: str, offset: Offset | None) -> Iterator[tuple[str, float | None]]:
    seconds, uncertainty_seconds, _ = offset or (None, None, False)
    yield f"{kind}_offset_seconds", seconds
    yield f"{kind}_offset_uncertainty_seconds", uncertainty_seconds


def _utc(unix_seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(unix_seconds))


def _cell(value: object) -> object:
    """Return what to write: numbers as they are, no text that a spreadsheet would calculate."""
    if value is None or isinstance(value, int | float):
        return value
    text = escaped(str(value))
    return f"'{text}" if text.lstrip().startswith(_FORMULA) else text
