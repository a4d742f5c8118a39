"""The overlay in docs/scaling.md: it fits the base; kustomize, where there is one, builds both."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.deploy.manifests import FOLDER, KUSTOMIZATION, OBJECTS, ROOT, STATEFUL_SET, at, named

PAGE: Final = (ROOT / "docs/scaling.md").read_text("utf-8")
_BLOCK: Final = PAGE.partition("## Kubernetes")[2].partition("```yaml\n")[2].partition("```\n")[0]
OVERLAY: Final = yaml.safe_load(_BLOCK)
CONFIG: Final = "devices: []\n"


def test_it_is_an_overlay_of_the_base() -> None:
    [base] = OVERLAY["resources"]
    assert base == f"../axis-ntp-exporter/{FOLDER.relative_to(ROOT)}"
    for each in (OVERLAY, KUSTOMIZATION):
        assert each["apiVersion"] == "kustomize.config.k8s.io/v1beta1"
        assert each["kind"] == "Kustomization"


def test_it_copies_the_number_of_shards_as_the_base_does() -> None:
    assert OVERLAY["replacements"] == KUSTOMIZATION["replacements"]


def test_what_it_changes_is_there_in_the_base() -> None:
    [image], [replicas] = OVERLAY["images"], OVERLAY["replicas"]
    container = at(STATEFUL_SET, "spec.template.spec.containers.[name=exporter]")
    assert container["image"].partition(":")[0] == image["name"]
    assert named("StatefulSet", replicas["name"]) is STATEFUL_SET
    assert replicas["count"] != at(STATEFUL_SET, "spec.replicas")


@pytest.mark.parametrize(("kind", "data"), [("configMap", "data"), ("secret", "stringData")])
def test_it_puts_the_same_files_in_place_of_the_bases(kind: str, data: str) -> None:
    [generator] = OVERLAY[f"{kind}Generator"]
    replaced = named(f"{kind[0].upper()}{kind[1:]}", generator["name"])
    assert generator["behavior"] == "replace"
    assert set(generator["files"]) == set(replaced[data])


def kustomized(folder: Path) -> list[dict[str, Any]]:
    if (kubectl := shutil.which("kubectl")) is None:
        pytest.skip("kubectl IS NOT INSTALLED, what kustomize makes of the base is untested")
    built = subprocess.run(
        [kubectl, "kustomize", folder],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "KUBECONFIG": os.devnull},
    )
    assert (built.returncode, built.stderr) == (0, "")
    return list(yaml.safe_load_all(built.stdout))


def test_kustomize_makes_of_the_base_what_its_files_say() -> None:
    def key(each: dict[str, Any]) -> str:
        return f"{each['kind']} {each['metadata']['name']}"

    assert sorted(kustomized(FOLDER), key=key) == sorted(OBJECTS, key=key)


@pytest.fixture
def built(tmp_path: Path) -> dict[str, dict[str, Any]]:
    """What kustomize makes of the overlay, by kind."""
    shutil.copytree(FOLDER, tmp_path / "axis-ntp-exporter/deploy/kubernetes")
    overlay = tmp_path / "my-overlay"
    overlay.mkdir()
    (overlay / "kustomization.yaml").write_text(_BLOCK, "utf-8")
    (overlay / "config.yaml").write_text(CONFIG, "utf-8")
    (overlay / "password").write_text("s3cret", "utf-8")
    return {each["kind"]: each for each in kustomized(overlay)}


def test_the_built_overlay_has_as_many_shards_as_pods(built: dict[str, dict[str, Any]]) -> None:
    spec = built["StatefulSet"]["spec"]
    [container] = spec["template"]["spec"]["containers"]
    assert spec["replicas"] == OVERLAY["replicas"][0]["count"]
    assert at(container, "env.[name=SHARDS]")["value"] == str(spec["replicas"])
    assert container["image"].startswith("registry.example/axis-ntp-exporter:")


def test_nothing_of_the_placeholders_is_left(built: dict[str, dict[str, Any]]) -> None:
    assert built["ConfigMap"]["data"] == {"config.yaml": CONFIG}
    assert built["Secret"]["data"] == {"password": "czNjcmV0"}
    assert "stringData" not in built["Secret"]
    assert {each["metadata"]["namespace"] for each in built.values()} == {OVERLAY["namespace"]}
