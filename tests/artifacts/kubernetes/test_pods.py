"""The rendered pods, run by `podman kube play`: three shards, and a fourth that is one too many."""

from __future__ import annotations

import http.client
import json
import os
import shutil
from base64 import b64decode
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import pytest
import yaml

from exporter.fleet.sharding import Shard
from tests.artifacts.image.engine import Engine, missing
from tests.artifacts.image.engine import engine as running_engine
from tests.artifacts.kubernetes import pods
from tests.artifacts.kubernetes.pods import NAME, fit_podman, pod
from tests.deploy.overlays import Object, Objects, blocks, by_name, render
from tests.deploy.overlays import write as write_overlay
from tests.support.certificates import authority
from tests.support.daemon_process import COMMAND, Scrape
from tests.support.programs import (
    LOOPBACK,
    enter_on_free_ports,
    free_port,
    http_get,
    running,
    wait_until,
)

# The first test builds the image, and its base if that is not cached.
pytestmark = pytest.mark.timeout(1800)

DEVICES: Final = 12
SHARDS: Final = 3
NAMES: Final = [f"cam-{number}" for number in range(DEVICES)]


@dataclass(frozen=True)
class Running:
    """A pod that runs: its container and the port where its exporter listens."""

    container: str
    port: int

    def is_ready(self) -> bool:
        with suppress(OSError, http.client.HTTPException):
            return http_get(self.port, "/-/ready").status == 200
        return False

    def scrape(self) -> Scrape:
        return Scrape.parse(http_get(self.port, "/metrics").text)


@contextmanager
def simulated(folder: Path) -> Iterator[int]:
    """Run simulated devices on neighbouring ports; yield the first port."""
    first = free_port()
    command = [str(COMMAND), "simulate", f"--devices={DEVICES}", f"--listen={LOOPBACK}:{first}"]
    ready = f"{DEVICES} simulated devices"
    with running(command, folder / "simulate.log", lambda program: ready in program.log()):
        yield first


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """Return podman with the image; without what it needs the whole run ends with one sentence."""
    if reason := missing():
        pytest.exit(f"make kubernetes-test: {reason}", returncode=1)
    if shutil.which("catatonit") is None:
        pytest.exit(
            "make kubernetes-test: podman runs pods with Debian's catatonit: apt-get install it",
            returncode=1,
        )
    with running_engine() as made:
        made.build()
        try:
            yield made
        finally:
            # With their infra containers, which `podman rm --all` refuses to remove.
            made.podman("pod", "rm", "--all", "--force", "--time=0")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pods")


@pytest.fixture(scope="module")
def objects(kubectls: tuple[str, str], folder: Path) -> Iterator[Objects]:
    """Return the overlay of the page, whose config has the simulated devices."""
    with ExitStack() as stack:
        first = enter_on_free_ports(stack, lambda: simulated(folder))
        config = {
            "global": {"interval": "2s"},
            "modules": {
                "default": {
                    "scheme": "http",
                    "auth": {
                        "username": "root",
                        "password_file": "/run/secrets/axis-ntp-exporter/password",
                    },
                }
            },
            "devices": [
                {"address": f"{LOOPBACK}:{first + number}", "name": name}
                for number, name in enumerate(NAMES)
            ],
        }
        files = {"config.yaml": yaml.safe_dump(config), "password": "pass"}
        yield by_name(render(kubectls[-1], write_overlay(folder, files=files)))


def give_secret(engine: Engine, secret: Object, folder: Path) -> None:
    """Give podman a Secret, which `kube play` of 4.3 neither creates nor decodes."""
    decoded = {key: b64decode(value).decode() for key, value in secret["data"].items()}
    file = folder / "secret.yaml"
    file.write_text(yaml.safe_dump({**secret, "data": decoded}))
    engine.podman("secret", "create", pods.secret_name(secret["metadata"]["name"]), file)


def play(engine: Engine, objects: Objects, made: Object, folder: Path) -> Running:
    port = free_port()
    engine.podman("kube", "play", pods.write(folder, objects, fit_podman(made, port)))
    return Running(f"{made['metadata']['name']}-exporter", port)


@pytest.fixture(scope="module")
def shards(engine: Engine, objects: Objects, folder: Path) -> list[Running]:
    """Run the three pods; each has polled its devices."""
    give_secret(engine, objects["Secret", NAME], folder)
    started = [play(engine, objects, pod(objects, ordinal), folder) for ordinal in range(SHARDS)]
    for each in started:
        wait_until(each.is_ready, f"{each.container} is ready", partial(log_of, engine, each))
    return started


def log_of(engine: Engine, each: Running) -> str:
    text: str = engine.logs(each.container)
    return text


