"""The table of alert scenarios in docs/alerting.md: the alerts and how long they take."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.alerting.inbox import Inbox
from tests.alerting.rules import ROOT
from tests.alerting.scenarios import SCENARIOS, Scenario

DOCS: Final = ROOT / "docs/alerting.md"

EARLY_MINUTES: Final = 6.0
"""Alertmanager updates a group every five minutes."""

LATE_MINUTES: Final = 20.0
"""A loaded machine adds any time. Too long a `for` is what promtool's tests find."""

Times = tuple[float, float]
"""Minutes of the rules to fire and to resolve."""

HEAD: Final = (
    "| what happens | alert | receiver | inhibited alerts "
    "| minutes to fire | minutes to resolve |\n"
    "| --- | --- | --- | --- | --- | --- |\n"
)


@dataclass(frozen=True)
class Row:
    """One measured scenario; times in minutes of the rules."""

    scenario: Scenario
    to_fire: float
    to_resolve: float

    @property
    def times(self) -> Times:
        return self.to_fire, self.to_resolve

    def is_close_to(self, times: Times) -> bool:
        """Return whether these times are neither much earlier nor much later than others."""
        late = [here - there for here, there in zip(self.times, times, strict=True)]
        return all(-EARLY_MINUTES <= minutes <= LATE_MINUTES for minutes in late)

    def __str__(self) -> str:
        return f"{known_cells(self.scenario)} {self.to_fire:.1f} | {self.to_resolve:.1f} |\n"


def measured(
    scenario: Scenario, device: str, inbox: Inbox, began: float, repaired: float, scale: float
) -> Row:
    """Return a row with the times from begin to firing and from repair to resolved."""
    firing, resolved = (inbox.first(scenario.notice(device, s)) for s in ("firing", "resolved"))
    minute = 60 / scale
    return Row(scenario, (firing - began) / minute, (resolved - repaired) / minute)


def known_cells(scenario: Scenario) -> str:
    """Return the cells of a row that need no measurement."""
    silenced = ", ".join(map(str, scenario.suppressed))
    return f"| {scenario.name} | {scenario.alert} | {scenario.receiver} | {silenced} |"


def documented_times(page: Path) -> dict[str, Times]:
    """Return the times in a page's table, by the name of the scenario."""
    _, rows, _ = _split(page.read_text("utf-8"))
    cells = [row.strip("| ").split(" | ") for row in rows.splitlines()]
    return {row[0]: (float(row[-2]), float(row[-1])) for row in cells}


def write_table(rows: list[Row], page: Path) -> None:
    """Replace the rows of a page's table, in the order of the scenarios."""
    before, _, after = _split(page.read_text("utf-8"))
    by_name = {row.scenario.name: row for row in rows}
    lines = [str(by_name[each.name]) for each in SCENARIOS]
    page.write_text(before + "".join(lines) + after, "utf-8")


def _split(text: str) -> tuple[str, str, str]:
    """Split a page: the text before the rows of its table, the rows, the text after them."""
    before, head, rest = text.partition(HEAD)
    assert head, "the page has the table's head"
    rows = "".join(line for line in rest.splitlines(keepends=True) if line.startswith("|"))
    assert rest.startswith(rows), "the table is in one piece"
    return before + head, rows, rest.removeprefix(rows)
