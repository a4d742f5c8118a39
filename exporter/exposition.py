"""From the devices' states to what Prometheus reads, through prometheus-client."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client import Metric
from prometheus_client.registry import Collector

from exporter.device import Device
from exporter.host_clock import HostClock, HostTime
from exporter.metrics import DEVICE_METRICS, DeviceMetric


class DeviceCollector(Collector):
    """The catalogue's families for a fleet; a family without a sample is left out."""

    def __init__(self, devices: Iterable[Device], host: HostClock) -> None:
        self._devices = devices
        self._host = host

    def collect(self) -> Iterator[Metric]:
        """One family after the other, each with every device's samples."""
        now = self._host.now()
        for metric in DEVICE_METRICS:
            family = _family(metric, self._devices, now)
            if family.samples:
                yield family


def _family(metric: DeviceMetric, devices: Iterable[Device], now: HostTime) -> Metric:
    family = Metric(metric.name.removesuffix("_total"), metric.help, metric.kind)
    for device in devices:
        fixed = {**device.target.labels, "device": device.target.name}
        for values, value in metric.samples(device.state, now):
            labels = fixed | dict(zip(metric.labels, values, strict=True))
            family.add_sample(metric.name, labels, value)
    return family
