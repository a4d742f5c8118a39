"""What stands in deploy/kubernetes, and what a kubelet makes of it for one pod."""

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
    """Whether a selector, empty ones left out, finds an object or a pod's template."""
    return bool(selector) and selector.items() <= labels(thing).items()


[STATEFUL_SET] = of_kind("StatefulSet")
SPEC: Final = STATEFUL_SET["spec"]
TEMPLATE: Final = SPEC["template"]
POD: Final = TEMPLATE["spec"]
[CONTAINER] = POD["containers"]


def environment(ordinal: int) -> dict[str, str]:
    """The variables of a pod, as Kubernetes fills them in."""
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
    """A pod's command line, read by the exporter's own parser; `$(NAME)` is Kubernetes's."""
    variables = environment(ordinal)
    given = [
        re.sub(r"\$\((\w+)\)", lambda found: variables[found[1]], each)
        for each in CONTAINER["args"]
    ]
    return make_parser("run", run).parse_args(given)


def mounted() -> Iterator[tuple[str, Object]]:
    """Each volume of the container: where it is, and the object that it shows."""
    sources = {volume["name"]: volume for volume in POD["volumes"]}
    for mount in CONTAINER["volumeMounts"]:
        source = sources[mount["name"]]
        if "secret" in source:
            yield mount["mountPath"], named("Secret", source["secret"]["secretName"])
        else:
            yield mount["mountPath"], named("ConfigMap", source["configMap"]["name"])


def files() -> dict[str, str]:
    """What a pod finds in its volumes: path to text."""
    return {
        f"{path}/{key}": text
        for path, shown in mounted()
        for key, text in (shown.get("data", {}) | shown.get("stringData", {})).items()
    }


def at(thing: Any, path: str) -> Any:
    """What a kustomize field path such as `spec.containers.[name=exporter].image` leads to."""
    for part in re.findall(r"\[[^\]]+\]|[^.]+", path):
        if part.startswith("["):
            key, _, value = part.strip("[]").partition("=")
            [thing] = [each for each in thing if each[key] == value]
        else:
            thing = thing[part]
    return thing
