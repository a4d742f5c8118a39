"""The shipped rules: complete, tested with promtool, documented, and on existing series."""

from __future__ import annotations

import re
import subprocess
from collections import defaultdict
from itertools import groupby
from pathlib import Path
from typing import Final

import pytest

from exporter.metrics.catalogue import DEVICE_METRICS
from exporter.metrics.exporter import ExporterMetrics
from exporter.metrics.time_servers import SPELLINGS, TIME_SERVER_METRICS
from tests.alerting.rules import (
    ROOT,
    RULE_TESTS,
    RULES,
    AlertRule,
    alerts,
    load,
    recorded,
    rules,
)
from tests.support.programs import find_program
from tests.support.prometheus import PACKAGE

RUNBOOKS: Final = (
    "https://github.com/axis-ntp-exporter/axis-ntp-exporter/blob/main/docs/runbooks.md"
)

# `for`, and the severities in the order of their thresholds.
CONTRACT: Final = {
    "AxisNTPExporterDown": ("5m", ["critical"]),
    "AxisNTPDeviceDown": ("10m", ["warning"]),
    "AxisNTPFleetUnreachable": ("5m", ["critical"]),
    "AxisNTPAuthenticationFailed": ("10m", ["warning"]),
    "AxisNTPClientDisabled": ("15m", ["warning"]),
    "AxisNTPNotSynchronized": ("15m", ["warning"]),
    "AxisNTPOffsetHigh": ("10m", ["critical", "warning"]),
    "AxisNTPClockSkew": ("5m", ["critical", "warning"]),
    "AxisNTPClockStepped": ("0m", ["info"]),
    "AxisNTPSyncStalled": ("15m", ["warning"]),
    "AxisNTPClockDrifting": ("30m", ["info"]),
    "AxisNTPTimeServerDown": ("10m", ["warning"]),
    "AxisNTPTimeServerUnusable": ("15m", ["warning"]),
    "AxisNTPTimeServerOff": ("15m", ["warning"]),
    "AxisNTPHostClockUnsynchronized": ("15m", ["warning"]),
    "AxisNTPNoActiveServers": ("15m", ["warning"]),
    "AxisNTPSingleServer": ("1h", ["info"]),
    "AxisNTPConfigMismatch": ("15m", ["warning"]),
    "AxisNTPCertificateExpiring": ("1h", ["warning"]),
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


def test_promtool_accepts_every_rule() -> None:
    assert f"SUCCESS: {len(rules())} rules found" in promtool("check", "rules", RULES)


@pytest.mark.parametrize("file", RULE_TEST_FILES, ids=lambda file: file.stem)
def test_the_promtool_tests_pass(file: Path) -> None:
    assert "SUCCESS" in promtool("test", "rules", file)


def test_the_critical_rule_of_an_alert_stands_before_its_warning() -> None:
    """Prometheus sends alerts in the order of their rules.

    Alertmanager notifies at once of an alert that has been firing for longer than `group_wait`:
    what inhibits it must be there already. See `test_an_alert_that_arrives_late`.
    """
    ranks = {"critical": 0, "warning": 1, "info": 2}
    for name, of_alert in groupby(ALERTS, lambda alert: alert.name):
        order = [ranks[alert.severity] for alert in of_alert]
        assert order == sorted(order), name


def test_the_alerts_match_the_contract() -> None:
    waits = {alert.name: alert.wait for alert in ALERTS}
    severities: dict[str, list[str]] = defaultdict(list)
    for alert in ALERTS:
        severities[alert.name].append(alert.severity)
    assert {name: (wait, severities[name]) for name, wait in waits.items()} == CONTRACT


def test_what_a_repaired_device_still_silences_goes_on_until_it_can_have_synchronized() -> None:
    kept = {rule["alert"] for rule in rules() if rule.get("keep_firing_for") == "15m"}
    assert kept == {"AxisNTPClientDisabled", "AxisNTPNoActiveServers"}


@each_alert
def test_an_alert_has_its_texts_and_a_runbook_link(alert: AlertRule) -> None:
    assert set(alert.annotations) == {"summary", "description", "runbook_url"}
    assert alert.annotations["runbook_url"] == f"{RUNBOOKS}#{alert.name.lower()}"
    assert all("\n" not in text for text in alert.annotations.values())


NAMES: Final = {
    "device": "{{ $labels.device }}{{ with $labels.site }} ({{ . }}){{ end }}",
    "server": "time server {{ $labels.server }}",
    "exporter": "exporter {{ $labels.instance }} (job {{ $labels.job }})",
}


def whom(alert: AlertRule) -> str:
    about = [name for name in NAMES if f"$labels.{name}" in alert.annotations["description"]]
    return about[0] if about else "exporter"


@each_alert
def test_a_summary_begins_with_the_name_of_the_device_server_or_exporter(alert: AlertRule) -> None:
    summary = alert.annotations["summary"].removeprefix("{{ if $labels.instance }}")
    assert summary.startswith(f"{NAMES[whom(alert)]}: ")
    assert not summary.endswith(".")


@each_alert
def test_a_description_says_where_and_what_to_do_first(alert: AlertRule) -> None:
    description = alert.annotations["description"]
    assert "{{ $labels.instance }}" in description
    assert re.search("Check first|Configure a second", description)
    asks_for_the_address = 'query (printf "axis_ntp_device_info{%s}" $me)' in description
    assert asks_for_the_address == (whom(alert) == "device")


def test_the_queries_of_texts_leave_out_labels_that_cannot_stand_in_a_selector() -> None:
    """Prometheus 3 allows any name of a label (`k8s.pod`), which a selector must quote.

    promtool of older versions cannot have such series.
    """
    taken, left_out = set[str](), set[str]()
    for alert in ALERTS:
        taken |= set(re.findall(r'and \(match "(.+?)" \$name', str(alert.annotations)))
        left_out |= set(re.findall(r'not \(match "(.+?)" \$name', str(alert.annotations)))
    [pattern], [exceptions] = taken, left_out
    names = ["device", "_replica", "Rack2", "k8s.pod", "a-b", "größe", "__name__", "address"]
    used = [each for each in names if re.match(pattern, each) and not re.match(exceptions, each)]
    assert used == ["device", "_replica", "Rack2"]


DEVICE_ALERTS: Final = sorted({each.name for each in ALERTS if whom(each) == "device"})


@pytest.mark.parametrize("name", DEVICE_ALERTS)
def test_every_alert_about_a_device_is_tested_with_its_address_and_without(name: str) -> None:
    """An alert must not be lost where `axis_ntp_device_info` is absent."""
    texts = [
        expected["exp_annotations"]["description"]
        for file in RULE_TEST_FILES
        for group in load(file)["tests"]
        for case in group.get("alert_rule_test", [])
        if case["alertname"] == name
        for expected in case.get("exp_alerts", [])
    ]
    assert any(" at 192.0.2." in text for text in texts)
    assert any(" at 192.0.2." not in text for text in texts)


def runbook_sections() -> list[str]:
    text = (ROOT / "docs/runbooks.md").read_text("utf-8")
    return re.findall(r"^## (\S+)$", text, re.MULTILINE)


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    assert runbook_sections() == list(CONTRACT)


@pytest.mark.parametrize("name", CONTRACT)
def test_every_runbook_has_its_four_parts(name: str) -> None:
    text = (ROOT / "docs/runbooks.md").read_text("utf-8")
    section = text.partition(f"## {name}\n")[2].partition("\n## ")[0]
    parts = re.findall(r"^\*\*(.+?)\*\*", section, re.MULTILINE)
    assert parts == ["What it means.", "Verify.", "What to do.", "False alarm."]
    assert "`" in section.partition("**Verify.**")[2].partition("**What to do.**")[0]


def catalogue() -> set[str]:
    """Return the names of all series of the exporter, with the parts of histograms."""
    own = list(ExporterMetrics().registry.collect())
    histograms = [family.name for family in own if family.type == "histogram"]
    parts = {f"{name}_{part}" for name in histograms for part in ("bucket", "sum", "count")}
    own_names = {family.name for family in own} | parts
    metrics = (*DEVICE_METRICS, *TIME_SERVER_METRICS)
    return {metric.name for metric in metrics} | own_names | {SPELLINGS[0]}


def series_named(text: str) -> set[str]:
    """Return the names of series in a text, recorded series (with colons) included."""
    return set(re.findall(r"[\w:]*axis_ntp_[\w:]+", text))


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.get("alert") or rule["record"])
def test_a_rule_uses_only_existing_series(rule: dict[str, object]) -> None:
    used = series_named(str(rule["expr"])) | series_named(str(rule.get("annotations")))
    assert used - catalogue() - recorded() == set()


def fired_in_tests() -> set[str]:
    """Return the alerts that any promtool test expects to fire."""
    groups = [group for file in RULE_TEST_FILES for group in load(file)["tests"]]
    cases = [case for group in groups for case in group.get("alert_rule_test", [])]
    return {case["alertname"] for case in cases if case.get("exp_alerts")}


def test_every_alert_fires_in_a_promtool_test() -> None:
    assert fired_in_tests() == set(CONTRACT)


def test_names_of_recording_rules_have_level_metric_and_operation() -> None:
    of_exporters = {name for name in recorded() if not name.startswith("device:")}
    assert all(re.fullmatch(r"job_instance:axis_ntp_\w+:\w+", name) for name in of_exporters)
    # Sums of two series, not an operation on one.
    assert recorded() - of_exporters == {
        "device:axis_ntp_true_offset_seconds",
        "device:axis_ntp_true_offset_uncertainty_seconds",
    }
