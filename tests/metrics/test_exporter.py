"""The exporter's own histograms and process series equal prometheus-client's."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.process_collector import ProcessCollector

from exporter.clock.host import HostClock
from exporter.clock.offset import SECOND_NS
from exporter.metrics.exporter import ExporterMetrics, register_process_collector

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
NAME = "axis_ntp_exporter_poll_latency_seconds"
seconds = st.lists(st.one_of(st.floats(0, 100), st.sampled_from(BOUNDS)), max_size=30)


@pytest.mark.parametrize("render", [generate_latest, generate_openmetrics])
@given(taken=seconds)
def test_a_histogram_is_the_same_as_prometheus_clients(
    render: Callable[[CollectorRegistry], bytes], taken: list[float]
) -> None:
    ours, registry = ExporterMetrics(), CollectorRegistry()
    theirs = Histogram(
        NAME, "Duration of a poll, successful or not.", buckets=BOUNDS, registry=registry
    )
    for each in taken:
        ours.poll_ended(each)
        theirs.observe(each)
    lines = render(ours.registry).decode().splitlines()
    expected = render(registry).decode().splitlines()
    assert [line for line in lines if NAME in line] == [line for line in expected if NAME in line]


def test_the_process_series_are_the_same_as_prometheus_clients() -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    register_process_collector(ours, HostClock())
    ProcessCollector(registry=theirs)
    families = [[*each.collect()] for each in (ours, theirs)]
    described = [[(f.name, f.type, f.documentation) for f in each] for each in families]
    assert described[0] == described[1]
    changing = {"process_virtual_memory_bytes", "process_resident_memory_bytes"}
    changing.add("process_cpu_seconds")
    for our, their in zip(*families, strict=True):
        if our.name in changing:
            assert our.samples[0].value == pytest.approx(their.samples[0].value, rel=0.1)
        else:
            assert our.samples == their.samples


@pytest.mark.parametrize("missing", ["_STATISTICS", "_OPEN_FILES"])
def test_hidden_files_of_proc_do_not_stop_the_exporter(
    missing: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(f"exporter.metrics.exporter.{missing}", tmp_path / "missing")
    names = {metric.name for metric in ExporterMetrics().registry.collect()}
    assert "axis_ntp_exporter_build_info" in names


@pytest.mark.parametrize("step_seconds", [-7200, 7200])
@pytest.mark.parametrize(
    "name",
    [
        "process_start_time_seconds",
        "axis_ntp_exporter_config_last_reload_success_timestamp_seconds",
    ],
)
def test_a_step_of_the_hosts_clock_moves_every_time_by_the_step(
    name: str, step_seconds: int
) -> None:
    set_by_ns = 0
    steady_ns = 500 * SECOND_NS

    host = HostClock(lambda: steady_ns, lambda: 10**18 + steady_ns + set_by_ns)
    metrics = ExporterMetrics(host)
    metrics.config_loaded()
    before = metrics.registry.get_sample_value(name)
    steady_ns, set_by_ns = 560 * SECOND_NS, step_seconds * SECOND_NS
    after = metrics.registry.get_sample_value(name)
    assert before is not None
    assert after == before + step_seconds
