"""docs/alerting.md agrees with the rules, the example and the scenarios."""

from __future__ import annotations

import re
from pathlib import Path

from tests.alerting.rules import ALERTMANAGER_EXAMPLE, ROOT, alerts, load
from tests.alerting.scenarios import SCENARIOS
from tests.alerting.table import DOCS, HEAD, Row, documented_times, known_cells, write_table
from tests.docs.tables import MEANINGS

PAGE = DOCS.read_text("utf-8")


def rows_of_alerts() -> list[str]:
    severities: dict[str, list[str]] = {}
    cells: dict[str, str] = {}
    for each in alerts():
        severities.setdefault(each.name, []).append(each.severity)
        cells[each.name] = f"{MEANINGS[each.name]} | {each.wait}"
    return [
        f"| [{name}](runbooks.md#{name.lower()}) | {cells[name]} | {', '.join(severities[name])} |"
        for name in cells
    ]


def test_the_table_of_alerts_matches_the_rules() -> None:
    assert re.findall(r"^\| \[AxisNTP.*$", PAGE, re.MULTILINE) == rows_of_alerts()


def test_the_measured_table_has_every_scenario_and_its_times() -> None:
    measured = PAGE.partition(HEAD)[2].splitlines()
    known = [re.sub(r" [\d.]+ \| [\d.]+ \|$", "", row) for row in measured]
    assert known == [known_cells(each) for each in SCENARIOS]
    assert all(re.search(r"\d \| \d+\.\d \|$", row) for row in measured)


def test_a_new_measured_table_replaces_the_old_one(tmp_path: Path) -> None:
    page = tmp_path / "alerting.md"
    page.write_text(f"before\n\n{HEAD}| old | 1.0 | 2.0 |\n\nafter\n")
    rows = [Row(each, number, 0.25) for number, each in enumerate(SCENARIOS)]
    write_table(rows, page)
    text = page.read_text()
    assert text == f"before\n\n{HEAD}{''.join(map(str, rows))}\nafter\n"
    assert documented_times(page)[SCENARIOS[3].name] == (3, 0.2)


def test_every_alert_in_the_example_exists() -> None:
    rules = load(ALERTMANAGER_EXAMPLE)["inhibit_rules"]
    named = set(re.findall(r"AxisNTP\w+", str(rules)))
    assert named <= {each.name for each in alerts()}


def test_the_table_of_what_is_silenced_has_a_row_for_each_rule_of_the_example() -> None:
    table = PAGE.partition("| while this fires | these are not sent |\n")[2].partition("\n\n")[0]
    rows = table.splitlines()[1:]
    assert len(rows) == len(load(ALERTMANAGER_EXAMPLE)["inhibit_rules"])


def test_the_rule_for_one_site_is_the_example() -> None:
    shown = PAGE.partition("## Another threshold for one site")[2].partition("```yaml\n")[2]
    example = ROOT / "deploy/one-site.rules.example.yml"
    assert shown.partition("```")[0] == example.read_text("utf-8").partition("\n")[2]
