"""The base and the overlays of docs/scaling.md, rendered by the oldest and the newest kubectl."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from kubernetes_validate import validate  # type: ignore[import-untyped]
from kubernetes_validate.utils import major_minor  # type: ignore[import-untyped]

from exporter.cli import make_parser
from exporter.commands import healthcheck, run
from exporter.config import Thresholds
from exporter.rules.render import as_custom_resource, render_rules
from grafana.generate import FOLDER as DASHBOARDS
from tests.alerting.test_rules import promtool
from tests.artifacts.kubernetes.kubectl import NEWEST, OLDEST
from tests.deploy.manifests import FOLDER, OBJECTS, STATEFUL_SET, at
from tests.deploy.overlays import OVERLAY, PAGE, Object, Objects, blocks, by_name, render, write
from tests.deploy.test_kubernetes import VERSIONS
from tests.deploy.test_service_monitor import ServiceMonitor

THRESHOLDS: Final = Thresholds.model_validate({"skew": {"warning": "50ms", "critical": "1s"}})
SECRET: Final = "/run/secrets/axis-ntp-exporter-web"
NAME: Final = "axis-ntp-exporter"


@dataclass(frozen=True)
class Variant:
    """An overlay with further blocks of the page, and the files that they name."""

    added: list[Object] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)


def named_files(added: list[Object]) -> dict[str, str]:
    names = [each for block in added for part in block["secretGenerator"] for each in part["files"]]
    return dict.fromkeys(names, "made up")


[WITHOUT_OPERATOR] = blocks("Without the Prometheus operator")
[WITH_LABEL, WITH_RULES] = blocks("Alerts with the operator")
RULES: Final = as_custom_resource(render_rules(THRESHOLDS))
VARIANTS: Final = {
    "overlay": Variant(),
    "without operator": Variant([WITHOUT_OPERATOR]),
    "label for the operator": Variant([WITH_LABEL]),
    "other thresholds": Variant([WITH_LABEL, WITH_RULES], {"rules.yaml": RULES}),
    "dashboards": Variant(blocks("Dashboards in Grafana")),
    "TLS": Variant(blocks("TLS"), named_files(blocks("TLS"))),
    "client certificates": Variant(
        blocks("Client certificates"), named_files(blocks("Client certificates"))
    ),
}


@pytest.fixture(scope="session")
def texts(kubectls: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return what both versions of kubectl make of each variant and of the base."""
    folders = {"base": FOLDER}
    for name, variant in VARIANTS.items():
        folder = tmp_path_factory.mktemp("overlay")
        folders[name] = write(folder, *variant.added, files=variant.files)
    return {name: [render(each, folder) for each in kubectls] for name, folder in folders.items()}


def rendered(texts: Any, name: str) -> Objects:
    return by_name(texts[name][0])


def test_the_versions_are_those_that_the_page_names(kubectls: tuple[str, str]) -> None:
    found = []
    for kubectl in kubectls:
        told = subprocess.run(
            [kubectl, "version", "--client", "--output=json"], capture_output=True, check=True
        )
        found.append(json.loads(told.stdout)["clientVersion"]["gitVersion"].removeprefix("v"))
    assert [major_minor(each) for each in found] == [OLDEST.version, NEWEST.version]
    assert [VERSIONS[0], VERSIONS[-1]] == [OLDEST.version, NEWEST.version]
    assert f"kubectl {' and '.join(found)} |" in PAGE


@pytest.mark.parametrize("name", ["base", *VARIANTS])
def test_both_versions_render_the_same(texts: Any, name: str) -> None:
    oldest, newest = texts[name]
    assert oldest == newest


@pytest.mark.parametrize("name", ["base", *VARIANTS])
@pytest.mark.parametrize("version", [OLDEST.version, NEWEST.version])
def test_every_rendered_object_is_valid(texts: Any, name: str, version: str) -> None:
    # The kinds of the Prometheus operator have no schema in Kubernetes.
    for (kind, _), each in rendered(texts, name).items():
        if kind == "ServiceMonitor":
            ServiceMonitor.model_validate(each)
        elif kind == "PrometheusRule":
            assert each["spec"].keys() == {"groups"}
        else:
            validate(each, version, strict=True)


def test_the_base_is_rendered_as_it_was_written(texts: Any) -> None:
    assert rendered(texts, "base") == {(it["kind"], it["metadata"]["name"]): it for it in OBJECTS}


