"""The series of time servers: which there are, when they are absent, and what many cost."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from exporter.clock.host import HostClock
from exporter.clock.offset import SECOND_NS, Estimate
from exporter.config import TimeServersConfig
from exporter.metrics.exporter import ExporterMetrics
from exporter.metrics.time_servers import (
    FAILURES,
    QUERIES,
    SPELLINGS,
    TIME_SERVER_METRICS,
    TimeServerCollector,
)
from exporter.time_servers.client import NoAnswer
from exporter.time_servers.monitor import ANSWER_INTERVALS, TimeServerMonitor
from exporter.time_servers.sntp import TimeAnswer
from exporter.time_servers.targets import Usage
from exporter.web.metrics_endpoint import encode_in_pieces
from exporter.web.negotiation import OPENMETRICS, TEXT, TEXT_1, Format

WALL_NS = 1_800_000_000 * SECOND_NS
PREFIX = "axis_ntp_time_server_"
ANSWERED = {
    "offset_seconds",
    "offset_uncertainty_seconds",
    "round_trip_seconds",
    "stratum",
    "leap",
    "root_delay_seconds",
    "root_dispersion_seconds",
    "selectable",
}


class Site:
    """A monitor whose servers answer at once; those in `silent` do not answer."""

    def __init__(self) -> None:
        self.steady_ns = 0
        self.silent: set[str] = set()
        host = HostClock(lambda: self.steady_ns, lambda: self.steady_ns + WALL_NS)
        self.monitor = TimeServerMonitor(self.query, host, lambda: 0.0)
        self.metrics = ExporterMetrics(host)
        self.metrics.add_time_servers(
            TimeServerCollector(self.monitor, host), self.monitor.host_offset
        )

    async def query(self, host: str, *_: object, **_more: object) -> TimeAnswer:
        if host in self.silent:
            raise NoAnswer("silent")
        theta_ns = WALL_NS + 250_000_000
        estimate = Estimate(theta_ns - 10_000_000, theta_ns + 10_000_000, self.steady_ns)
        return TimeAnswer(estimate, 18_000_000, 2, 1, 4_000_000, 5_000_000)

    async def ask(self, *servers: str, **changes: Any) -> None:
        self.monitor.apply(TimeServersConfig.model_validate({"servers": servers} | changes))
        async with asyncio.timeout(10):
            while any(server.up is None for server in self.monitor.servers):
                await asyncio.sleep(0)

    def samples(self) -> dict[str, dict[tuple[str, ...], float]]:
        """Return the samples by name, without the prefix, and the values of their labels."""
        found: dict[str, dict[tuple[str, ...], float]] = {}
        for family in text_string_to_metric_families(
            generate_latest(self.metrics.registry).decode()
        ):
            for sample in family.samples:
                name = sample.name.removeprefix(PREFIX)
                found.setdefault(name, {})[tuple(sample.labels.values())] = sample.value
        return found


async def test_every_series_has_its_value_in_base_units() -> None:
    site = Site()
    await site.ask("a")
    found = site.samples()
    await site.monitor.stop()
    values = {name: found[name]["a",] for name in (*ANSWERED, "up", "devices", "queries_total")}
    assert values.pop("offset_seconds") == pytest.approx(0.25)
    assert values.pop("offset_uncertainty_seconds") == pytest.approx(0.01, rel=1e-3)
    assert values == {
        "up": 1,
        "round_trip_seconds": 0.018,
        "stratum": 2,
        "leap": 1,
        "root_delay_seconds": 0.004,
        "root_dispersion_seconds": 0.005,
        "selectable": 1,
        "devices": 0,
        "queries_total": 1,
    }
    assert set(found["failures_total"].values()) == {0}
    host = "axis_ntp_exporter_host_clock_offset"
    assert found[f"{host}_seconds"][()] == pytest.approx(-0.25)
    assert found[f"{host}_uncertainty_seconds"][()] == pytest.approx(0.01, rel=1e-3)


async def test_the_table_lists_every_series() -> None:
    site = Site()
    await site.ask("a")
    found = set(generate_latest(site.metrics.registry).decode().split())
    await site.monitor.stop()
    listed = [metric.name for metric in TIME_SERVER_METRICS]
    listed += [SPELLINGS[0], *(f"{name}_total" for name, _ in (QUERIES, FAILURES))]
    assert {name for name in found if name.startswith(PREFIX) and "{" not in name} == set(listed)


async def test_other_spellings_of_a_server_by_devices_have_a_series() -> None:
    site = Site()
    await site.ask("ntp.example")
    usage = Usage(site.monitor.rules)
    for spelling in ("ntp.example", "NTP.example", "ntp.example:123"):
        usage.add((spelling,))
    site.monitor.set_usage(usage)
    found = generate_latest(site.metrics.registry).decode()
    await site.monitor.stop()
    lines = [line for line in found.splitlines() if line.startswith(SPELLINGS[0])]
    assert lines == [
        f'{SPELLINGS[0]}{{server="ntp.example",spelling="{spelling}"}} 1.0'
        for spelling in ("NTP.example", "ntp.example:123")
    ]


async def test_a_server_that_never_answered_has_only_up_and_counters() -> None:
    site = Site()
    site.silent = {"a"}
    await site.ask("a")
    found = site.samples()
    await site.monitor.stop()
    assert ANSWERED.isdisjoint(found)
    assert found["up"] == {("a",): 0}
    timeouts = {labels: value for labels, value in found["failures_total"].items() if value}
    assert [set(labels) for labels in timeouts] == [{"a", "timeout"}]
    assert "axis_ntp_exporter_host_clock_offset_seconds" not in found


async def test_an_old_answer_is_not_exported() -> None:
    site = Site()
    await site.ask("a")
    site.steady_ns = ANSWER_INTERVALS * 64 * SECOND_NS
    assert set(site.samples()) >= ANSWERED
    site.steady_ns += 1
    found = site.samples()
    await site.monitor.stop()
    assert ANSWERED.isdisjoint(found)
    assert found["up"] == {("a",): 1}


async def full_site() -> Site:
    """Return a site with as many servers as there can be."""
    site = Site()
    allowed = {"used_by_devices": True, "allowed": ["10.0.0.0/8"]}
    servers = [f"192.0.2.{n}" for n in range(256)]
    site.monitor.apply(TimeServersConfig.model_validate({"servers": servers} | allowed))
    usage = Usage(site.monitor.rules)
    for n in range(300):
        for _ in range(9):  # one device alone cannot fill all slots
            usage.add((f"10.1.{n // 250}.{n % 250}",))
    site.monitor.set_usage(usage)
    await site.ask(*servers, **allowed)
    return site


@pytest.mark.parametrize("wanted", [TEXT, TEXT_1, OPENMETRICS], ids=lambda each: each.media_type)
async def test_pieces_are_the_whole_text(wanted: Format) -> None:
    site = await full_site()
    registry = CollectorRegistry()
    registry.register(TimeServerCollector(site.monitor, HostClock(lambda: 0, lambda: WALL_NS)))
    pieces, whole = list(encode_in_pieces(wanted, registry)), wanted.encode(registry)
    await site.monitor.stop()
    assert b"".join(pieces) == whole
    assert len(pieces) > 5
    assert list(encode_in_pieces(wanted, CollectorRegistry())) == [
        wanted.encode(CollectorRegistry())
    ]


async def test_no_piece_of_512_servers_takes_long() -> None:
    site = await full_site()
    assert len(site.monitor.servers) == 512
    longest = []
    for _ in range(3):
        pieces = encode_in_pieces(TEXT, site.metrics.registry)
        costs, started = [], time.process_time()
        for _ in pieces:
            costs.append(time.process_time() - started)
            started = time.process_time()
        longest.append(max(costs))
    await site.monitor.stop()
    assert min(longest) < 0.1
