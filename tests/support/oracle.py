"""The catalogue through prometheus-client, to compare our own exposition with."""

from collections.abc import Iterable, Iterator
from operator import attrgetter

from prometheus_client import Metric
from prometheus_client.registry import Collector

from exporter.clock.host import HostTime
from exporter.devices.device import Device
from exporter.metrics.catalogue import (
    DEVICE_METRICS,
    ClockMetric,
    DeviceMetric,
    DriftMetric,
    IdentityMetric,
    Sample,
    SamplesMetric,
    StateMetric,
    TimeMetric,
    ValueMetric,
)


class DeviceCollector(Collector):
    """Collects the catalogue's families of devices, without those that have no sample."""

    def __init__(self, devices: Iterable[Device], now: HostTime) -> None:
        self._devices = devices
        self._now = now

    def collect(self) -> Iterator[Metric]:
        for metric in DEVICE_METRICS:
            family = self._family(metric)
            if family.samples:
                yield family

    def _family(self, metric: DeviceMetric) -> Metric:
        family = Metric(metric.name.removesuffix("_total"), metric.help, metric.kind)
        for device in self._devices:
            fixed = {**device.target.labels, "device": device.target.name}
            if isinstance(metric, IdentityMetric):
                samples = metric.samples(device.target, device.state.identity)
            else:
                samples = _samples(metric, device, self._now)
            for values, value in samples:
                labels = fixed | dict(zip(metric.labels, values, strict=True))
                family.add_sample(metric.name, labels, value)
        return family


def _samples(metric: StateMetric, device: Device, now: HostTime) -> Iterable[Sample]:
    if isinstance(metric, ClockMetric):
        offset = device.state.clock_offset(now)
        return [] if offset is None else [((), attrgetter(metric.path)(offset))]
    if isinstance(metric, DriftMetric):
        drift = device.state.clock_drift
        return [] if drift is None else [((), round(attrgetter(metric.path)(drift), 9))]
    if isinstance(metric, SamplesMetric):
        return metric.samples(device.state)
    value = attrgetter(metric.path)(device.state)
    if value is None:
        return []
    if isinstance(metric, TimeMetric):
        return [((), round(now.unix_seconds_at(value), 3))]
    return [((), _as_written(metric, value))]


def _as_written(metric: ValueMetric, value: float) -> float:
    return float(value) if metric.decimals is None else round(value, metric.decimals)
