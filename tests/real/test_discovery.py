"""The real Prometheus finds devices at /discover and scrapes each through /probe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from exporter.simulator.fleet import build_fleet, serve_fleet
from tests.support.background import event_loop, in_background
from tests.support.daemon_process import blocking_daemon
from tests.support.prometheus import prometheus_on


def multi_target(exporter: str) -> dict[str, Any]:
    """Return a config with the job in docs/discovery.md."""
    job = {
        "job_name": "axis",
        "metrics_path": "/probe",
        "honor_labels": True,
        "http_sd_configs": [{"url": f"http://{exporter}/discover", "refresh_interval": "1s"}],
        "relabel_configs": [
            {"source_labels": ["__address__"], "target_label": "__param_target"},
            {"source_labels": ["__param_target"], "target_label": "instance"},
            {"target_label": "__address__", "replacement": exporter},
        ],
    }
    return {"global": {"scrape_interval": "1s"}, "scrape_configs": [job]}


def test_prometheus_discovers_the_devices_and_scrapes_each_through_probe(tmp_path: Path) -> None:
    fleet = build_fleet(5, "demo")
    with (
        event_loop() as loop,
        in_background(loop, serve_fleet(fleet)) as served,
        blocking_daemon(served.exporter_config(interval="1s"), tmp_path) as daemon,
        prometheus_on(multi_target(daemon.address), tmp_path) as prometheus,
    ):
        prometheus.wait_for(f"count(axis_ntp_up) == {len(fleet.devices)}")
        found = prometheus.query("axis_ntp_up")
        exporters_own = prometheus.query('{__name__=~"axis_ntp_exporter_.*"}')
    assert {series.labels["device"] for series in found} == {d.name for d in fleet.devices}
    assert {series.labels["instance"] for series in found} == set(served.addresses)
    assert not [series for series in found if any(n.startswith("exported_") for n in series.labels)]
    assert exporters_own == []
