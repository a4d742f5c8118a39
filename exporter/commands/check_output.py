"""What `check` prints, and when: a table, blocks, JSON or CSV; rows as they come in."""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Final, NamedTuple

from exporter.check.csv_rows import CheckCsv
from exporter.check.examine import DeviceCheck
from exporter.check.report import as_document, host_clock_lines, summary, table
from exporter.check.servers import ServerCheck
from exporter.check.table import SORTS, Layout, in_order, table_lines
from exporter.commands.targets import UsageError
from exporter.system.terminal import (
    Line,
    Span,
    clear,
    print_lines,
    print_tables,
    terminal_height,
    terminal_width,
)
from exporter.system.text import cell_width, format_duration, plural
from exporter.time_servers.host_clock import HostClockNote

_FORMATS: Final = ("table", "json", "csv")


class CheckResults(NamedTuple):
    """One round: the devices, the time servers, and what is known of this host's clock."""

    checks: list[DeviceCheck]
    servers: list[ServerCheck]
    host_clock: HostClockNote

    @property
    def fine(self) -> bool:
        """Whether every device is."""
        return all(check.fine for check in self.checks)


def add_output_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags that say what is printed, and how."""
    add = parser.add_argument
    add("-v", "--verbose", action="store_true", help="explain each device, as for a single one")
    add("--only-problems", action="store_true", help="leave out devices that are fine")
    # The flag's old name.
    add("--only-troubles", action="store_true", dest="only_problems", help=argparse.SUPPRESS)
    add("--sort", choices=SORTS, help="order of the devices (default: problem, the worst first)")
    add("--format", choices=_FORMATS, help="how to print the results (default: table)")
    add("--json", action="store_true", help="short for --format=json")


def output_format(arguments: argparse.Namespace) -> str:
    """Return the chosen format. Raises `UsageError` for two."""
    if arguments.json and arguments.format not in (None, "json"):
        raise UsageError(f"use either --json or --format={arguments.format}, not both")
    return "json" if arguments.json else arguments.format or "table"


class CheckPrinter:
    """Prints rounds of results to standard output. Its methods raise `OutputFailed`.

    `every_seconds` is the interval of `--watch`, `None` for a single round.
    """

    def __init__(
        self,
        arguments: argparse.Namespace,
        checks: Sequence[DeviceCheck],
        every_seconds: float | None,
    ) -> None:
        self._format, self._sort = output_format(arguments), arguments.sort
        self._only_problems, self._every_seconds = arguments.only_problems, every_seconds
        self._has_blocks = arguments.verbose or len(checks) == 1
        self._is_terminal = sys.stdout.isatty()
        self._lay_out(checks)
        self._csv = CheckCsv(sys.stdout, checks)

    def _lay_out(self, checks: Sequence[DeviceCheck]) -> None:
        self._width = terminal_width()
        self._layout = Layout.of(checks, self._width)

    @property
    def _as_they_come(self) -> bool:
        """Whether rows are shown as they come in: in no order, so not where one is asked for."""
        is_table = self._format == "table" and not self._has_blocks
        is_one_round = self._every_seconds is None and self._sort is None
        return is_table and is_one_round and self._is_terminal

    def begin(self) -> Callable[[DeviceCheck], Iterable[Line]] | None:
        """Print what stands above the rows; return what makes them, `None` if none come yet."""
        if not self._as_they_come:
            return None
        print_lines([self._layout.header()], sys.stdout)
        return lambda check: map(self._layout.row, self._shown([check]))

    def _shown(self, checks: Iterable[DeviceCheck]) -> list[DeviceCheck]:
        return [check for check in checks if not (self._only_problems and check.fine)]

    def print(self, results: CheckResults) -> None:
        """Print a round."""
        checks = self._shown(results.checks)
        if self._format != "table":
            self._print_for_programs(in_order(checks, self._sort) if self._sort else checks)
            return
        # What is known by now needs less room, and the window may have another size.
        self._lay_out(results.checks)
        if self._every_seconds is not None:
            self._print_time(self._every_seconds)
        checks = in_order(checks, self._sort or "problem")
        end = [
            *host_clock_lines(results.host_clock, results.servers, self._width),
            *summary(results.checks, self._width),
        ]
        if self._has_blocks:
            print_tables(map(table, checks), sys.stdout)
        else:
            print_lines(self._rows(checks, sum(map(self._height, end))), sys.stdout)
        print_lines(end, sys.stdout)

    def _height(self, line: Line) -> int:
        """Return how many lines of the window a line takes."""
        return max(-(-sum(cell_width(span.text) for span in line) // self._width), 1)

    def _rows(self, checks: list[DeviceCheck], lines_below: int) -> Iterable[Line]:
        if self._as_they_come:
            # Those with problems again, in order and where they are seen: the last lines.
            checks = [check for check in checks if not check.fine]
            return [(), *table_lines(checks, self._layout)] if checks else [()]
        if self._every_seconds is None or not self._is_terminal:
            return table_lines(checks, self._layout) if checks else []
        # The window: a line for the time, the header, the progress bar, and the one of the cursor.
        return _at_most(checks, self._layout, max(terminal_height() - lines_below - 4, 1))

    def _print_time(self, every_seconds: float) -> None:
        if self._is_terminal:
            clear(sys.stdout)
        now = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
        text = f"{now}, every {format_duration(every_seconds)}, until Ctrl-C"
        print_lines([(Span(text, "bold"),)], sys.stdout)

    def _print_for_programs(self, checks: Sequence[DeviceCheck]) -> None:
        if self._format == "json":
            print(json.dumps([as_document(check) for check in checks], indent=2), flush=True)
            return
        self._csv.write(checks)
        sys.stdout.flush()


def _at_most(checks: Sequence[DeviceCheck], layout: Layout, room: int) -> Iterable[Line]:
    """Yield a table of at most so many rows; the last one says how many devices are left out."""
    fits = len(checks) <= room
    yield from islice(table_lines(checks, layout), 1 + (room if fits else room - 1))
    if not fits:
        left = len(checks) - room + 1
        yield (Span(f"… and {left:,} more {plural(left, 'device')}", "dim"),)
