"""Checked devices as a table with one line a device, in columns that fit a terminal. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, Literal, NamedTuple, Self

from exporter.check.examine import DeviceCheck
from exporter.devices.health import LEVELS, Level
from exporter.system.terminal import Line, Span
from exporter.system.text import (
    cell_width,
    cut,
    cut_middle,
    escaped,
    format_clock,
    format_clock_shortly,
    format_offset,
    format_offset_shortly,
    natural_key,
)

SORTS: Final = ("problem", "name", "offset")
Sort = Literal["problem", "name", "offset"]

COLUMNS: Final = ("DEVICE", "ADDRESS", "STATE", "REPORTED", "MEASURED", "PROBLEM")

STATES: Final[dict[Level, str]] = {
    "bad": "bad",
    "warning": "warning",
    "waiting": "not checked",
    "good": "fine",
}
_STYLES: Final[dict[Level, str]] = {
    "bad": "red",
    "warning": "yellow",
    "waiting": "yellow",
    "good": "green",
}
_STATE_WIDTH: Final = len("warning")
_WIDE, _NARROW = (11, 26), (9, 15)
"""The columns of both offsets, in full, and at most in short."""

_LEAST_WIDE_PROBLEM: Final = 32
"""With fewer columns for the problem, the offsets are short."""

_LEAST_PROBLEM: Final = 16
"""With fewer, names and addresses are cut too."""


class Layout(NamedTuple):
    """Where columns begin, the width of a line, and whether the offsets have few digits."""

    starts: tuple[int, ...]
    width: int
    is_short: bool

    @classmethod
    def of(cls, checks: Iterable[DeviceCheck], width: int) -> Self:
        """Lay out a table of these devices; their results need not be known yet.

        If all are known, names have the room that short offsets do not need.
        """
        checks = list(checks)
        targets = [check.device.target for check in checks]
        device = max(cell_width(escaped(each.name)) for each in targets)
        address = max(cell_width(escaped(each.address)) for each in targets)
        device, address = max(device, len("DEVICE")), max(address, len("ADDRESS"))
        wide = cls._place((device, address, _STATE_WIDTH, *_WIDE), 2, width, is_short=False)
        if width - wide.starts[-1] >= _LEAST_WIDE_PROBLEM:
            return wide
        numbers = _short_widths(checks)
        others = _STATE_WIDTH + sum(numbers) + len(COLUMNS) - 1
        room = width - others - _LEAST_PROBLEM
        device = min(device, max(room // 2, room - address))
        address = min(address, room - device)
        return cls._place((device, address, _STATE_WIDTH, *numbers), 1, width, is_short=True)

    @classmethod
    def _place(cls, widths: Sequence[int], gap: int, width: int, *, is_short: bool) -> Self:
        starts = [0]
        for each in widths:
            starts.append(starts[-1] + each + gap)
        return cls(tuple(starts), width, is_short)

    def line(self, cells: Sequence[Span]) -> Line:
        """Return a line: names are cut to their columns, the last text to the line's end."""
        gap, used = self._gap, 0
        spans = []
        for number, (start, (text, style)) in enumerate(zip(self.starts, cells, strict=True)):
            space = max(start - used, gap if text and used else 0)
            if number < len(("DEVICE", "ADDRESS")):
                shown = cut_middle(text, self._room(number))
            else:
                shown = cut(text, max(self.width - used - space, 0))
            spans.append(Span(f"{' ' * space}{shown}" if shown else "", style))
            used += space + cell_width(shown) if shown else 0
        return tuple(span for span in spans if span.text)

    @property
    def _gap(self) -> int:
        return 1 if self.is_short else 2

    def _room(self, number: int) -> int:
        return self.starts[number + 1] - self._gap - self.starts[number]

    def header(self) -> Line:
        """Return the names of the columns."""
        return self.line([Span(name, "bold") for name in COLUMNS])

    def row(self, check: DeviceCheck) -> Line:
        """Return the line of a device."""
        target, level = check.device.target, check.level
        reported, measured = (_short_offsets if self.is_short else _full_offsets)(check)
        room = self._room(COLUMNS.index("REPORTED"))
        cells = (
            Span(escaped(target.name)),
            Span(escaped(target.address)),
            Span(STATES[level], _STYLES[level]),
            Span(f"{reported:>{room}}" if reported else ""),
            Span(measured),
            Span(self._problem(check), _STYLES[level]),
        )
        return self.line(cells)

    def _problem(self, check: DeviceCheck) -> str:
        if self.is_short:
            return escaped(", ".join(issue.cause or issue.text for issue in check.issues))
        texts = [issue.text for issue in check.issues]
        error = check.device.state.last.error
        if error is not None and texts:
            # The number is in the issue's text.
            texts[0] += f": {str(error).removeprefix(f'HTTP {error.code}: ')}"
        return escaped(", ".join(texts))


def _full_offsets(check: DeviceCheck) -> tuple[str, str]:
    """Return the reported and the measured offset; `""` for one that is unknown."""
    reported = check.device.state.last.client.status.reported_offset_seconds
    return "" if reported is None else format_offset(reported), format_clock(check.offset)


def _short_offsets(check: DeviceCheck) -> tuple[str, str]:
    reported = check.device.state.last.client.status.reported_offset_seconds
    shown = "" if reported is None else format_offset_shortly(reported)
    return shown, format_clock_shortly(check.offset)


def _short_widths(checks: Sequence[DeviceCheck]) -> Sequence[int]:
    """Return the columns of both offsets in short: as many as they need, once all are known."""
    if not all(check.checked for check in checks):
        return _NARROW
    rows = [("REPORTED", "MEASURED"), *map(_short_offsets, checks)]
    needed = (max(map(cell_width, column)) for column in zip(*rows, strict=True))
    return [min(each) for each in zip(needed, _NARROW, strict=True)]


def table_lines(checks: Sequence[DeviceCheck], layout: Layout) -> Iterator[Line]:
    """Yield the header and a line for each device."""
    yield layout.header()
    for check in checks:
        yield layout.row(check)


def in_order(checks: Iterable[DeviceCheck], sort: Sort) -> list[DeviceCheck]:
    """Return devices in an order: the worst first, by name, or the largest offset first."""
    return sorted(checks, key=_KEYS[sort])


def _by_name(check: DeviceCheck) -> tuple[Any, ...]:
    name = check.device.target.name
    return (natural_key(name), name)


def _by_problem(check: DeviceCheck) -> tuple[Any, ...]:
    return (LEVELS.index(check.level), *_by_name(check))


def _by_offset(check: DeviceCheck) -> tuple[Any, ...]:
    size = None if check.offset is None else abs(check.offset.seconds)
    return (size is None, -(size or 0), *_by_name(check))


_KEYS: Final = {"problem": _by_problem, "name": _by_name, "offset": _by_offset}
