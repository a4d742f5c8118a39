"""What a real Prometheus answers about a series that has ended."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from time import time
from typing import Final

from exporter.config.http_client import HttpClientConfig
from exporter.evidence.prometheus_api import PrometheusApi
from tests.support.background import event_loop, in_background
from tests.support.exposing import exposing
from tests.support.programs import LOOPBACK, enter_on_free_ports
from tests.support.prometheus import running_prometheus

SERIES: Final = 'axis_ntp_clock_offset_seconds{device="lobby"}'


@dataclass
class Target:
    """An exporter that has a device, or none."""

    has_device: bool = True

    def metrics(self) -> str:
        return f"{SERIES} 1.5\n" if self.has_device else ""


async def test_the_mark_of_an_ended_series_is_no_sample(tmp_path: Path) -> None:
    target = Target()
    with ExitStack() as stack:
        loop = stack.enter_context(event_loop())
        address = stack.enter_context(in_background(loop, exposing(target.metrics)))
        prometheus = enter_on_free_ports(stack, lambda: running_prometheus(address, tmp_path))
        prometheus.wait_for(SERIES)
        target.has_device = False
        # Prometheus marks the end with a NaN, and the series is absent at once.
        prometheus.wait_for(f"absent({SERIES})")
        api = PrometheusApi(f"http://{LOOPBACK}:{prometheus.port}", HttpClientConfig())
        [series] = await api.query(f"{SERIES}[5m]", time())
    assert {value for _, value in series.samples} == {1.5}
