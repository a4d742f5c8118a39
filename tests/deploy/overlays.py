"""The overlay of docs/scaling.md with the blocks that it may have, rendered by kubectl."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from tests.deploy.manifests import FOLDER, ROOT

PAGE: Final = (ROOT / "docs/scaling.md").read_text("utf-8").partition("\n## Kubernetes\n")[2]
CONFIG: Final = "devices: []\n"
FILES: Final = {"config.yaml": CONFIG, "password": "s3cret"}

Object = dict[str, Any]
Objects = dict[tuple[str, str], Object]


def blocks(heading: str = "") -> list[Object]:
    """Return the YAML blocks below a heading of the page, or those before the first heading."""
    sections = re.split(r"^### (.+)\n", PAGE.partition("\n## ")[0], flags=re.MULTILINE)
    found = dict(zip(["", *sections[1::2]], sections[::2], strict=True))[heading]
    return [yaml.safe_load(each) for each in re.findall(r"```yaml\n(.*?)```", found, re.DOTALL)]


[OVERLAY] = blocks()


def joined(*parts: Object) -> Object:
    """Return one kustomization: lists of the same key are joined, as the page says."""
    whole: Object = {}
    for part in parts:
        for key, value in part.items():
            whole[key] = [*whole.get(key, []), *value] if isinstance(value, list) else value
    return whole


def write(folder: Path, *added: Object, files: Mapping[str, str] | None = None) -> Path:
    """Write the overlay, with more blocks and files, beside the base; return its folder."""
    shutil.copytree(FOLDER, folder / "axis-ntp-exporter/deploy/kubernetes")
    overlay = folder / "my-overlay"
    overlay.mkdir()
    text = yaml.safe_dump(joined(OVERLAY, *added), sort_keys=False)
    for name, content in {"kustomization.yaml": text, **FILES, **(files or {})}.items():
        (overlay / name).write_text(content, "utf-8")
    return overlay


def render(kubectl: str, folder: Path) -> str:
    """Return what kubectl's kustomize makes of a folder; it must not warn."""
    made = subprocess.run(
        [kubectl, "kustomize", folder],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "KUBECONFIG": os.devnull},
    )
    assert (made.returncode, made.stderr) == (0, ""), made.stderr
    return made.stdout


def by_name(text: str) -> Objects:
    """Return rendered objects by kind and name without the hash of a generated one."""
    objects = list(yaml.safe_load_all(text))
    found = {
        (each["kind"], re.sub(r"-[2456789bcdfghkmt]{10}$", "", each["metadata"]["name"])): each
        for each in objects
    }
    assert len(found) == len(objects)
    return found
