"""Measurements and their limits, as rows of a Markdown table."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Row(NamedTuple):
    """What was measured, the result, its limit, and whether the result is within the limit."""

    what: str
    measured: str
    bar: str
    met: bool

    def __str__(self) -> str:
        """Return the row of the table."""
        return f"| {self.what} | {self.measured} | {self.bar} | {'yes' if self.met else 'NO'} |"


def print_table(rows: Iterable[Row]) -> None:
    """Print each row as it is measured."""
    print("| what | measured | bar | met |\n| --- | --- | --- | --- |", flush=True)
    for row in rows:
        print(row, flush=True)


def at_most(what: str, measured: float, bar: float, unit: str, note: str = "") -> Row:
    """Return a row whose measurement must not exceed its limit; both in `unit`."""
    shown = f"{measured:.3g}{unit}" + (f" ({note})" if note else "")
    return Row(what, shown, f"≤ {bar:g}{unit}", measured <= bar)
