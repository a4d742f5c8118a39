"""The image, built with the Dockerfile unchanged, and run without network, privileges, writing."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Final

import pytest
from packaging.utils import canonicalize_name

from exporter import __version__
from tests.artifacts.image.conftest import CLOSED, give_to_nobody
from tests.artifacts.image.engine import (
    ENVIRONMENT,
    IMAGE,
    NOBODY,
    Engine,
    base_image,
)
from tests.artifacts.sbom import write_sbom
from tests.deploy.dockerfile import ROOT
from tests.docs.test_docs import pins
from tests.support.certificates import authority
from tests.support.web_config import ALICE, AS_ALICE, TLS, write

# The first test waits until the base is made, maybe on a slow line, and the image is built.
pytestmark = pytest.mark.timeout(1800)

DEPLOYMENT: Final = (ROOT / "docs/deployment.md").read_text("utf-8")
ADDED_BYTES: Final = 100e6
STOP_SECONDS: Final = 10
"""Time until SIGKILL, which would show in the exit code."""

GET: Final = """\
import json, ssl, sys, urllib.request
url, headers, ca = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3:]
tls = ssl.create_default_context(cafile=ca[0]) if ca else None
request = urllib.request.Request(url, headers=headers)
print(urllib.request.urlopen(request, context=tls).read().decode())
"""
"""Prints what a URL has; for the Python of a container."""

DOCKER: Final = """\
#!/bin/bash
# `docker run` with podman, in the network of the simulator, without publishing ports or raising
# limits, which not every machine allows.
shift
words=()
while (($#)); do
    case $1 in
    -p | --ulimit) shift ;;
    *) words+=("$1") ;;
    esac
    shift
