"""The overlay in docs/scaling.md fits the base; kustomize builds both if it is installed.

`make kubernetes-test` builds them with two versions of kubectl: tests/artifacts/kubernetes.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.deploy.manifests import FOLDER, KUSTOMIZATION, OBJECTS, ROOT, STATEFUL_SET, at, named
from tests.deploy.overlays import CONFIG, OVERLAY, Objects, by_name, render, write

OLDEST_MINOR: Final = 27
"""Older ones of kubectl are not supported: Debian 12 has 1.20, which knows no `replacements`."""


def test_the_example_is_an_overlay_of_the_base() -> None:
    [base] = OVERLAY["resources"]
    assert base == f"../axis-ntp-exporter/{FOLDER.relative_to(ROOT)}"
    for each in (OVERLAY, KUSTOMIZATION):
        assert each["apiVersion"] == "kustomize.config.k8s.io/v1beta1"
        assert each["kind"] == "Kustomization"


def test_the_overlay_sets_the_number_of_shards_like_the_base() -> None:
    assert OVERLAY["replacements"] == KUSTOMIZATION["replacements"]


def test_the_overlay_changes_existing_fields_of_the_base() -> None:
    [image], [replicas] = OVERLAY["images"], OVERLAY["replicas"]
    container = at(STATEFUL_SET, "spec.template.spec.containers.[name=exporter]")
    assert container["image"].partition(":")[0] == image["name"]
    assert named("StatefulSet", replicas["name"]) is STATEFUL_SET
    assert replicas["count"] != at(STATEFUL_SET, "spec.replicas")


@pytest.mark.parametrize(("kind", "data"), [("configMap", "data"), ("secret", "stringData")])
def test_the_overlay_replaces_the_files_of_the_base(kind: str, data: str) -> None:
    [generator] = OVERLAY[f"{kind}Generator"]
    replaced = named(f"{kind[0].upper()}{kind[1:]}", generator["name"])
    assert generator["behavior"] == "replace"
    assert set(generator["files"]) == set(replaced[data])


def minor_version(kubectl: str) -> int:
    told = subprocess.run(
        [kubectl, "version", "--client", "--output=json"], capture_output=True, check=True
    )
    # Google's has `32+`.
    return int(json.loads(told.stdout)["clientVersion"]["minor"].rstrip("+"))


@pytest.fixture
def kubectl() -> str:
    found = shutil.which("kubectl")
    if found is None:
        pytest.skip("kubectl IS NOT INSTALLED, kustomize builds are tested by make kubernetes-test")
    if minor_version(found) < OLDEST_MINOR:
        pytest.skip(f"kubectl IS OLDER THAN 1.{OLDEST_MINOR}, make kubernetes-test has a newer one")
    return found


def test_kustomize_builds_the_base_unchanged(kubectl: str) -> None:
    def key(each: dict[str, Any]) -> str:
        return f"{each['kind']} {each['metadata']['name']}"

    built = yaml.safe_load_all(render(kubectl, FOLDER))
    assert sorted(built, key=key) == sorted(OBJECTS, key=key)


@pytest.fixture
def built(tmp_path: Path, kubectl: str) -> Objects:
    """Return the objects that kustomize builds from the overlay."""
    return by_name(render(kubectl, write(tmp_path)))


def test_the_built_overlay_has_as_many_shards_as_pods(built: Objects) -> None:
    spec = built["StatefulSet", "axis-ntp-exporter"]["spec"]
    [container] = spec["template"]["spec"]["containers"]
    assert spec["replicas"] == OVERLAY["replicas"][0]["count"]
    assert at(container, "env.[name=SHARDS]")["value"] == str(spec["replicas"])
    assert container["image"].startswith("registry.example/axis-ntp-exporter:")


def test_the_built_overlay_has_no_placeholders(built: Objects) -> None:
    secret = built["Secret", "axis-ntp-exporter"]
    assert built["ConfigMap", "axis-ntp-exporter"]["data"] == {"config.yaml": CONFIG}
    assert secret["data"] == {"password": "czNjcmV0"}
    assert "stringData" not in secret
    assert {each["metadata"]["namespace"] for each in built.values()} == {OVERLAY["namespace"]}
