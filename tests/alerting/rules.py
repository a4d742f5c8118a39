"""The shipped rules, read: what tests, docs and the time scale see of them."""

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
class Alert:
    """One alerting rule; an alert of two severities has two."""

    name: str
    expression: str
    wait: str
    severity: str
    annotations: dict[str, str]


def load(file: Path) -> Any:
    """A YAML file's content."""
    return yaml.safe_load(file.read_text("utf-8"))


def rules() -> list[dict[str, Any]]:
    """Every rule, recording ones included, in the file's order."""
    return [rule for group in load(RULES)["groups"] for rule in group["rules"]]


def alerts() -> Iterator[Alert]:
    """Every alerting rule, in the file's order."""
    for rule in rules():
        if "alert" in rule:
            assert set(rule["labels"]) == {"severity"}, rule["alert"]
            severity = rule["labels"]["severity"]
            yield Alert(rule["alert"], rule["expr"], rule["for"], severity, rule["annotations"])


def recorded() -> set[str]:
    """The names that recording rules give."""
    return {rule["record"] for rule in rules() if "record" in rule}