def test_the_overlay_has_three_pods(objects: Objects) -> None:
    assert objects["StatefulSet", NAME]["spec"]["replicas"] == SHARDS


def test_each_device_is_polled_by_exactly_one_pod(shards: list[Running]) -> None:
    polled = [each.scrape().by_device("axis_ntp_up") for each in shards]
    assert sorted(name for found in polled for name in found) == sorted(NAMES)
    assert {up for found in polled for up in found.values()} == {1}


def test_a_pod_polls_the_devices_of_its_ordinal(shards: list[Running]) -> None:
    for ordinal, each in enumerate(shards):
        own = [name for name in NAMES if Shard(ordinal, SHARDS).owns(name)]
        assert own
        assert sorted(each.scrape().by_device("axis_ntp_up")) == sorted(own)


def test_a_pod_can_ask_itself_whether_it_is_ready(engine: Engine, shards: list[Running]) -> None:
    for each in shards:
        address = f"--web.listen-address={LOOPBACK}:{each.port}"
        command = ("exec", each.container, "axis-ntp-exporter", "healthcheck", "--ready", address)
        assert engine.podman(*command) == "ready"


def test_a_pod_has_no_privileges_and_writes_nothing(engine: Engine, shards: list[Running]) -> None:
    for each in shards:
        [found] = json.loads(engine.podman("inspect", each.container))
        assert found["EffectiveCaps"] is None
        assert found["HostConfig"]["ReadonlyRootfs"] is True
        assert found["HostConfig"]["SecurityOpt"] == ["no-new-privileges"]
        assert not any(mount["RW"] for mount in found["Mounts"])
        assert engine.podman("exec", each.container, "id", "-u") == "65534"


def test_a_fourth_pod_is_refused(
    engine: Engine, objects: Objects, shards: list[Running], folder: Path
) -> None:
    fourth = pod(objects, SHARDS)
    # Kubernetes would start it again and again; this test needs its exit code.
    fourth["spec"]["restartPolicy"] = "Never"
    refused = play(engine, objects, fourth, folder)
    assert engine.podman("wait", refused.container) == "2"
    assert f"{SHARDS}/{SHARDS}' is not a shard" in log_of(engine, refused)
    assert all(each.is_ready() for each in shards)


@pytest.fixture
def with_client_certificates(
    kubectls: tuple[str, str], objects: Objects, tmp_path: Path
) -> Objects:
    """Return the overlay whose web-config requires client certificates, with the same devices."""
    issuer = authority(tmp_path)
    certificate, key = issuer.issue("probe")
    web_config = {
        "tls_server_config": {
            "cert_file": "tls.crt",
            "key_file": "tls.key",
            "client_auth_type": "RequireAndVerifyClientCert",
            "client_ca_file": "client-ca.pem",
        }
    }
    files = {
        **objects["ConfigMap", NAME]["data"],
        "web-config.yml": yaml.safe_dump(web_config),
        "tls.crt": (tmp_path / "server.crt").read_text(),
        "tls.key": (tmp_path / "server.key").read_text(),
        "client-ca.pem": issuer.file.read_text(),
        "probe.crt": certificate.read_text(),
        "probe.key": key.read_text(),
    }
    overlay = write_overlay(tmp_path, *blocks("Client certificates"), files=files)
    return by_name(render(kubectls[-1], overlay))


def test_the_probes_work_where_client_certificates_are_required(
    engine: Engine, shards: list[Running], with_client_certificates: Objects, folder: Path
) -> None:
    assert shards  # podman has their ConfigMap and Secret
    give_secret(engine, with_client_certificates["Secret", f"{NAME}-web"], folder)
    made = pod(with_client_certificates, 0)
    made["metadata"]["name"] = "web-0"
    started = play(engine, with_client_certificates, made, folder)
    [container] = made["spec"]["containers"]

    def answers(probe: str) -> bool:
        command = container[probe]["exec"]["command"]
        address = f"--web.listen-address={LOOPBACK}:{started.port}"
        succeeds: bool = engine.succeeds("exec", started.container, *command, address)
        return succeeds

    for probe in ("livenessProbe", "readinessProbe"):
        wait_until(
            partial(answers, probe), f"the {probe} succeeds", partial(log_of, engine, started)
        )
    without = ("axis-ntp-exporter", "healthcheck", "--ready")
    assert not engine.succeeds(
        "exec", started.container, *without, f"--web.listen-address={LOOPBACK}:{started.port}"
    )


def test_a_pod_stops_within_its_grace_period(engine: Engine, shards: list[Running]) -> None:
    # SIGKILL after 10 s would give 137.
    for each in shards:
        engine.podman("stop", "--time=10", each.container)
        [found] = json.loads(engine.podman("inspect", each.container))
        assert found["State"]["ExitCode"] == os.EX_OK