done
exec podman run --network=container:simulator --read-only-tmpfs=false --pull=never "${words[@]}"
"""


def stopped(engine: Engine, container: str) -> int:
    """Send SIGTERM and return the exit code: 137 after SIGKILL."""
    engine.podman("stop", f"--time={STOP_SECONDS}", container)
    return int(engine.podman("inspect", "--format={{.State.ExitCode}}", container))


def get(engine: Engine, container: str, path: str) -> str:
    url = f"http://127.0.0.1:10123{path}"
    return engine.execute(container, "python", "-c", GET, url, "{}")


def up(metrics: str) -> list[str]:
    return re.findall(r"^axis_ntp_up\{.*\} (\d)", metrics, re.MULTILINE)


def test_the_image_says_what_it_is(built: Engine) -> None:
    [found] = json.loads(built.podman("image", "inspect", IMAGE))
    assert found["User"] == f"{NOBODY}:{NOBODY}"
    assert found["Labels"]["org.opencontainers.image.version"] == __version__
    assert found["Labels"]["org.opencontainers.image.revision"] == "0123abcd"


def test_the_image_adds_less_than_100_mb_to_its_base(built: Engine) -> None:
    assert built.size(IMAGE) - built.size(base_image()) < ADDED_BYTES


def test_the_demo_is_healthy(built: Engine, demo: str) -> None:
    built.wait_for(demo, "healthcheck", "run", demo)


def test_the_demo_has_no_privileges(built: Engine, demo: str) -> None:
    status = dict(
        line.split(":\t") for line in built.execute(demo, "cat", "/proc/1/status").splitlines()
    )
    assert status["Uid"].split() == status["Gid"].split() == [str(NOBODY)] * 4
    assert {int(status[name], 16) for name in ("CapEff", "CapPrm", "CapBnd", "CapAmb")} == {0}
    assert status["NoNewPrivs"] == "1"


def test_the_demo_can_write_nothing(built: Engine, demo: str) -> None:
    # It may not even read some folders: `find` names them and ends with 1.
    search = "find / -xdev -writable ! -type l ! -path '/dev/*' ! -path '/proc/*' || true"
    assert built.execute(demo, "sh", "-c", search) == ""


def test_the_image_has_no_installer_and_no_compiler(built: Engine, demo: str) -> None:
    for name in ("pip", "pip3", "gcc", "cc", "make"):
        assert not built.succeeds("exec", demo, "sh", "-c", f"command -v {name}")
    for name in ("pip", "ensurepip"):
        assert not built.succeeds("exec", demo, "/usr/local/bin/python", "-c", f"import {name}")


def test_only_the_environment_has_bytecode(built: Engine, demo: str) -> None:
    found = built.execute(demo, "find", "/usr", "/opt", "-xdev", "-name", "*.pyc")
    assert {path for path in found.splitlines() if not path.startswith(f"{ENVIRONMENT}/")} == set()
    assert found


def test_the_secrets_of_the_build_are_not_in_the_image(built: Engine, demo: str) -> None:
    for name in ("/etc/pip.conf", "/run/secrets/ca.pem"):
        assert not built.succeeds("exec", demo, "test", "-e", name)
    history = built.podman("history", "--no-trunc", "--format={{.CreatedBy}}", IMAGE)
    settings = (built.folder / "pip.conf").read_text().splitlines()[1:]
    assert not [line for line in settings if line.partition(" = ")[2] in history]


def test_sigterm_ends_the_demo_with_exit_code_0(built: Engine, demo: str) -> None:
    assert stopped(built, demo) == 0


@pytest.mark.usefixtures("simulator")
def test_the_documented_command_polls_devices_with_the_mounted_password(
    built: Engine, folder: Path, tmp_path: Path
) -> None:
    docker = tmp_path / "docker"
    docker.write_text(DOCKER)
    docker.chmod(0o700)
    [command] = re.findall(r"^    (docker run(?:.*\\\n)+.*\n)", DEPLOYMENT, re.MULTILINE)
    path = f"{tmp_path}{os.pathsep}{built.environment['PATH']}"
    environment = {**built.environment, "PATH": path}
    subprocess.run(["bash", "-ec", command], cwd=folder, env=environment, check=True)
    ready = ("python", "-c", GET, "http://127.0.0.1:10123/-/ready", "{}")
    built.wait_for("axis-ntp-exporter", "exec", "axis-ntp-exporter", *ready)
    assert up(get(built, "axis-ntp-exporter", "/metrics")) == ["1", "1", "1"]
    assert stopped(built, "axis-ntp-exporter") == 0


def test_a_web_config_with_tls_and_a_password(
    built: Engine, simulator: str, folder: Path, tmp_path: Path
) -> None:
    place = "/etc/axis-ntp-exporter"
    authority(tmp_path)
    write(tmp_path, {**TLS, **ALICE})
    (tmp_path / "config.yaml").write_bytes((folder / "config.yaml").read_bytes())
    give_to_nobody(tmp_path)
    built.podman(
        *("run", "--detach", "--name=secured", *CLOSED, f"--network=container:{simulator}"),
        f"--volume={tmp_path}:{place}:ro",
        f"--volume={folder}/axis-password:/run/secrets/axis-password:ro",
        *(IMAGE, f"--config.file={place}/config.yaml", f"--web.config.file={place}/web.yml"),
    )
    built.wait_for("secured", "healthcheck", "run", "secured")
    ask = ("exec", "secured", "python", "-c", GET)
    metrics = "https://127.0.0.1:10123/metrics"
    login = json.dumps(AS_ALICE)
    ca = f"{place}/ca.pem"
    built.wait_for("secured", *ask, "https://127.0.0.1:10123/-/ready", login, ca)
    assert up(built.podman(*ask, metrics, login, ca)) == ["1", "1", "1"]
    assert not built.succeeds(*ask, metrics, "{}", ca)
    assert stopped(built, "secured") == 0


def test_simulated_https_devices_run_on_a_read_only_file_system(
    built: Engine, simulator: str
) -> None:
    assert stopped(built, simulator) == 0


def test_the_sbom_lists_what_is_installed(built: Engine, tmp_path: Path) -> None:
    environment, file = tmp_path / "environment", tmp_path / "image.cdx.json"
    built.copy_environment(environment)
    write_sbom(environment, file)
    document = json.loads(file.read_text())
    listed = {canonicalize_name(each["name"]): each["version"] for each in document["components"]}
    folders = environment.glob("lib/python3.*/site-packages/*.dist-info")
    installed = dict(folder.name.removesuffix(".dist-info").split("-") for folder in folders)
    assert installed.pop("axis_ntp_exporter") == __version__
    assert listed == {canonicalize_name(name): version for name, version in installed.items()}
    assert listed.items() <= pins().items()
    ours = document["metadata"]["component"]
    assert (ours["name"], ours["version"]) == ("axis-ntp-exporter", __version__)
