"""deploy/kubernetes is valid and agrees with the exporter; tested without a cluster."""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network
from pathlib import Path
from types import SimpleNamespace
from typing import Final, cast

import pytest
from kubernetes_validate import (  # type: ignore[import-untyped]
    SchemaNotFoundError,
    utils,
    validate,
)
from packaging.version import Version

from exporter import __version__
from exporter.config import Config, load_config
from exporter.config.files import read_credentials
from exporter.fleet.sharding import Shard
from exporter.system.addresses import DEFAULT_PORT
from exporter.web.routes import WebState, make_app
from exporter.web.settings import WebSettings
from tests.deploy.manifests import (
    CONTAINER,
    FOLDER,
    KUSTOMIZATION,
    OBJECTS,
    POD,
    POD_INDEX,
    ROOT,
    SPEC,
    STATEFUL_SET,
    TEMPLATE,
    arguments,
    at,
    files,
    mounted,
    of_kind,
    selects,
)

DOCKERFILE: Final = (ROOT / "Dockerfile").read_text("utf-8")
MEGABYTES: Final = {"M": 1.0, "G": 1000.0}

OLDEST: Final = "1.28"  # the first that labels pods with their index
VERSIONS: Final = sorted(
    {utils.major_minor(each) for each in utils.all_versions() if Version(each) >= Version(OLDEST)},
    key=Version,
)


def test_the_kustomization_lists_every_file() -> None:
    names = {file.name for file in FOLDER.iterdir() if file.is_file()} - {"kustomization.yaml"}
    assert sorted(KUSTOMIZATION["resources"]) == sorted(names)


def test_the_base_has_every_object_once() -> None:
    assert sorted((each["kind"], each["metadata"]["name"]) for each in OBJECTS) == [
        ("ConfigMap", "axis-ntp-exporter"),
        ("PodDisruptionBudget", "axis-ntp-exporter"),
        ("PrometheusRule", "axis-ntp"),
        ("Secret", "axis-ntp-exporter"),
        ("Service", "axis-ntp-exporter"),
        ("Service", "axis-ntp-exporter-pods"),
        ("ServiceMonitor", "axis-ntp-exporter"),
        ("StatefulSet", "axis-ntp-exporter"),
    ]


def test_the_oldest_and_the_newest_kubernetes_are_checked() -> None:
    newest = utils.major_minor(utils.latest_version())
    assert (VERSIONS[0], VERSIONS[-1]) == (OLDEST, newest)


@pytest.mark.parametrize("version", VERSIONS)
def test_every_object_is_valid_for_kubernetes(version: str) -> None:
    unknown = []
    for each in OBJECTS:
        try:
            validate(each, version, strict=True)
        except SchemaNotFoundError:
            unknown.append(each["kind"])
    # Defined by the Prometheus operator: test_service_monitor.py and test_rules_and_dashboards.py.
    assert unknown == ["ServiceMonitor", "PrometheusRule"]


def test_each_pod_is_one_shard() -> None:
    count = SPEC["replicas"]
    assert count > 1
    assert [arguments(ordinal).shard for ordinal in range(count)] == [
        Shard(index, count) for index in range(count)
    ]


def test_a_pods_shard_is_its_ordinal() -> None:
    [shard] = [each for each in CONTAINER["env"] if "valueFrom" in each]
    assert shard["valueFrom"] == {"fieldRef": {"fieldPath": f"metadata.labels['{POD_INDEX}']"}}


def test_the_number_of_shards_is_the_number_of_pods() -> None:
    [replacement] = KUSTOMIZATION["replacements"]
    [target] = replacement["targets"]
    [path] = target["fieldPaths"]
    itself = {"kind": "StatefulSet", "name": STATEFUL_SET["metadata"]["name"]}
    assert replacement["source"] == {**itself, "fieldPath": "spec.replicas"}
    assert target["select"] == itself
    field = at(STATEFUL_SET, path.removesuffix(".value"))
    assert f"$({field['name']})" in CONTAINER["args"][-1].rpartition("/")[2]
    assert field["value"] == str(SPEC["replicas"])


