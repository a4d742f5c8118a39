"""The exporter's own series: its process, its health, and whether it keeps its schedule."""

import os
import resource
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Metric, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from exporter import __version__
from exporter.clock.host import HostClock, HostTime, kernel_says_synchronized
from exporter.clock.offset import SECOND_NS, Offset
from exporter.system.logs import dropped_log_lines

PREFIX: Final = "axis_ntp_exporter_"
_BOUNDS_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_OPEN_FILES: Final = Path("/proc/self/fd")
_STATISTICS: Final = Path("/proc/stat")

HostOffset = Callable[[HostTime], Offset | None]
"""Returns this host's offset from the time on which time servers agree."""


class ExporterMetrics:
    """The `axis_ntp_exporter_*`, `process_*` and `python_*` series on a registry of their own."""

    def __init__(self, host: HostClock | None = None) -> None:
        self._host = host or HostClock()
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        register_process_collector(self.registry, self._host)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        build_info = self._gauge(
            "build_info", "1; the label shows the exporter's version.", "version"
        )
        build_info.labels(version=__version__).set(1)
        self.devices = self._gauge("devices", "Number of devices that this exporter polls.")
        self.polls_in_flight = self._gauge("polls_in_flight", "Number of polls in progress.")
        self._lateness = _SecondsHistogram(
            "poll_lateness_seconds", "How long after its due time a poll started.", self.registry
        )
        self._latency = _SecondsHistogram(
            "poll_latency_seconds", "Duration of a poll, successful or not.", self.registry
        )
        self._reload_successful = self._gauge(
            "config_last_reload_successful",
            "1 if the last attempt to load the config succeeded, else 0.",
        )
        self._reload_time = self._gauge(
            "config_last_reload_success_timestamp_seconds",
            "When the config was last loaded successfully, Unix time.",
        )
        self._sd_failures = Counter(
            f"{PREFIX}sd_refresh_failures",
            "Refreshes of a discovery source that failed or refused a target.",
            ("mechanism", "source"),
            registry=self.registry,
        )
        self._host_clock = _HostClockCollector(self._host)
        self.registry.register(self._host_clock)
        self.registry.register(_LogCollector())

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"{PREFIX}{name}", text, labels, registry=self.registry)

    def add_time_servers(self, servers: Collector, host_offset: HostOffset) -> None:
        """Add the series of time servers, and this host's offset from what they agree on."""
        self.registry.register(servers)
        self._host_clock.offset = host_offset

    def poll_started(self, lateness_seconds: float) -> None:
        """Record how late a poll started."""
        self._lateness.observe(max(0.0, lateness_seconds))

    def poll_ended(self, latency_seconds: float) -> None:
        """Record how long a poll took."""
        self._latency.observe(latency_seconds)

    def config_failed(self) -> None:
        """Record that an attempt to load the config failed."""
        self._reload_successful.set(0)

    def config_loaded(self) -> None:
        """Record that the config was loaded just now."""
        self._reload_successful.set(1)
        loaded = self._host.steady_seconds()
        self._reload_time.set_function(lambda: self._host.now().unix_seconds_at(loaded))

    def sd_refreshed(self, mechanism: str, source: str, *, failed: bool) -> None:
        """Count a refresh of a discovery source; `failed` also if it refused a target."""
        self._sd_failures.labels(mechanism, source).inc(failed)

    def sd_ended(self, mechanism: str, sources: Iterable[str]) -> None:
        """Remove the series of discovery sources that are no longer configured."""
        for source in sources:
            self._sd_failures.remove(mechanism, source)


class _SecondsHistogram(Collector):
    """A histogram for one thread, cheap enough for every poll.

    prometheus-client's histograms lock for threads: two of them took 5 % of a poll's CPU.
    """

    def __init__(self, name: str, text: str, registry: CollectorRegistry) -> None:
        self._name = f"{PREFIX}{name}"
        self._text = text
        self._counts = [0] * (len(_BOUNDS_SECONDS) + 1)
        self._sum = 0.0
        registry.register(self)

    def observe(self, seconds: float) -> None:
        """Count one observation."""
        self._counts[bisect_left(_BOUNDS_SECONDS, seconds)] += 1
        self._sum += seconds

    def collect(self) -> Iterator[Metric]:
        """Yield the family; each bucket includes those below it."""
        bounds = [*map(str, _BOUNDS_SECONDS), "+Inf"]
        buckets = [*zip(bounds, map(float, accumulate(self._counts)), strict=True)]
        yield HistogramMetricFamily(self._name, self._text, buckets, self._sum)


