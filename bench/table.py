"""What a measurement gave against its bar, as a row of a Markdown table."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Row(NamedTuple):
    """What was measured, what it gave, its bar, and whether it kept to it."""

    what: str
    measured: str
    bar: str
    met: bool

    def __str__(self) -> str:
        """The row of the table."""
        return f"| {self.what} | {self.measured} | {self.bar} | {'yes' if self.met else 'NO'} |"


def print_table(rows: Iterable[Row]) -> None:
    """Print each row when it is measured."""
    print("| what | measured | bar | met |\n| --- | --- | --- | --- |", flush=True)
    for row in rows:
        print(row, flush=True)


def at_most(what: str, measured: float, bar: float, unit: str, note: str = "") -> Row:
    """A row whose measure must not be above its bar; both in `unit`."""
    shown = f"{measured:.3g}{unit}" + (f" ({note})" if note else "")
    return Row(what, shown, f"≤ {bar:g}{unit}", measured <= bar)
