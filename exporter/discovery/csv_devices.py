"""Read the devices in a CSV file, as inventories and AXIS Device Manager export it. Pure."""

import codecs
import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from pydantic import ValidationError

from exporter.config import DeviceConfig
from exporter.config.loader import problems_of
from exporter.discovery.target_file import FoundTarget

MAX_ROWS: Final = 100_000

_MAX_PROBLEMS: Final = 100
"""Rows that are reported one by one; the others are counted."""

_LONGEST_HEADER: Final = 65_536

_SEP_LINE: Final = re.compile(r'"?sep=([^"\r\n])"?\1*(?:\r?\n|$)', re.IGNORECASE)
"""Excel's line, perhaps saved again as a cell: in quotes, or with empty cells after it."""

_NAMES: Final = ("name", "device", "device name", "hostname", "host name")
_ADDRESSES: Final = ("address", "ip address", "ip", "ip-address", "host")
_SERIALS: Final = ("serial", "serial number", "mac", "mac address", "mac-address")

_MAC: Final = re.compile(r"[0-9A-Fa-f]{2}([:-]?[0-9A-Fa-f]{2}){5}")


class Columns(NamedTuple):
    """The columns to use, by their headers; `None` is one of the usual names.

    `labels`: the header of the column of each label.
    """

    name: str | None = None
    address: str | None = None
    labels: Mapping[str, str] = {}


class CsvDevices(NamedTuple):
    """The devices of a file, and the problems of the other rows, each with its line."""

    targets: Sequence[FoundTarget]
    problems: Sequence[str]


def read_csv_devices(document: bytes, columns: Columns) -> CsvDevices:
    """Read a CSV document with a header. Raises `ValueError` if it is none, or has no addresses.

    Empty rows are ignored. A first line `sep=;`, which Excel understands, tells the delimiter.
    """
    text = _decode(document)
    told = _SEP_LINE.match(text)
    lines_before, start = (1, told.end()) if told else (0, 0)
    delimiter = told[1] if told else _find_delimiter(text)
    reader = csv.reader(io.StringIO(text[start:]), delimiter=delimiter, strict=True)
    rows = None
    try:
        for cells in reader:
            if rows is not None:
                rows.add(lines_before + reader.line_num, cells)
            elif _has_text(cells):
                rows = _Rows(_places(cells, columns))
    except (csv.Error, ValueError) as error:
        what = f"is not CSV: {error}" if isinstance(error, csv.Error) else str(error)
        raise ValueError(f"line {lines_before + reader.line_num}: {what}") from None
    if rows is None:
        raise ValueError("has no header")
    return rows.result


def _has_text(cells: Sequence[str]) -> bool:
    return any(cell.strip() for cell in cells)


def _decode(document: bytes) -> str:
    if document.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return document.decode("utf-16", errors="replace")
    try:
        return document.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    try:
        return document.decode("cp1252")
    except UnicodeDecodeError as error:
        line = document.count(b"\n", 0, error.start) + 1
        raise ValueError(f"line {line}: is text neither in UTF-8 nor in Windows-1252") from None


def _find_delimiter(text: str) -> str:
    """Return the most frequent delimiter of the first line that has one, outside of quotes."""
    outside = "".join(text[:_LONGEST_HEADER].split('"')[::2])
    header = next((line for line in outside.splitlines() if line.strip(",;\t ")), "")
    return max(",;\t", key=header.count)


def _places(header: Sequence[str], columns: Columns) -> dict[str, int]:
    """Return the place of each column: of `address`, `name`, `serial`, and of each label.

    Raises `ValueError`.
    """
    titles = [title.strip() for title in header]
    places: dict[str, int | None] = {
        "serial": _find(titles, _SERIALS),
        "name": _find(titles, _NAMES),
        "address": _find(titles, _ADDRESSES),
    }
    wanted = {"name": columns.name, "address": columns.address}
    for key, title in {**wanted, **{f"label {k}": v for k, v in columns.labels.items()}}.items():
        if title is not None:
            places[key] = _find(titles, (title.strip().lower(),))
            if places[key] is None:
                raise ValueError(f"has no column {title!r}, only {', '.join(map(repr, titles))}")
    if places["address"] is None:
        raise ValueError(
            f"has no column of addresses, only {', '.join(map(repr, titles)) or 'nothing'}: "
            "name it with --address-column"
        )
    return {key: place for key, place in places.items() if place is not None}


def _find(titles: Sequence[str], wanted: Sequence[str]) -> int | None:
    lower = [title.lower() for title in titles]
    return next((lower.index(each) for each in wanted if each in lower), None)


class _Rows:
    """Turns rows into targets and problems."""

    def __init__(self, places: Mapping[str, int]) -> None:
        self._places = places
        self._targets: list[FoundTarget] = []
        self._problems: list[str] = []
        self._line_of: dict[str, int] = {}
        self._bad = 0
        self._count = 0

    def add(self, line: int, cells: Sequence[str]) -> None:
        """Add the row that ends at a line; an empty one is ignored.

        Raises `ValueError` if it is one too many.
        """
        if not _has_text(cells):
            return
        self._count += 1
        if self._count > MAX_ROWS:
            raise ValueError(f"has more than {MAX_ROWS:,} rows, which is the limit")
        row = {
            key: cells[place].strip() for key, place in self._places.items() if place < len(cells)
        }
        problems = [*self._add(line, row)]
        if problems:
            self._bad += 1
            if self._bad <= _MAX_PROBLEMS:
                self._problems += [f"line {line}: {problem}" for problem in problems]

    def _add(self, line: int, row: Mapping[str, str]) -> Iterator[str]:
        address, name = row.get("address", ""), row.get("name", "")
        if not address:
            yield "has no address"
            return
        labels = {
            key.removeprefix("label "): value
            for key, value in row.items()
            if key.startswith("label ") and value
        }
        if serial := row.get("serial"):
            labels.setdefault("serial", _serial(serial))
        try:
            device = DeviceConfig(address=address, name=name or None, labels=labels)
        except ValidationError as invalid:
            yield from problems_of(invalid, DeviceConfig)
            return
        if (other := self._line_of.setdefault(device.label, line)) != line:
            yield f"the name {device.label!r} is already used in line {other}"
            return
        named = {"device": name} if name else {}
        self._targets.append(FoundTarget(address, {**named, **labels}))

    @property
    def result(self) -> CsvDevices:
        """What was added."""
        problems = self._problems
        if self._bad > _MAX_PROBLEMS:
            problems = [*problems, f"{self._bad - _MAX_PROBLEMS:,} more rows cannot be used"]
        return CsvDevices(self._targets, problems)


def _serial(text: str) -> str:
    """Return a MAC address as Axis prints it on the device, any other text as it is."""
    return re.sub("[:-]", "", text).upper() if _MAC.fullmatch(text) else text