class _HostClockCollector(Collector):
    """What the kernel and the time servers say of this host's clock; no samples if unknown."""

    def __init__(self, host: HostClock) -> None:
        self._host = host
        self.offset: HostOffset = lambda _now: None

    def collect(self) -> Iterator[Metric]:
        """Yield the families."""
        synchronized = kernel_says_synchronized()
        if synchronized is not None:
            yield GaugeMetricFamily(
                f"{PREFIX}host_clock_synchronized",
                "1 if this host's kernel reports its clock as synchronized (adjtimex), else 0.",
                float(synchronized),
            )
        offset = self.offset(self._host.now())
        yield _gauge_family(
            "host_clock_offset_seconds",
            "This host's clock minus the time on which a majority of `time_servers` agrees.",
            None if offset is None else offset.seconds,
        )
        yield _gauge_family(
            "host_clock_offset_uncertainty_seconds",
            "Largest possible error of the offset of this host's clock.",
            None if offset is None else offset.uncertainty_seconds,
        )


def _gauge_family(name: str, text: str, value: float | None) -> GaugeMetricFamily:
    """Return a gauge, without a sample for `None`."""
    family = GaugeMetricFamily(f"{PREFIX}{name}", text)
    if value is not None:
        family.add_metric([], value)
    return family


class _LogCollector(Collector):
    """Asks logging at each scrape."""

    def collect(self) -> Iterator[Metric]:
        yield CounterMetricFamily(
            f"{PREFIX}log_lines_dropped",
            "Log lines that were lost, because nothing read standard error or its disk was full.",
            dropped_log_lines(),
        )


def register_process_collector(registry: CollectorRegistry, host: HostClock) -> None:
    """Register `_LinuxProcessCollector`.

    Registers prometheus-client's on other systems, before Linux 6.2, and if files of /proc are
    hidden (`ProcSubset=pid`).
    """
    try:
        collector = _LinuxProcessCollector(host)
        counts_open_files = _OPEN_FILES.stat().st_size > 0
    except (OSError, ValueError):
        counts_open_files = False
    if counts_open_files:
        registry.register(collector)
    else:
        ProcessCollector(registry=registry)


class _LinuxProcessCollector(Collector):
    """The series of prometheus-client's collector, without listing every open file at each scrape.

    Listing takes 11 ms with 10,000 connections. Since Linux 6.2 the size of /proc/self/fd is their
    number. /proc/self/stat is split after the process name, which may contain spaces: index 0 is
    field 3 of proc_pid_stat(5).
    """

    def __init__(self, host: HostClock) -> None:
        self._ticks_per_second = float(os.sysconf("SC_CLK_TCK"))
        statistics = _STATISTICS.read_text().splitlines()
        [boot_line] = [line for line in statistics if line.startswith("btime ")]
        self._boot_unix_seconds = float(boot_line.split()[1])
        self._host = host
        self._clocks_apart_ns = host.now().unix_minus_steady_ns

    def collect(self) -> Iterator[Metric]:
        """Yield the families, with prometheus-client's names and help."""
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        user, system, started = (
            float(fields[place]) / self._ticks_per_second for place in (11, 12, 19)
        )
        yield GaugeMetricFamily(
            "process_virtual_memory_bytes", "Virtual memory size in bytes.", float(fields[20])
        )
        resident = float(fields[21]) * resource.getpagesize()
        yield GaugeMetricFamily(
            "process_resident_memory_bytes", "Resident memory size in bytes.", resident
        )
        yield GaugeMetricFamily(
            "process_start_time_seconds",
            "Start time of the process since unix epoch in seconds.",
            started + self._boot_seconds(),
        )
        yield CounterMetricFamily(
            "process_cpu_seconds_total",
            "Total user and system CPU time spent in seconds.",
            user + system,
        )
        # Add 1: prometheus-client also counts the descriptor that it opens for listing.
        count = _OPEN_FILES.stat().st_size + 1
        yield GaugeMetricFamily("process_open_fds", "Number of open file descriptors.", count)
        limit = float(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        yield GaugeMetricFamily(
            "process_max_fds", "Maximum number of open file descriptors.", limit
        )

    def _boot_seconds(self) -> float:
        """Return when the host booted, Unix seconds, moved by what its clock was set since.

        A move of less than a second is ignored: queries count each change as a restart.
        """
        apart_ns = self._host.now().unix_minus_steady_ns
        if abs(set_by_ns := apart_ns - self._clocks_apart_ns) > SECOND_NS:
            self._boot_unix_seconds += round(set_by_ns / SECOND_NS)
            self._clocks_apart_ns = apart_ns
        return self._boot_unix_seconds
