"""The series of the time servers that the exporter asks. One table; tests compare docs with it."""

from collections.abc import Callable, Iterable, Iterator
from operator import attrgetter
from typing import Final, NamedTuple

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from exporter.clock.host import HostClock, HostTime
from exporter.clock.offset import SECOND_NS, Offset, offset_at
from exporter.time_servers.monitor import TimeServer, TimeServerMonitor
from exporter.time_servers.sntp import TimeAnswer

_PREFIX: Final = "axis_ntp_time_server_"


class ServerView(NamedTuple):
    """A server at the moment of a scrape, with its answer and offset if they are known."""

    server: TimeServer
    answer: TimeAnswer | None
    offset: Offset | None

    @classmethod
    def of(cls, server: TimeServer, now: HostTime) -> "ServerView":
        """Return the view of a server now."""
        answer = server.current_answer(now.steady_ns)
        return cls(server, answer, None if answer is None else offset_at(answer.estimate, now))


class TimeServerMetric(NamedTuple):
    """A gauge with one sample a server; none for `None`."""

    name: str
    help: str
    value: Callable[[ServerView], float | None]


def _answered(path: str, unit: float = 1.0) -> Callable[[ServerView], float | None]:
    """Return what reads a value of the last answer, divided by `unit`."""
    read = attrgetter(path)
    return lambda view: None if view.answer is None else read(view.answer) / unit


def _offset(path: str) -> Callable[[ServerView], float | None]:
    read: Callable[[Offset], float] = attrgetter(path)
    return lambda view: None if view.offset is None else read(view.offset)


TIME_SERVER_METRICS: Final = (
    TimeServerMetric(
        f"{_PREFIX}up",
        "1 if the last query got a valid answer, or RATE while the last answer counts; else 0.",
        lambda view: view.server.up,
    ),
    TimeServerMetric(
        f"{_PREFIX}offset_seconds",
        "The server's clock minus this host's, from the last valid answer.",
        _offset("seconds"),
    ),
    TimeServerMetric(
        f"{_PREFIX}offset_uncertainty_seconds",
        "Half the round trip, half the root delay and the root dispersion, widened since then.",
        _offset("uncertainty_seconds"),
    ),
    TimeServerMetric(
        f"{_PREFIX}round_trip_seconds",
        "How long query and answer travelled.",
        _answered("round_trip_ns", SECOND_NS),
    ),
    TimeServerMetric(
        f"{_PREFIX}stratum",
        "The server's stratum: 1 has a clock of its own, 16 is not synchronized.",
        _answered("stratum"),
    ),
    TimeServerMetric(
        f"{_PREFIX}leap",
        "The server's leap indicator: 0 none, 1 or 2 a leap second comes, 3 not synchronized.",
        _answered("leap"),
    ),
    TimeServerMetric(
        f"{_PREFIX}root_delay_seconds",
        "The server's round trip to its reference clock, as answered.",
        _answered("root_delay_ns", SECOND_NS),
    ),
    TimeServerMetric(
        f"{_PREFIX}root_dispersion_seconds",
        "The server's largest error relative to its reference clock, as answered.",
        _answered("root_dispersion_ns", SECOND_NS),
    ),
    TimeServerMetric(
        f"{_PREFIX}selectable",
        "1 if an NTP client would use it: leap not 3, stratum 1 to 15, root distance up to 3 s.",
        _answered("is_selectable"),
    ),
    TimeServerMetric(
        f"{_PREFIX}devices",
        "Number of devices that use the server, by the last reading of each; not those with NTS.",
        lambda view: view.server.devices,
    ),
)

SPELLINGS: Final = (
    f"{_PREFIX}spelling_info",
    "1 for each other spelling of the server by devices, as in `axis_ntp_server_info`.",
)
QUERIES: Final = (f"{_PREFIX}queries", "Finished queries of the server.")
FAILURES: Final = (f"{_PREFIX}failures", "Queries without a valid answer, by reason.")


class TimeServerCollector(Collector):
    """The series of all servers at each scrape; no families without servers."""

    def __init__(self, monitor: TimeServerMonitor, host: HostClock) -> None:
        self._monitor = monitor
        self._host = host

    def collect(self) -> Iterator[Metric]:
        """Yield the families."""
        now = self._host.now()
        views = [ServerView.of(server, now) for server in self._monitor.servers]
        if not views:
            return
        for name, text, value in TIME_SERVER_METRICS:
            family = GaugeMetricFamily(name, text, labels=["server"])
            for view in views:
                if (sample := value(view)) is not None:
                    family.add_metric([view.server.target.label], float(sample))
            yield family
        servers = [view.server for view in views]
        yield _spellings(servers)
        yield from _counters(servers)


def _spellings(servers: Iterable[TimeServer]) -> Metric:
    """Return what joins the label `server` of devices' series with that of time servers."""
    family = GaugeMetricFamily(*SPELLINGS, labels=["server", "spelling"])
    for server in servers:
        label = server.target.label
        for spelling in sorted(server.spellings - {label}):
            family.add_metric([label, spelling], 1.0)
    return family


def _counters(servers: Iterable[TimeServer]) -> Iterator[Metric]:
    queries = CounterMetricFamily(*QUERIES, labels=["server"])
    failures = CounterMetricFamily(*FAILURES, labels=["server", "reason"])
    for server in servers:
        queries.add_metric([server.target.label], server.queries)
        for reason, count in server.failures.items():
            failures.add_metric([server.target.label, reason], count)
    yield queries
    yield failures
