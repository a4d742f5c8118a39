"""The ServiceMonitor: of the Prometheus operator, so unknown to Kubernetes's own schemas.

Its shape is that of the operator's definition, monitoring.coreos.com/v1 (release 0.84), as far as
this project uses it.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from exporter.config.labels import RESERVED_LABELS
from exporter.system.durations import parse_duration
from tests.deploy.manifests import arguments, labels, of_kind, selects

# What Prometheus itself and the operator put on a target.
TARGET_LABELS: Final = {"job", "instance", "namespace", "pod", "container", "service", "endpoint"}

Duration = Annotated[str, Field(pattern=r"^(\d+m)?(\d+s)?$", min_length=1)]


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, alias_generator=to_camel)


class Relabeling(Part):
    source_labels: list[Annotated[str, Field(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$")]]
    separator: str
    target_label: str


class Endpoint(Part):
    port: str
    path: str
    interval: Duration
    scrape_timeout: Duration
    honor_labels: bool
    relabelings: list[Relabeling]


class Selector(Part):
    match_labels: dict[str, str]


class Spec(Part):
    selector: Selector
    job_label: str
    endpoints: list[Endpoint]


class Metadata(Part):
    name: str
    labels: dict[str, str]


class ServiceMonitor(Part):
    api_version: Literal["monitoring.coreos.com/v1"]
    kind: Literal["ServiceMonitor"]
    metadata: Metadata
    spec: Spec


[MANIFEST] = of_kind("ServiceMonitor")
SPEC: Final = ServiceMonitor.model_validate(MANIFEST).spec
[ENDPOINT] = SPEC.endpoints
FOUND: Final = [each for each in of_kind("Service") if selects(SPEC.selector.match_labels, each)]


def test_it_finds_one_service_so_that_no_pod_is_scraped_twice() -> None:
    [service] = FOUND
    assert ENDPOINT.port in {port["name"] for port in service["spec"]["ports"]}


def test_the_job_is_called_as_the_exporter() -> None:
    [service] = FOUND
    assert labels(service)[SPEC.job_label] == "axis-ntp-exporter"


def test_it_scrapes_the_metrics_path() -> None:
    assert ENDPOINT.path == arguments(0).telemetry_path


def test_it_scrapes_as_often_as_the_alerts_need() -> None:
    interval = parse_duration(ENDPOINT.interval)
    assert parse_duration(ENDPOINT.scrape_timeout) <= interval <= 120


def test_an_instance_is_called_alike_after_a_restart() -> None:
    [relabeling] = ENDPOINT.relabelings
    assert relabeling.target_label == "instance"
    assert relabeling.source_labels == [
        "__meta_kubernetes_namespace",
        "__meta_kubernetes_pod_name",
    ]
    assert relabeling.separator == "/"


def test_a_device_cannot_pass_for_another_exporter() -> None:
    assert ENDPOINT.honor_labels is False


def test_no_series_of_ours_has_a_label_that_the_target_has() -> None:
    assert not TARGET_LABELS & {*RESERVED_LABELS, "version", "mechanism", "le"}
