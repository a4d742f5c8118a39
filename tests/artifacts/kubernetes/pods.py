"""The pods that Kubernetes would make of the rendered StatefulSet, as podman 4.3 can run them."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import yaml

from tests.deploy.manifests import POD_INDEX
from tests.deploy.overlays import Object, Objects

NAME: Final = "axis-ntp-exporter"
IMAGE: Final = "localhost/axis-ntp-exporter"


def pod(objects: Objects, ordinal: int) -> Object:
    """Return the pod with this ordinal: the template, and the name and label of its ordinal."""
    template = copy.deepcopy(objects["StatefulSet", NAME]["spec"]["template"])
    labels = {**template["metadata"]["labels"], POD_INDEX: str(ordinal)}
    metadata = {"name": f"{NAME}-{ordinal}", "labels": labels}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


def fit_podman(pod: Object, port: int) -> Object:
    """Change what podman 4.3 cannot do. All pods share this machine's loopback interface."""
    fitted = copy.deepcopy(pod)
    spec = fitted["spec"]
    [container] = spec["containers"]
    container.update(image=IMAGE, imagePullPolicy="Never")
    # It runs a probe over HTTP as `curl` in the container, which has none.
    del container["livenessProbe"], container["readinessProbe"]
    # It takes a port for one to publish, and refuses that on the host's network.
    del container["ports"]
    spec["hostNetwork"] = True
    container["args"] = [
        *(_replaced(each, _variables(container, pod)) for each in container["args"]),
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    for volume in spec["volumes"]:
        if "secret" in volume:
            # It crashes if the key is missing, and makes one volume of a ConfigMap and a Secret
            # with the same name.
            name = secret_name(volume["secret"]["secretName"])
            volume["secret"].update(optional=False, secretName=name)
    return fitted


def secret_name(name: str) -> str:
    return f"{name}-secret"


def _variables(container: Object, pod: Object) -> dict[str, str]:
    """Return a container's variables as Kubernetes sets them."""
    fields = {f"metadata.labels['{key}']": it for key, it in pod["metadata"]["labels"].items()}
    return {
        each["name"]: each.get("value") or fields[each["valueFrom"]["fieldRef"]["fieldPath"]]
        for each in container["env"]
    }


def _replaced(argument: str, variables: Mapping[str, str]) -> str:
    """Replace `$(NAME)`, which podman 4.3 leaves as it is."""
    return re.sub(r"\$\((\w+)\)", lambda found: variables[found[1]], argument)


def write(folder: Path, objects: Objects, pod: Object) -> Path:
    """Write what `podman kube play` gets: the ConfigMap and the pod."""
    file = folder / f"{pod['metadata']['name']}.yaml"
    file.write_text(yaml.safe_dump_all([objects["ConfigMap", NAME], pod]), "utf-8")
    return file
