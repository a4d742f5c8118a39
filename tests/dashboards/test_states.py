"""The state of a device, and the larger of two views of it: promtool runs it on made-up series."""

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
    "off": (FINE | {"client_enabled": 0}, 2),
    "off, therefore no servers and not synced": (
        FINE | {"client_enabled": 0, "active_servers": 0, "synced": 0},
        2,
    ),
    "without client": ({"up": 1, "client_present": 0}, 2),
    "no servers": (FINE | {"active_servers": 0, "config_compliant": 0}, 3),
    "not synced": (FINE | {"synced": 0, "active_servers": 0}, 4),
    "at the limits": (FINE | {"clock_offset_seconds": 0.75, "time_offset_seconds": 0.1}, 0),
    "clock off": (FINE | {"clock_offset_seconds": -0.8, "synced": 0}, 5),
    "off by its own word": (FINE | {"time_offset_seconds": -0.11}, 5),
    "at the critical limits": (FINE | {"clock_offset_seconds": 2.25, "time_offset_seconds": 1}, 5),
    "clock far off": (FINE | {"clock_offset_seconds": -2.3}, 6),
    "far off by its own word": (FINE | {"time_offset_seconds": 1.1}, 6),
    "down": (DOWN, 7),
    "down and far off": (DOWN | {"clock_offset_seconds": 3}, 7),
}
"""Devices, what is known of them, and their state as `colours.STATES` numbers it."""


def series(values: Mapping[str, float], **labels: str) -> Iterator[dict[str, str]]:
    text = ",".join(f'{name}="{value}"' for name, value in labels.items())
    for name, value in values.items():
        yield {"series": f"axis_ntp_{name}{{{text}}}", "values": f"{value}+0x5"}


def prove(inputs: list[dict[str, str]], expression: str, samples: Any, folder: Path) -> None:
    """Let promtool say that an expression has these samples."""
    filled = Dashboard("axis-ntp-fleet").fill(expression, Span(0, 300))
    test = {"expr": filled, "eval_time": "3m", "exp_samples": samples}
    group = {"interval": "1m", "input_series": inputs, "promql_expr_test": [test]}
    file = folder / "states.yml"
    file.write_text(yaml.safe_dump({"tests": [group]}))
    command = [find_program("promtool", "prometheus"), "test", "rules", str(file)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_a_device_is_in_the_worst_of_its_states(tmp_path: Path) -> None:
    inputs = [
        each
        for name, (values, _) in DEVICES.items()
        for each in series(values, job="j", instance="i", device=name)
    ]
    samples = [
        {"labels": f'{{job="j",instance="i",device="{name}"}}', "value": state}
        for name, (_, state) in DEVICES.items()
    ]
    prove(inputs, promql.state(), samples, tmp_path)


def test_of_two_views_of_a_device_the_larger_counts(tmp_path: Path) -> None:
    views = [("a", {"up": 0}), ("b", {"up": 1})]
    inputs = [
        each
        for name, values in views
        for each in series(values, job="j", instance=name, pod=name, device="d")
    ]
    samples = [{"labels": '{job="j",device="d"}', "value": 1}]
    prove(inputs, promql.once(promql.UP), samples, tmp_path)
