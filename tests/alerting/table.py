"""The table of alert scenarios in docs/alerting.md: what is told, how soon, how soon resolved."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.alerting.inbox import Inbox
from tests.alerting.scenarios import SCENARIOS, Scenario

HEAD: Final = (
    "| what happens | told | to | silenced with it | minutes to fire | minutes to resolve |\n"
    "| --- | --- | --- | --- | --- | --- |\n"
)


@dataclass(frozen=True)
class Row:
    """One measured scenario. Times in the rules' minutes."""

    scenario: Scenario
    to_fire: float
    to_resolve: float

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


def write_table(rows: list[Row], file: Path) -> None:
    """Write the measured rows, in the scenarios' order, as docs/alerting.md has them."""
    by_name = {row.scenario.name: row for row in rows}
    lines = [str(by_name[each.name]) for each in SCENARIOS if each.name in by_name]
    file.write_text(HEAD + "".join(lines))
