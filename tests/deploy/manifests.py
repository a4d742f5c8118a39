"""The manifests of deploy/kubernetes, and what a kubelet makes of them for one pod."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from exporter.cli import make_parser
from exporter.commands import run

ROOT: Final = Path(__file__).parents[2]
FOLDER: Final = ROOT / "deploy/kubernetes"
POD_INDEX: Final = "apps.kubernetes.io/pod-index"

Object = dict[str, Any]


def _read(file: Path) -> list[Object]:
    return list(yaml.safe_load_all(file.read_text("utf-8")))


[KUSTOMIZATION] = _read(FOLDER / "kustomization.yaml")
OBJECTS: Final = [each for name in KUSTOMIZATION["resources"] for each in _read(FOLDER / name)]


def of_kind(kind: str) -> list[Object]:
    return [each for each in OBJECTS if each["kind"] == kind]


def named(kind: str, name: str) -> Object:
    [found] = [each for each in of_kind(kind) if each["metadata"]["name"] == name]
    return found


def labels(thing: Object) -> dict[str, str]:
    found: dict[str, str] = thing["metadata"]["labels"]
    return found


def selects(selector: Mapping[str, str], thing: Object) -> bool:
    """Return whether a non-empty selector matches an object or a pod's template."""
    return bool(selector) and selector.items() <= labels(thing).items()


[STATEFUL_SET] = of_kind("StatefulSet")
SPEC: Final = STATEFUL_SET["spec"]
TEMPLATE: Final = SPEC["template"]
POD: Final = TEMPLATE["spec"]
[CONTAINER] = POD["containers"]


def environment(ordinal: int) -> dict[str, str]:
    """Return the variables of a pod as Kubernetes fills them in."""
    fields = {
        f"metadata.labels['{POD_INDEX}']": str(ordinal + SPEC.get("ordinals", {}).get("start", 0))
    }
    return {
        each["name"]: each["value"]
        if "value" in each
        else fields[each["valueFrom"]["fieldRef"]["fieldPath"]]
        for each in CONTAINER["env"]
    }


def arguments(ordinal: int) -> argparse.Namespace:
    """Return a pod's command line, parsed by the exporter; Kubernetes replaces `$(NAME)`."""
    variables = environment(ordinal)
    given = [
        re.sub(r"\$\((\w+)\)", lambda found: variables[found[1]], each)
        for each in CONTAINER["args"]
    ]
    return make_parser("run", run).parse_args(given)


def mounted() -> Iterator[tuple[str, Object]]:
    """Return each volume of the container: its path and its object."""
    sources = {volume["name"]: volume for volume in POD["volumes"]}
    for mount in CONTAINER["volumeMounts"]:
        source = sources[mount["name"]]
        if "secret" in source:
            yield mount["mountPath"], named("Secret", source["secret"]["secretName"])
        else:
            yield mount["mountPath"], named("ConfigMap", source["configMap"]["name"])


def files() -> dict[str, str]:
    """Return the files in a pod's volumes: path to text."""
    return {
        f"{path}/{key}": text
        for path, shown in mounted()
        for key, text in (shown.get("data", {}) | shown.get("stringData", {})).items()
    }


def at(thing: Any, path: str) -> Any:
    """Return the value at a kustomize path like `spec.containers.[name=exporter].image`."""
    for part in re.findall(r"\[[^\]]+\]|[^.]+", path):
        if part.startswith("["):
            key, _, value = part.strip("[]").partition("=")
            [thing] = [each for each in thing if each[key] == value]
        else:
            thing = thing[part]
    return thing
