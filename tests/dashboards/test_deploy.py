"""The compose file is consistent: paths, ports, names, images. None of its other images is here."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from exporter.cli import make_parser
from exporter.commands import demo, run
from exporter.system.addresses import listen_address
from tests.support.programs import find_program

ROOT: Final = Path(__file__).parents[2]
DEPLOY: Final = ROOT / "deploy"
COMPOSE: Final = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))
SERVICES: Final = COMPOSE["services"]
PROMETHEUS: Final = yaml.safe_load((DEPLOY / "prometheus.yml").read_text("utf-8"))
PROVISIONING: Final = ROOT / "grafana/provisioning"
OURS: Final = "axis-ntp-exporter"


def provisioned(path: str) -> Any:
    return yaml.safe_load((PROVISIONING / path).read_text("utf-8"))


def mounts() -> Iterator[tuple[str, str]]:
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source, target, *_ = volume.split(":")
            yield source, target


def container_port(service: str) -> int:
    [published] = SERVICES[service]["ports"]
    return int(published.rpartition(":")[2])


def test_compose_starts_four_services() -> None:
    assert set(SERVICES) == {"exporter", "prometheus", "alertmanager", "grafana"}


@pytest.mark.parametrize("source", sorted({source for source, _ in mounts() if "/" in source}))
def test_mounted_files_are_in_the_repository(source: str) -> None:
    assert (DEPLOY / source).exists()


def test_named_volumes_are_declared() -> None:
    assert {source for source, _ in mounts() if "/" not in source} == set(COMPOSE["volumes"])


def test_mounted_files_are_read_only() -> None:
    for service in SERVICES.values():
        assert all(
            volume.endswith(":ro") or "/" not in volume.partition(":")[0]
            for volume in service.get("volumes", [])
        )


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_ports_are_published_only_on_loopback(service: str) -> None:
    [published] = SERVICES[service]["ports"]
    assert re.fullmatch(r"127\.0\.0\.1:(\d+):\1", published)


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_an_image_is_ours_or_has_a_registry_and_a_version_tag(service: str) -> None:
    image = SERVICES[service]["image"]
    # podman does not guess the registry.
    assert image == OURS or re.fullmatch(r"docker\.io/[\w/-]+:v?\d+\.\d+\.\d+", image)


def test_our_image_is_built_from_the_top_level() -> None:
    assert (DEPLOY / SERVICES["exporter"]["build"]).resolve() == ROOT


def test_the_exporter_runs_the_demo_on_every_interface() -> None:
    name, *flags = SERVICES["exporter"]["command"]
    options = dict(flag.split("=") for flag in flags)
    assert demo.__name__.endswith(name)
    assert listen_address(options["--web.listen-address"]) == (
        "0.0.0.0",
        container_port("exporter"),
    )
    [published] = SERVICES["grafana"]["ports"]
    assert options["--web.grafana-url"] == f"http://{published.rpartition(':')[0]}"


def service_of_own_devices() -> Any:
    """Return the service `exporter` with the lines that are commented out for own devices."""
    text = (DEPLOY / "compose.yaml").read_text("utf-8")
    [lines] = re.findall(r"(?:^    # +\S*: ?\[(?:.*\n)+?.*\]\n)+", text, re.MULTILINE)
    return yaml.safe_load(re.sub(r"^    # ", "", lines, flags=re.MULTILINE))


def test_own_devices_have_a_place_for_the_config_and_the_password() -> None:
    service = service_of_own_devices()
    name, *flags = service["command"]
    arguments = make_parser(name, run).parse_args(flags)
    mounted = dict(volume.split(":", 1) for volume in service["volumes"])
    assert mounted == {
        "./config.yaml": f"{arguments.config_file}:ro",
        "./axis-password": "/run/secrets/axis-password:ro",
    }


def test_services_depend_on_existing_services() -> None:
    waiting = {name for service in SERVICES.values() for name in service.get("depends_on", [])}
    assert waiting <= set(SERVICES)


def test_prometheus_uses_the_addresses_of_the_other_services() -> None:
    targets = [
        target
        for job in [*PROMETHEUS["scrape_configs"], *PROMETHEUS["alerting"]["alertmanagers"]]
        for target in job["static_configs"][0]["targets"]
    ]
    places = {f"{name}:{container_port(name)}" for name in ("exporter", "alertmanager")}
    assert set(targets) == places | {f"localhost:{container_port('prometheus')}"}


def test_promtool_accepts_prometheus_config_with_the_rules(tmp_path: Path) -> None:
    shutil.copy(DEPLOY / "prometheus.yml", tmp_path)
    shutil.copytree(ROOT / "grafana/rules", tmp_path / "rules")
    checked = subprocess.run(
        [find_program("promtool", "prometheus"), "check", "config", tmp_path / "prometheus.yml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (checked.returncode, checked.stderr) == (0, "")
    assert "1 rule files found" in checked.stdout


def test_grafanas_datasource_is_prometheus_with_its_scrape_interval() -> None:
    [datasource] = provisioned("datasources/prometheus.yaml")["datasources"]
    assert datasource["type"] == "prometheus"
    assert datasource["url"] == f"http://prometheus:{container_port('prometheus')}"
    assert datasource["jsonData"]["timeInterval"] == PROMETHEUS["global"]["scrape_interval"]


def test_grafana_loads_dashboards_from_the_mounted_folder() -> None:
    [provider] = provisioned("dashboards/axis-ntp.yaml")["providers"]
    folder = provider["options"]["path"]
    assert ("../grafana/dashboards", folder) in list(mounts())
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == f"{folder}/axis-ntp-fleet.json"
    assert (ROOT / "grafana/dashboards" / Path(home).name).exists()
