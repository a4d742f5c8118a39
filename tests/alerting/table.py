"""The table of alert scenarios in docs/alerting.md: what is told, how soon, how soon resolved."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.alerting.inbox import Inbox
from tests.alerting.rules import ROOT
from tests.alerting.scenarios import SCENARIOS, Scenario

DOCS: Final = ROOT / "docs/alerting.md"

TOLERANCE_MINUTES: Final = 6.0
"""Alertmanager sends to a group that it told of already every five minutes; one for the machine."""

Times = tuple[float, float]
"""To fire and to resolve, in the rules' minutes."""

HEAD: Final = (
    "| what happens | alert | receiver | inhibited alerts | minutes to fire | minutes to resolve |\n"
    "| --- | --- | --- | --- | --- | --- |\n"
)


@dataclass(frozen=True)
class Row:
    """One measured scenario. Times in the rules' minutes."""

    scenario: Scenario
    to_fire: float
    to_resolve: float

    @property
    def times(self) -> Times:
        return self.to_fire, self.to_resolve

    def is_about(self, times: Times) -> bool:
        """Whether other measured times are the same but for chance."""
        pairs = zip(self.times, times, strict=True)
        return all(abs(one - other) <= TOLERANCE_MINUTES for one, other in pairs)

    def __str__(self) -> str:
        return f"{known_cells(self.scenario)} {self.to_fire:.1f} | {self.to_resolve:.1f} |\n"


def measured(
    scenario: Scenario, device: str, inbox: Inbox, began: float, mended: float, scale: float
) -> Row:
    """How long it took from its beginning to firing, and from its end to resolved."""
    firing, resolved = (inbox.first(scenario.told(device, s)) for s in ("firing", "resolved"))
    minute = 60 / scale
    return Row(scenario, (firing - began) / minute, (resolved - mended) / minute)


def known_cells(scenario: Scenario) -> str:
    """The row's cells that are known without measuring."""
    silenced = ", ".join(map(str, scenario.suppressed))
    return f"| {scenario.name} | {scenario.alert} | {scenario.receiver} | {silenced} |"


def documented_times(page: Path) -> dict[str, Times]:
    """The times in a page's table, by the scenario's name."""
    _, rows, _ = _parted(page.read_text("utf-8"))
    cells = [row.strip("| ").split(" | ") for row in rows.splitlines()]
    return {row[0]: (float(row[-2]), float(row[-1])) for row in cells}


def write_table(rows: list[Row], page: Path) -> None:
    """Put the measured rows, in the scenarios' order, in the place of the page's."""
    before, _, after = _parted(page.read_text("utf-8"))
    by_name = {row.scenario.name: row for row in rows}
    lines = [str(by_name[each.name]) for each in SCENARIOS]
    page.write_text(before + "".join(lines) + after, "utf-8")


def _parted(text: str) -> tuple[str, str, str]:
    """A page up to its table's rows, these, and what follows."""
    before, head, rest = text.partition(HEAD)
    assert head, "the page has the table's head"
    rows = "".join(line for line in rest.splitlines(keepends=True) if line.startswith("|"))
    assert rest.startswith(rows), "the table is in one piece"
    return before + head, rows, rest.removeprefix(rows)
