"""The shipped rules: what the contract names, proven with promtool, documented, of known series."""

from __future__ import annotations

import re
import subprocess
from collections import defaultdict
from pathlib import Path
from typing import Final

import pytest

from exporter.metrics.catalogue import DEVICE_METRICS
from exporter.metrics.exporter import ExporterMetrics
from tests.alerting.rules import ROOT, RULE_TESTS, RULES, Alert, alerts, load, recorded, rules
from tests.support.programs import find_program
from tests.support.prometheus import PACKAGE

RUNBOOKS: Final = (
    "https://github.com/axis-ntp-exporter/axis-ntp-exporter/blob/main/docs/runbooks.md"
)

# The contract's table: for, and severities in the order of their thresholds.
CONTRACT: Final = {
    "AxisNTPExporterDown": ("5m", ["critical"]),
    "AxisNTPDeviceDown": ("10m", ["warning"]),
    "AxisNTPFleetUnreachable": ("5m", ["critical"]),
    "AxisNTPAuthenticationFailed": ("10m", ["warning"]),
    "AxisNTPClientDisabled": ("15m", ["warning"]),
    "AxisNTPNotSynchronized": ("15m", ["warning"]),
    "AxisNTPOffsetHigh": ("10m", ["warning", "critical"]),
    "AxisNTPClockSkew": ("5m", ["warning", "critical"]),
    "AxisNTPClockStepped": ("0m", ["info"]),
    "AxisNTPSyncStalled": ("30m", ["warning"]),
    "AxisNTPNoActiveServers": ("15m", ["warning"]),
    "AxisNTPSingleServer": ("1h", ["info"]),
    "AxisNTPConfigMismatch": ("15m", ["warning"]),
    "AxisNTPPollsStalled": ("5m", ["critical"]),
    "AxisNTPExporterClockSuspect": ("5m", ["critical"]),
    "AxisNTPExporterReloadFailed": ("5m", ["warning"]),
    "AxisNTPExporterPollsLate": ("15m", ["warning"]),
}
RULE_TEST_FILES: Final = sorted(RULE_TESTS.glob("*.yml"))
ALERTS: Final = list(alerts())

each_alert = pytest.mark.parametrize("alert", ALERTS, ids=lambda it: f"{it.name}-{it.severity}")


def promtool(*arguments: str | Path) -> str:
    command = [find_program("promtool", PACKAGE), *map(str, arguments)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr


def test_promtool_finds_every_rule_sound() -> None:
    assert f"SUCCESS: {len(rules())} rules found" in promtool("check", "rules", RULES)


@pytest.mark.parametrize("file", RULE_TEST_FILES, ids=lambda file: file.stem)
def test_the_rules_do_what_their_tests_say(file: Path) -> None:
    assert "SUCCESS" in promtool("test", "rules", file)


def test_the_alerts_are_the_contracts() -> None:
    waits = {alert.name: alert.wait for alert in ALERTS}
    severities: dict[str, list[str]] = defaultdict(list)
    for alert in ALERTS:
        severities[alert.name].append(alert.severity)
    assert {name: (wait, severities[name]) for name, wait in waits.items()} == CONTRACT


@each_alert
def test_an_alert_says_what_is_the_matter_and_where_to_read_on(alert: Alert) -> None:
    assert set(alert.annotations) == {"summary", "description", "runbook_url"}
    assert re.fullmatch(r"[A-Z][^{}\n]+\.", alert.annotations["summary"])
    assert alert.annotations["runbook_url"] == f"{RUNBOOKS}#{alert.name.lower()}"


@each_alert
def test_a_description_has_a_value_or_a_duration_and_who_it_is_about(alert: Alert) -> None:
    description = alert.annotations["description"]
    assert "{{ $labels.instance }}" in description
    about_a_device = "{{ $labels.device }}" in description
    assert about_a_device == ("{{ with $labels.site }} at site {{ . }}{{ end }}" in description)
    assert "$value" in description or re.search(r"\d+ minutes|hour|failed", description)


def runbook_sections() -> list[str]:
    text = (ROOT / "docs/runbooks.md").read_text("utf-8")
    return re.findall(r"^## (\S+)$", text, re.MULTILINE)


def test_there_is_a_runbook_for_each_alert_and_no_other() -> None:
    assert runbook_sections() == list(CONTRACT)


@pytest.mark.parametrize("name", CONTRACT)
def test_a_runbook_tells_what_how_to_see_what_to_do_and_when_it_is_wrong(name: str) -> None:
    text = (ROOT / "docs/runbooks.md").read_text("utf-8")
    section = text.partition(f"## {name}\n")[2].partition("\n## ")[0]
    told = re.findall(r"^\*\*(.+?)\*\*", section, re.MULTILINE)
    assert told == ["What it means.", "See for yourself.", "What to do.", "When it is wrong."]
    assert "`" in section.partition("**See for yourself.**")[2].partition("**What to do.**")[0]


def catalogue() -> set[str]:
    """Every series that the exporter may show, those of histograms by their parts."""
    own = list(ExporterMetrics().registry.collect())
    histograms = [family.name for family in own if family.type == "histogram"]
    parts = {f"{name}_{part}" for name in histograms for part in ("bucket", "sum", "count")}
    return {metric.name for metric in DEVICE_METRICS} | {family.name for family in own} | parts


def series_named(text: str) -> set[str]:
    """The series that a text names; recorded ones, which have colons, as a whole."""
    return set(re.findall(r"[\w:]*axis_ntp_[\w:]+", text))


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.get("alert") or rule["record"])
def test_a_rule_uses_series_that_there_are(rule: dict[str, object]) -> None:
    used = series_named(str(rule["expr"])) | series_named(str(rule.get("annotations")))
    assert used - catalogue() - recorded() == set()


def fired_in_tests() -> set[str]:
    """The alerts that some promtool test expects to fire."""
    groups = [group for file in RULE_TEST_FILES for group in load(file)["tests"]]
    cases = [case for group in groups for case in group.get("alert_rule_test", [])]
    return {case["alertname"] for case in cases if case.get("exp_alerts")}


def test_every_alert_fires_in_some_promtool_test() -> None:
    assert fired_in_tests() == set(CONTRACT)


def test_every_recording_rule_names_its_level_its_metric_and_its_operation() -> None:
    assert all(re.fullmatch(r"job_instance:axis_ntp_\w+:\w+", name) for name in recorded())
