"""The shipped alerting rules, as Python objects."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).parents[2]
RULES: Final = ROOT / "grafana/rules/axis-ntp.rules.yml"
RULE_TESTS: Final = ROOT / "grafana/tests"
ALERTMANAGER_EXAMPLE: Final = ROOT / "deploy/alertmanager.example.yml"


@dataclass(frozen=True)
class AlertRule:
    """One alerting rule; an alert with two severities has two rules."""

    name: str
    expression: str
    wait: str
    severity: str
    annotations: dict[str, str]


def load(file: Path) -> Any:
    """Return the content of a YAML file."""
    return yaml.safe_load(file.read_text("utf-8"))


def rules() -> list[dict[str, Any]]:
    """Return every rule, including recording rules, in the file's order."""
    return [rule for group in load(RULES)["groups"] for rule in group["rules"]]


def alerts() -> Iterator[AlertRule]:
    """Yield every alerting rule, in the file's order."""
    for rule in rules():
        if "alert" in rule:
            assert set(rule["labels"]) == {"severity"}, rule["alert"]
            severity = rule["labels"]["severity"]
            yield AlertRule(rule["alert"], rule["expr"], rule["for"], severity, rule["annotations"])


def recorded() -> set[str]:
    """Return the names of the recorded series."""
    return {rule["record"] for rule in rules() if "record" in rule}