def config_of_a_pod(folder: Path) -> Config:
    """Return the config that a pod loads, with its volumes below `folder`."""
    for path, text in files().items():
        file = folder / path.removeprefix("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        for mount, _ in mounted():
            text = text.replace(f" {mount}/", f" {folder}{mount}/")  # noqa: PLW2901 - one after the other
        file.write_text(text, "utf-8")
    return load_config(folder / str(arguments(0).config_file).removeprefix("/"), {})


def test_a_pod_finds_its_config_and_the_exporter_accepts_it(tmp_path: Path) -> None:
    assert config_of_a_pod(tmp_path).devices


def test_the_password_comes_from_the_secret(tmp_path: Path) -> None:
    auth = config_of_a_pod(tmp_path).modules["default"].auth
    [secret] = of_kind("Secret")
    assert auth is not None
    credentials = read_credentials(auth)
    assert credentials is not None
    assert secret["stringData"] == {"password": credentials.password}


def test_the_base_polls_only_documentation_addresses(tmp_path: Path) -> None:
    for device in config_of_a_pod(tmp_path).devices:
        assert ip_address(device.address) in ip_network("192.0.2.0/24")


def test_the_secret_is_a_file_not_a_variable() -> None:
    assert "envFrom" not in CONTAINER
    assert "secretKeyRef" not in str(CONTAINER["env"])
    [volume] = [each for each in POD["volumes"] if "secret" in each]
    # Readable by the group, which is fsGroup; root owns the files.
    assert volume["secret"]["defaultMode"] == 0o440
    assert "fsGroup" in POD["securityContext"]


def test_the_pod_runs_as_the_dockerfiles_user() -> None:
    [(user, group)] = re.findall(r"^USER (\d+):(\d+)$", DOCKERFILE, re.MULTILINE)
    context = POD["securityContext"]
    assert (context["runAsUser"], context["runAsGroup"]) == (int(user), int(group))
    assert context["fsGroup"] == int(group)


def test_the_image_has_this_version() -> None:
    [name] = re.findall(r"^#   docker build -t (\S+) \.$", DOCKERFILE, re.MULTILINE)
    assert CONTAINER["image"] == f"{name}:{__version__}"
    assert "command" not in CONTAINER


def test_the_pod_meets_the_restricted_security_standard_and_writes_nothing() -> None:
    pod, container = POD["securityContext"], CONTAINER["securityContext"]
    assert pod["runAsNonRoot"] is True
    assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not {"hostNetwork", "hostPID", "hostIPC"} & POD.keys()
    assert all(mount["readOnly"] for mount in CONTAINER["volumeMounts"])


def test_the_pod_has_no_service_account_token_and_no_service_variables() -> None:
    assert POD["automountServiceAccountToken"] is False
    assert POD["enableServiceLinks"] is False


def test_the_port_is_the_exporters() -> None:
    [port] = CONTAINER["ports"]
    assert port["containerPort"] == DEFAULT_PORT
    assert arguments(0).listen is None
    assert f"\nEXPOSE {DEFAULT_PORT}\n" in DOCKERFILE


@pytest.mark.parametrize(
    ("probe", "path"), [("livenessProbe", "/-/healthy"), ("readinessProbe", "/-/ready")]
)
def test_a_probe_uses_a_path_of_the_exporter(probe: str, path: str) -> None:
    settings = WebSettings((), arguments(0).telemetry_path)
    state = SimpleNamespace(settings=settings, paths=settings.paths)
    routes = make_app(cast("WebState", state)).router.resources()
    assert path in {route.canonical for route in routes}
    [port] = CONTAINER["ports"]
    assert CONTAINER[probe]["httpGet"] == {"path": path, "port": port["name"]}


def test_the_liveness_probe_tolerates_a_stall_of_a_minute() -> None:
    probe = CONTAINER["livenessProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] >= 60


def megabytes(text: str) -> float:
    return float(text[:-1]) * MEGABYTES[text[-1]]


def test_the_memory_request_fits_ten_thousand_devices_over_https() -> None:
    resources = CONTAINER["resources"]
    assert megabytes(resources["requests"]["memory"]) >= 800
    assert megabytes(resources["limits"]["memory"]) > megabytes(resources["requests"]["memory"])


def test_pods_have_no_cpu_limit() -> None:
    assert "cpu" not in CONTAINER["resources"]["limits"]


@pytest.mark.parametrize("service", of_kind("Service"), ids=lambda each: each["metadata"]["name"])
def test_a_service_includes_pods_that_are_not_ready(service: dict[str, dict[str, object]]) -> None:
    spec = service["spec"]
    [port] = CONTAINER["ports"]
    assert selects(cast("dict[str, str]", spec["selector"]), TEMPLATE)
    assert spec["clusterIP"] == "None"
    assert spec["publishNotReadyAddresses"] is True
    assert spec["ports"] == [{"name": "metrics", "port": DEFAULT_PORT, "targetPort": port["name"]}]


def test_the_stateful_set_selects_its_service_and_pods() -> None:
    governing = [each["metadata"]["name"] for each in of_kind("Service")]
    assert SPEC["serviceName"] in governing
    assert selects(SPEC["selector"]["matchLabels"], TEMPLATE)
    [spread] = POD["topologySpreadConstraints"]
    assert selects(spread["labelSelector"]["matchLabels"], TEMPLATE)
    assert spread["whenUnsatisfiable"] == "ScheduleAnyway"


def test_no_shard_waits_for_another_to_start() -> None:
    assert SPEC["podManagementPolicy"] == "Parallel"


def test_only_one_shard_is_evicted_at_a_time() -> None:
    [budget] = of_kind("PodDisruptionBudget")
    assert selects(budget["spec"]["selector"]["matchLabels"], TEMPLATE)
    assert budget["spec"]["maxUnavailable"] == 1
