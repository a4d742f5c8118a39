"""The state of a device, and the larger of two exporters' values: promtool on made-up series."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from grafana.generate import promql
from grafana.generate.colours import STATES
from tests.dashboards.grafana import Dashboard, Span
from tests.support.programs import find_program

RULES: Final = Path(__file__).parents[2] / "grafana/rules/axis-ntp.rules.yml"
NUMBERS: Final = {name: number for number, (name, _) in STATES.items()}

NOW: Final = 180
"""The time of the evaluation."""

FINE: Final = {
    "up": 1,
    "client_present": 1,
    "client_enabled": 1,
    "synced": 1,
    "active_servers": 2,
    "config_compliant": 1,
    "time_offset_seconds": 0,
    "clock_offset_seconds": 0,
    "clock_offset_uncertainty_seconds": 0.25,
    "last_success_timestamp_seconds": NOW,
    "time_offset_last_change_timestamp_seconds": NOW - 400,
    "poll_interval_max_seconds": 100,
    "certificate_not_after_timestamp_seconds": NOW + 21 * 86_400,
    "next_poll_timestamp_seconds": NOW - 300,
}
"""A device just within the limits of the alerts on time."""

DOWN: Final = {
    name: value
    for name, value in FINE.items()
    if name.startswith(("clock", "certificate", "next", "last"))
} | {"up": 0}


def without(name: str, **others: float) -> dict[str, float]:
    return {each: value for each, value in (FINE | others).items() if each != name}


def unchanged(seconds: float) -> dict[str, float]:
    return {"time_offset_last_change_timestamp_seconds": NOW - seconds}


def ending_in(seconds: float) -> dict[str, float]:
    return {"certificate_not_after_timestamp_seconds": NOW + seconds}


OVERDUE: Final = {"next_poll_timestamp_seconds": NOW - 301}

DEVICES: Final[Mapping[str, tuple[Mapping[str, float], str]]] = {
    "fine": (FINE, "fine"),
    "without expectation": (without("config_compliant"), "fine"),
    "certificate ends": (FINE | ending_in(21 * 86_400 - 1), "certificate"),
    "certificate has ended": (FINE | ending_in(-1), "certificate"),
    "without TLS": (without("certificate_not_after_timestamp_seconds"), "fine"),
    "differs": (FINE | {"config_compliant": 0} | ending_in(1), "config differs"),
    "disabled": (FINE | {"client_enabled": 0, "config_compliant": 0}, "NTP client off"),
    "disabled, therefore no servers and not synced": (
        FINE | {"client_enabled": 0, "active_servers": 0, "synced": 0},
        "NTP client off",
    ),
    "disabled, therefore unchanged": (
        FINE | {"client_enabled": 0} | unchanged(401),
        "NTP client off",
    ),
    "without client": ({"up": 1, "client_present": 0}, "NTP client off"),
    "stalled": (FINE | unchanged(401) | {"config_compliant": 0}, "sync stalled"),
    "stalled, not known whether enabled": (
        without("client_enabled", **unchanged(401)),
        "sync stalled",
    ),
    "unchanged, without longest interval": (
        without("poll_interval_max_seconds", **unchanged(4096)),
        "fine",
    ),
    "stalled, without longest interval": (
        without("poll_interval_max_seconds", **unchanged(4097)),
        "sync stalled",
    ),
    "without time of change": (without("time_offset_last_change_timestamp_seconds"), "fine"),
    "not synced": (FINE | {"synced": 0} | unchanged(401), "not synchronized"),
    "no servers": (FINE | {"active_servers": 0, "config_compliant": 0}, "no servers"),
    "no servers, therefore not synced": (FINE | {"active_servers": 0, "synced": 0}, "no servers"),
    "at the limits": (FINE | {"clock_offset_seconds": 0.75, "time_offset_seconds": 0.1}, "fine"),
    "clock off": (FINE | {"clock_offset_seconds": -0.8, "active_servers": 0}, "clock off"),
    "reported offset high": (FINE | {"time_offset_seconds": -0.11}, "clock off"),
    "at the critical limits": (
        FINE | {"clock_offset_seconds": 2.25, "time_offset_seconds": 1},
        "clock off",
    ),
    "clock far off": (FINE | {"clock_offset_seconds": -2.3}, "clock far off"),
    "reported offset very high": (FINE | {"time_offset_seconds": 1.1}, "clock far off"),
    "down": (DOWN, "polls fail"),
    "down and far off": (DOWN | {"clock_offset_seconds": 3}, "polls fail"),
    "no longer polled": (FINE | OVERDUE, "polls overdue"),
    "no longer polled, was down": (DOWN | OVERDUE, "polls overdue"),
}
"""Devices with their series, and the name of their state."""

ALERTS: Final = {
    "AxisNTPPollsStalled": "polls overdue",
    "AxisNTPDeviceDown": "polls fail",
    "AxisNTPAuthenticationFailed": "polls fail",
    "AxisNTPClockSkew": "clock far off",
    "AxisNTPOffsetHigh": "clock far off",
    "AxisNTPNoActiveServers": "no servers",
    "AxisNTPNotSynchronized": "not synchronized",
    "AxisNTPSyncStalled": "sync stalled",
    "AxisNTPClientDisabled": "NTP client off",
    "AxisNTPConfigMismatch": "config differs",
    "AxisNTPCertificateExpiring": "certificate",
}
"""The state, or the worst one, of a device about which an alert fires."""


def series(values: Mapping[str, float], **labels: str) -> Iterator[dict[str, str]]:
    text = ",".join(f'{name}="{value}"' for name, value in labels.items())
    for name, value in values.items():
        yield {"series": f"axis_ntp_{name}{{{text}}}", "values": f"{value}+0x5"}


def assert_result(
    inputs: list[dict[str, str]], expression: str, samples: Any, folder: Path
) -> None:
    """Check with promtool that an expression has these samples."""
    filled = Dashboard("axis-ntp-fleet").fill(expression, Span(0, 300))
    test = {"expr": filled, "eval_time": "3m", "exp_samples": samples}
    group = {"interval": "1m", "input_series": inputs, "promql_expr_test": [test]}
    file = folder / "states.yml"
    file.write_text(yaml.safe_dump({"tests": [group]}))
    command = [find_program("promtool", "prometheus"), "test", "rules", str(file)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_the_state_of_a_device_is_its_worst(tmp_path: Path) -> None:
    inputs = [
        each
        for name, (values, _) in DEVICES.items()
        for each in series(values, job="j", instance="i", device=name)
    ]
    samples = [
        {"labels": f'{{job="j",instance="i",device="{name}"}}', "value": NUMBERS[state]}
        for name, (_, state) in DEVICES.items()
    ]
    assert_result(inputs, promql.state(), samples, tmp_path)


def test_every_alert_about_a_device_has_a_state() -> None:
    groups = yaml.safe_load(RULES.read_text("utf-8"))["groups"]
    rules = [rule for group in groups for rule in group["rules"] if "alert" in rule]
    about_devices = {
        rule["alert"]
        for rule in rules
        if "$labels.device" in rule["annotations"]["summary"]
        and rule["labels"]["severity"] != "info"
    }
    assert about_devices == set(ALERTS)
    assert set(ALERTS.values()) <= set(NUMBERS)


def test_of_two_exporters_the_larger_value_counts(tmp_path: Path) -> None:
    views = [("a", {"up": 0}), ("b", {"up": 1})]
    inputs = [
        each
        for name, values in views
        for each in series(values, job="j", instance=name, pod=name, device="d")
    ]
    samples = [{"labels": '{job="j",device="d"}', "value": 1}]
    assert_result(inputs, promql.once(promql.UP), samples, tmp_path)


def test_a_device_has_one_address_even_if_two_exporters_know_it_differently(tmp_path: Path) -> None:
    views = [("a", "cam.example", "ACCC8E000001"), ("b", "10.0.0.1", "")]
    inputs = [
        each
        for name, address, serial in views
        for each in series(
            {"device_info": 1},
            job="j",
            instance=name,
            pod=name,
            device="d",
            address=address,
            scheme="http",
            serial=serial,
        )
    ]
    samples = [{"labels": '{job="j",device="d"}', "value": 1}]
    counted = f"count by (job, device, instance, pod) ({promql.addresses()})"
    assert_result(inputs, counted, samples, tmp_path)


def test_the_links_of_a_device_have_the_port_and_the_exporter(tmp_path: Path) -> None:
    labels = {"device": "d", "address": "[fd00::1]:8443", "scheme": "https", "serial": ""}
    inputs = list(series({"device_info": 1}, job="j", instance="ntp.example:10123", **labels))
    links = 'open="https://[fd00::1]:8443",page="http://ntp.example:10123"'
    shown = 'job="j",device="d",address="[fd00::1]:8443",scheme="https"'
    samples = [{"labels": f"{{{shown},{links}}}", "value": 1}]
    assert_result(inputs, promql.addresses(), samples, tmp_path)


def test_of_two_exporters_the_larger_drift_counts_without_its_sign(
    tmp_path: Path,
) -> None:
    inputs = [
        each
        for name, drift in (("a", 4e-5), ("b", -6e-5))
        for each in series(
            {"clock_drift_ratio": drift, "clock_drift_uncertainty_ratio": 1e-5},
            job="j",
            instance=name,
            device="d",
        )
    ]
    samples = [{"labels": '{job="j",device="d"}', "value": 50}]
    expression = f"round({promql.fastest(10)}, 0.001)"
    assert_result(inputs, expression, samples, tmp_path)
