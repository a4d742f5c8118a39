"""The PrometheusRule and the dashboards' ConfigMaps are what the generators make, and fit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from kubernetes_validate import (  # type: ignore[import-untyped]
    SchemaNotFoundError,
    validate,
)

from exporter.cli import run
from grafana.generate import FOLDER as DASHBOARDS
from grafana.generate import kubernetes
from tests.alerting.test_rules import promtool
from tests.deploy.manifests import FOLDER, KUSTOMIZATION
from tests.deploy.test_kubernetes import VERSIONS

RULE: Final = FOLDER / "prometheusrule.yaml"
MAPS: Final = FOLDER / "dashboards"
[OF_MAPS] = yaml.safe_load_all((MAPS / "kustomization.yaml").read_text("utf-8"))
of_each_dashboard = pytest.mark.parametrize(
    "dashboard", sorted(DASHBOARDS.iterdir()), ids=lambda each: each.stem
)

LARGEST_ANNOTATIONS: Final = 262_144
"""Bytes of all annotations of an object; `kubectl apply` keeps the object as JSON in one."""

LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"


def config_map(dashboard: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((MAPS / f"{dashboard.stem}.yaml").read_text("utf-8"))
    return found


def test_the_committed_files_are_what_the_generator_makes() -> None:
    files = [RULE, *(file for file in MAPS.iterdir() if file.name != "kustomization.yaml")]
    committed = {file: file.read_text("utf-8") for file in files}
    assert committed == kubernetes.files(), "run: make dashboards"


def test_the_rule_is_the_output_of_the_command_for_the_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["rules", "--format=operator"]) == 0
    assert RULE.read_text("utf-8").endswith(capsys.readouterr().out)


def test_promtool_accepts_the_groups_of_the_rule(tmp_path: Path) -> None:
    resource = yaml.safe_load(RULE.read_text("utf-8"))
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(resource["spec"]))
    promtool("check", "rules", tmp_path / "rules.yml")


@pytest.mark.parametrize("version", VERSIONS)
def test_the_rule_has_no_schema_in_kubernetes(version: str) -> None:
    # It is the operator's own kind: a cluster without the operator refuses it.
    with pytest.raises(SchemaNotFoundError):
        validate(yaml.safe_load(RULE.read_text("utf-8")), version, strict=True)


def test_the_base_has_the_rule_and_not_the_dashboards() -> None:
    assert RULE.name in KUSTOMIZATION["resources"]
    assert not any("dashboards" in each for each in KUSTOMIZATION["resources"])


def test_the_folder_of_the_dashboards_lists_each() -> None:
    assert OF_MAPS["kind"] == "Kustomization"
    assert OF_MAPS["resources"] == [f"{each.stem}.yaml" for each in sorted(DASHBOARDS.iterdir())]


@of_each_dashboard
def test_a_config_map_has_one_dashboard_and_the_label_of_grafanas_sidecar(dashboard: Path) -> None:
    found = config_map(dashboard)
    assert found["metadata"]["labels"]["grafana_dashboard"] == "1"
    # Without the suffix, one would have the name of the ConfigMap that is the config.
    assert found["metadata"]["name"] == f"{dashboard.stem}-dashboard"
    assert found["data"] == {dashboard.name: dashboard.read_text("utf-8")}


@of_each_dashboard
@pytest.mark.parametrize("version", [VERSIONS[0], VERSIONS[-1]])
def test_a_config_map_is_valid_for_kubernetes(version: str, dashboard: Path) -> None:
    validate(config_map(dashboard), version, strict=True)


@of_each_dashboard
def test_kubectl_apply_can_keep_a_config_map_in_an_annotation(dashboard: Path) -> None:
    kept = json.dumps(config_map(dashboard), ensure_ascii=False, separators=(",", ":")) + "\n"
    # Room for what kubectl adds: an empty `annotations` and the namespace, and others' annotations.
    assert len(LAST_APPLIED) + len(kept.encode()) < LARGEST_ANNOTATIONS - 1000
