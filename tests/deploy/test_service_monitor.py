"""The ServiceMonitor, an object of the Prometheus operator without a schema in Kubernetes.

The models follow the operator's definition, monitoring.coreos.com/v1 (release 0.84), as far as this
project uses it.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from exporter.config.types import RESERVED_LABELS
from exporter.system.text import parse_duration
from tests.deploy.manifests import arguments, labels, of_kind, selects

# The labels that Prometheus and the operator add to a target.
TARGET_LABELS: Final = {"job", "instance", "namespace", "pod", "container", "service", "endpoint"}

Duration = Annotated[str, Field(pattern=r"^(\d+m)?(\d+s)?$", min_length=1)]


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, alias_generator=to_camel)


class Relabeling(Part):
    source_labels: list[Annotated[str, Field(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$")]]
    separator: str
    target_label: str


class TLSConfig(Part):
    insecure_skip_verify: bool


class Endpoint(Part):
    port: str
    path: str
    scheme: Literal["http", "https"] = "http"
    tls_config: TLSConfig | None = None
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
    namespace: str = ""
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


def test_the_monitor_selects_only_one_service() -> None:
    [service] = FOUND
    assert ENDPOINT.port in {port["name"] for port in service["spec"]["ports"]}


def test_the_job_is_named_after_the_exporter() -> None:
    [service] = FOUND
    assert labels(service)[SPEC.job_label] == "axis-ntp-exporter"


def test_the_monitor_scrapes_the_metrics_path() -> None:
    assert ENDPOINT.path == arguments(0).telemetry_path


def test_the_scrape_interval_is_short_enough_for_the_alerts() -> None:
    interval = parse_duration(ENDPOINT.interval)
    assert parse_duration(ENDPOINT.scrape_timeout) <= interval <= 120


def test_an_instance_keeps_its_name_after_a_restart() -> None:
    [relabeling] = ENDPOINT.relabelings
    assert relabeling.target_label == "instance"
    assert relabeling.source_labels == [
        "__meta_kubernetes_namespace",
        "__meta_kubernetes_pod_name",
    ]
    assert relabeling.separator == "/"


def test_labels_of_a_device_cannot_override_the_target() -> None:
    assert ENDPOINT.honor_labels is False


def test_our_labels_differ_from_the_target_labels() -> None:
    assert not TARGET_LABELS & {*RESERVED_LABELS, "version", "mechanism", "le"}
