"""The state of a device, and the larger of two exporters' values: promtool on made-up series."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from grafana.generate import promql
from tests.dashboards.grafana import Dashboard, Span
from tests.support.programs import find_program

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
}
DOWN: Final = {name: value for name, value in FINE.items() if "clock" in name} | {"up": 0}

DEVICES: Final[Mapping[str, tuple[Mapping[str, float], int]]] = {
    "fine": (FINE, 0),
    "without expectation": ({k: v for k, v in FINE.items() if k != "config_compliant"}, 0),
    "differs": (FINE | {"config_compliant": 0}, 1),
    "disabled": (FINE | {"client_enabled": 0}, 2),
    "disabled, therefore no servers and not synced": (
        FINE | {"client_enabled": 0, "active_servers": 0, "synced": 0},
        2,
    ),
    "without client": ({"up": 1, "client_present": 0}, 2),
    "no servers": (FINE | {"active_servers": 0, "config_compliant": 0}, 3),
    "not synced": (FINE | {"synced": 0, "active_servers": 0}, 4),
    "at the limits": (FINE | {"clock_offset_seconds": 0.75, "time_offset_seconds": 0.1}, 0),
    "clock off": (FINE | {"clock_offset_seconds": -0.8, "synced": 0}, 5),
    "reported offset high": (FINE | {"time_offset_seconds": -0.11}, 5),
    "at the critical limits": (FINE | {"clock_offset_seconds": 2.25, "time_offset_seconds": 1}, 5),
    "clock far off": (FINE | {"clock_offset_seconds": -2.3}, 6),
    "reported offset very high": (FINE | {"time_offset_seconds": 1.1}, 6),
    "down": (DOWN, 7),
    "down and far off": (DOWN | {"clock_offset_seconds": 3}, 7),
}
"""Devices with their series, and their state, a number of `colours.STATES`."""


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
        {"labels": f'{{job="j",instance="i",device="{name}"}}', "value": state}
        for name, (_, state) in DEVICES.items()
    ]
    assert_result(inputs, promql.state(), samples, tmp_path)


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