def test_the_overlay_has_a_shard_for_each_pod(texts: Any) -> None:
    spec = rendered(texts, "overlay")["StatefulSet", NAME]["spec"]
    shards = at(spec, "template.spec.containers.[name=exporter].env.[name=SHARDS].value")
    assert spec["replicas"] == int(shards) == OVERLAY["replicas"][0]["count"] == 3


def test_without_the_operator_only_its_objects_are_missing(texts: Any) -> None:
    missing = rendered(texts, "overlay").keys() - rendered(texts, "without operator").keys()
    assert missing == {("ServiceMonitor", NAME), ("PrometheusRule", "axis-ntp")}


def test_the_label_is_on_both_objects_of_the_operator(texts: Any) -> None:
    objects = rendered(texts, "label for the operator").values()
    labelled = {each["kind"] for each in objects if "release" in each["metadata"]["labels"]}
    assert labelled == {"ServiceMonitor", "PrometheusRule"}


def test_printed_rules_replace_those_of_the_base(texts: Any, tmp_path: Path) -> None:
    rule = rendered(texts, "other thresholds")["PrometheusRule", "axis-ntp"]
    assert rule["spec"] == yaml.safe_load(RULES)["spec"]
    assert rule["metadata"]["labels"]["release"] == "kube-prometheus-stack"
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(rule["spec"]))
    promtool("check", "rules", tmp_path / "rules.yml")


def test_the_dashboards_arrive_unchanged(texts: Any) -> None:
    objects = rendered(texts, "dashboards")
    for file in DASHBOARDS.iterdir():
        found = objects["ConfigMap", f"{file.stem}-dashboard"]
        assert found["metadata"]["labels"]["grafana_dashboard"] == "1"
        assert found["data"] == {file.name: file.read_text("utf-8")}


def container_of(objects: Objects) -> Object:
    [container] = objects["StatefulSet", NAME]["spec"]["template"]["spec"]["containers"]
    found: Object = container
    return found


@pytest.mark.parametrize("name", ["TLS", "client certificates"])
def test_a_pod_finds_the_files_of_its_web_config(texts: Any, name: str) -> None:
    objects = rendered(texts, name)
    secret = objects["Secret", f"{NAME}-web"]
    volumes = objects["StatefulSet", NAME]["spec"]["template"]["spec"]["volumes"]
    mounts = container_of(objects)["volumeMounts"]
    # kustomize adds a hash of the contents to the name, and renames the reference.
    assert at(volumes, "[name=web].secret.secretName") == secret["metadata"]["name"]
    assert at(mounts, "[name=web].mountPath") == SECRET
    assert at(mounts, "[name=web].readOnly") is True
    assert secret["data"].keys() == VARIANTS[name].files.keys()
    given = [each.replace("$(SHARD)/$(SHARDS)", "0/3") for each in container_of(objects)["args"]]
    web_config = make_parser("run", run).parse_args(given).web_config_file
    assert web_config == Path(SECRET) / "web-config.yml"


def test_under_tls_the_probes_and_the_monitor_ask_over_https(texts: Any) -> None:
    objects = rendered(texts, "TLS")
    container = container_of(objects)
    for probe in ("livenessProbe", "readinessProbe"):
        before = at(STATEFUL_SET, f"spec.template.spec.containers.[name=exporter].{probe}")
        changed = {**before, "httpGet": {**before["httpGet"], "scheme": "HTTPS"}}
        assert container[probe] == changed
    assert objects["ServiceMonitor", NAME]["spec"]["endpoints"][0]["scheme"] == "https"


def test_with_client_certificates_the_pod_asks_itself(texts: Any) -> None:
    container = container_of(rendered(texts, "client certificates"))
    asked = []
    for probe in ("livenessProbe", "readinessProbe"):
        program, command, *flags = container[probe]["exec"]["command"]
        assert (program, command) == ("axis-ntp-exporter", "healthcheck")
        assert "httpGet" not in container[probe]
        assert container[probe]["timeoutSeconds"] > healthcheck.TIMEOUT_SECONDS
        asked.append(make_parser(command, healthcheck).parse_args(flags))
    alive, ready = asked
    assert (alive.ready, ready.ready) == (False, True)
    assert (ready.cert_file, ready.key_file) == (
        Path(SECRET) / "probe.crt",
        Path(SECRET) / "probe.key",
    )
    liveness = container["livenessProbe"]
    assert liveness["periodSeconds"] * liveness["failureThreshold"] >= 60
