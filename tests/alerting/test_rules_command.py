"""`axis-ntp-exporter rules`: the rules with the thresholds of a config."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.cli import run
from exporter.config import Thresholds
from exporter.rules.render import as_custom_resource, render_rules
from tests.alerting.rules import RULES
from tests.alerting.test_rules import promtool

OTHERS = """
thresholds:
  offset: {warning: 5ms, critical: 90s}
  skew: {warning: 50ms, critical: 1234567s891ms}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder without files."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def printed(capsys: pytest.CaptureFixture[str], *flags: str) -> str:
    capsys.readouterr()
    assert run(["rules", *flags]) == 0
    return capsys.readouterr().out


def expressions(rules: str) -> list[str]:
    return [rule["expr"] for group in yaml.safe_load(rules)["groups"] for rule in group["rules"]]


def test_the_committed_file_is_the_output_for_the_defaults(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "config.yaml").write_text("{}")
    run_it = "run: cd / && axis-ntp-exporter rules > .../grafana/rules/axis-ntp.rules.yml"
    assert printed(capsys) == RULES.read_text("utf-8"), run_it
    assert render_rules(Thresholds()) == RULES.read_text("utf-8"), run_it


def test_without_a_config_the_thresholds_are_the_defaults_and_a_line_says_so(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not list(folder.iterdir())
    assert run(["rules"]) == 0
    out, err = capsys.readouterr()
    assert out == RULES.read_text("utf-8")
    assert err == "rules: there is no config.yaml, so the thresholds are the defaults\n"


def test_the_thresholds_of_the_config_are_in_the_rules(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = folder / "site.yaml"
    file.write_text(OTHERS)
    others, defaults = printed(capsys, f"--config.file={file}"), RULES.read_text("utf-8")
    words = zip(others.split(), defaults.split(), strict=True)
    changed = [(is_now, was) for is_now, was in words if is_now != was]
    # Twice each: OffsetHigh also uses the last value. ClockDrifting has the skew's six times, and
    # the host's clock has it twice.
    assert sorted(changed) == sorted(
        [
            *[("0.005", "0.1"), ("90", "1")] * 2,
            *[("0.05", "0.5")] * 9,
            ("1234567.891", "2"),
        ]
    )
    assert ".rules.yml" not in others.partition("groups:")[2]
    (folder / "rules.yml").write_text(others)
    promtool("check", "rules", folder / "rules.yml")


def test_the_advice_of_an_alert_has_the_prefix_of_the_routes(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "config.yaml").write_text("{}")
    flag = "--web.external-url=https://h.example/clocks"
    assert '"EXPORTER" }}/clocks/-/healthy`' in printed(capsys, flag)
    assert printed(capsys, flag, "--web.route-prefix=/") == RULES.read_text("utf-8")


def test_the_custom_resource_has_the_same_groups(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "config.yaml").write_text(OTHERS)
    resource: dict[str, Any] = yaml.safe_load(printed(capsys, "--format=operator"))
    rules = yaml.safe_load(printed(capsys))
    kind = (resource.pop("apiVersion"), resource.pop("kind"))
    assert kind == ("monitoring.coreos.com/v1", "PrometheusRule")
    assert resource.pop("spec") == rules
    labels = {"app.kubernetes.io/name": "axis-ntp-exporter"}
    assert resource == {"metadata": {"name": "axis-ntp", "labels": labels}}


def test_promtool_accepts_the_groups_of_the_custom_resource(folder: Path) -> None:
    resource = yaml.safe_load(as_custom_resource(render_rules(Thresholds())))
    (folder / "rules.yml").write_text(yaml.safe_dump(resource["spec"]))
    promtool("check", "rules", folder / "rules.yml")


def test_an_invalid_config_is_an_error(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "config.yaml").write_text("thresholds: {skew: {warning: 3s}}")
    assert run(["rules"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("rules: config.yaml:1: thresholds.skew: warning (3s) must be less than")


def test_a_config_file_that_does_not_exist_is_an_error(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["rules", f"--config.file={folder / 'no.yaml'}"]) == 2
    assert "cannot be read" in capsys.readouterr().err


def test_an_unknown_format_is_a_usage_error() -> None:
    with pytest.raises(SystemExit) as end:
        run(["rules", "--format=json"])
    assert end.value.code == 2
