"""Scaling changes every duration and nothing else."""

from __future__ import annotations

import re

import pytest

from tests.alerting.rules import ALERTMANAGER_EXAMPLE, RULES, load, rules
from tests.alerting.scaling import (
    scaled_alertmanager,
    scaled_expression,
    scaled_rules,
    shorter,
)


@pytest.mark.parametrize(
    ("duration", "shortened"), [("5m", "5000ms"), ("1h", "60000ms"), ("0m", "0ms")]
)
def test_a_duration_is_divided(duration: str, shortened: str) -> None:
    assert shorter(duration, 60) == shortened


@pytest.mark.parametrize(
    ("expression", "scaled"),
    [
        ("rate(x[5m]) > 5", "rate(x[5000ms]) > 5"),
        ("last_over_time(x[10m] offset 6h)", "last_over_time(x[10000ms] offset 360000ms)"),
        ("time() - x_timestamp_seconds > 300", "time() - x_timestamp_seconds > 5"),
        ("x - last_over_time(y[4m]) > 4096", "x - last_over_time(y[4000ms]) > 68.2667"),
        (
            "x - y > 4 * last_over_time(axis_ntp_poll_interval_max_seconds[4m])",
            "x - y > 0.0666667 * last_over_time(axis_ntp_poll_interval_max_seconds[4000ms])",
        ),
        ("(0.5 - x) / abs(y) < 86400", "(0.5 - x) / abs(y) < 86400"),
        ("quantile(0.5, x_seconds) > 0.5", "quantile(0.5, x_seconds) > 0.5"),
        ("job_instance:x:p99_rate5m > 5", "job_instance:x:p99_rate5m > 5"),
    ],
)
def test_only_durations_of_an_expression_are_divided(expression: str, scaled: str) -> None:
    assert scaled_expression(expression, 60) == scaled


def test_a_scale_of_one_changes_no_number_of_seconds() -> None:
    texts = [str(rule["expr"]) for rule in rules()]
    seconds = [re.findall(r"> [\d.]+$", text, re.MULTILINE) for text in texts]
    again = [scaled_expression(text, 1) for text in texts]
    assert [re.findall(r"> [\d.]+$", text, re.MULTILINE) for text in again] == seconds


def test_every_duration_of_the_scaled_rules_is_scaled() -> None:
    scaled = str(scaled_rules(load(RULES), 60)["groups"])
    outside_of_texts = re.sub(r"'(summary|description|runbook_url)': (['\"]).*?\2[,}]", "", scaled)
    assert re.findall(r"(?<![\w.])\d+[smhd]\b", outside_of_texts) == []
    assert "_timestamp_seconds > 5" in scaled


def test_scaling_changes_nothing_else_in_the_rules() -> None:
    scaled = [rule for group in scaled_rules(load(RULES), 60)["groups"] for rule in group["rules"]]
    unscaled = ("alert", "record", "labels", "annotations")
    assert [[rule.get(key) for key in unscaled] for rule in scaled] == [
        [rule.get(key) for key in unscaled] for rule in rules()
    ]


def test_scaling_divides_every_wait_of_alertmanager() -> None:
    route = scaled_alertmanager(load(ALERTMANAGER_EXAMPLE), 60)["route"]
    assert (route["group_wait"], route["group_interval"]) == ("2000ms", "5000ms")
    assert {"1000ms", "6000ms"} == {
        each["group_wait"] for each in route["routes"] if "group_wait" in each
    }
