"""A site to look at: a simulated fleet in trouble, an HA pair of exporters on it, Prometheus."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from exporter.simulator.fleet import ServedFleet, SimulatedFleet, build_fleet, serve_fleet
from exporter.simulator.scenarios import Maker
from tests.dashboards.grafana import Dashboard, Question, Span
from tests.real.daemon_process import DaemonProcess, running_daemon
from tests.support.background import event_loop, in_background
from tests.support.programs import (
    Program,
    enter_on_free_ports,
    http_get,
    wait_until,
)
from tests.support.prometheus import prometheus_on

AWKWARD: Final = "Tür \"1\" / 'west' {a|b} [c] (d) \\d+ 100% & #2 $x ${y}"
"""A device's name with everything that means something to Grafana, PromQL, Go's regexps or URLs."""

STEPPING: Final = "lobby"
"""The device whose clock jumps while everybody looks."""

SECONDS_SEEN: Final = 15
_JOB: Final = 'axis "ntp"'


@dataclass(frozen=True)
class Series:
    """One series of an answer, and its values over time; one value for an instant query."""

    labels: dict[str, str]
    values: list[tuple[float, float]]

    @property
    def last(self) -> float:
        return self.values[-1][1]


@dataclass(frozen=True)
class Prometheus:
    """A running Prometheus, asked as Grafana asks."""

    port: int
    program: Program

    def now(self, expression: str, at: float | None = None) -> list[Series]:
        moment = at or time.time()
        found = self._ask("query", {"query": expression, "time": moment})
        return [_series(each["metric"], [each["value"]]) for each in found["result"]]

    def over_time(self, expression: str, span: Span, step: int) -> list[Series]:
        when = {"start": span.start, "end": span.end, "step": step}
        found = self._ask("query_range", {"query": expression, **when})
        return [_series(each["metric"], each["values"]) for each in found["result"]]

    def label_values(self, selector: str, label: str, span: Span) -> list[str]:
        when = {"start": span.start, "end": span.end}
        path = f"label/{label}/values"
        values: list[str] = self._ask(path, {"match[]": selector, **when})
        return values

    def wait_for(self, expression: str) -> None:
        wait_until(lambda: bool(self.now(expression)), f"{expression} is there", self.program.log)

    def _ask(self, what: str, parameters: Mapping[str, object]) -> Any:
        reply = http_get(self.port, f"/api/v1/{what}?{urlencode(parameters)}")
        assert reply.status == 200, f"{parameters}\n{reply.text}"
        return json.loads(reply.text)["data"]


def _series(labels: dict[str, str], values: list[list[Any]]) -> Series:
    return Series(labels, [(float(when), float(value)) for when, value in values])


@dataclass(frozen=True)
class Site:
    """Everything runs; `span` is the time that there is data of."""

    prometheus: Prometheus
    devices: Sequence[str]
    exporters: Sequence[str]
    span: Span


@contextmanager
def running_site(folder: Path) -> Iterator[Site]:
    """Run it all until the block ends."""
    fleet = _fleet()
    with ExitStack() as stack:
        served = stack.enter_context(_serving(fleet))
        pair = [_daemon(stack, served, folder / name) for name in ("first", "second")]
        addresses = [daemon.address for daemon in pair]
        prometheus = enter_on_free_ports(stack, lambda: _running_prometheus(addresses, folder))
        start = time.time()
        names = [device.name for device in fleet.devices]
        _await_troubles(prometheus, fleet)
        yield Site(prometheus, names, addresses, Span(start, time.time()))


def _fleet() -> SimulatedFleet:
    """The demo's, with one device more."""
    fleet = build_fleet(20, "demo")
    awkward = Maker({}).make(AWKWARD, {"site": "hq"})
    return replace(fleet, members=(*fleet.members, awkward))


def _daemon(stack: ExitStack, served: ServedFleet, folder: Path) -> DaemonProcess:
    folder.mkdir()
    config = served.exporter_config(interval="1s", timeout="900ms")
    config["modules"]["default"]["expect"] = {"enabled": True}
    config["file_sd_configs"] = [{"files": ["more.json"], "refresh_interval": "1s"}]
    (folder / "more.json").write_text("[]")
    return stack.enter_context(running_daemon(config, folder))


def _await_troubles(prometheus: Prometheus, fleet: SimulatedFleet) -> None:
    both = 2 * len(fleet.devices)
    prometheus.wait_for(f"count(axis_ntp_up) == {both}")
    fleet.device(STEPPING).clock.step(3)
    stepped = f'increase(axis_ntp_clock_steps_total{{device="{STEPPING}"}}[1m]) > 0'
    prometheus.wait_for(f"count({stepped}) == 2")
    prometheus.wait_for("axis_ntp_config_mismatch")
    prometheus.wait_for(f"count(count_over_time(up[1m]) > {SECONDS_SEEN}) == 2")


@contextmanager
def _serving(fleet: SimulatedFleet) -> Iterator[ServedFleet]:
    """Serve a fleet on an event loop in a thread of its own."""
    with event_loop() as loop, in_background(loop, serve_fleet(fleet)) as served:
        yield served


@contextmanager
def _running_prometheus(targets: Sequence[str], folder: Path) -> Iterator[Prometheus]:
    with prometheus_on(_config(targets), folder) as started:
        yield Prometheus(started.port, started.program)


def _config(targets: Sequence[str]) -> dict[str, Any]:
    return {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
        "scrape_configs": [{"job_name": _JOB, "static_configs": [{"targets": list(targets)}]}],
    }


def answer(
    site: Site, question: Question, chosen: Mapping[str, Sequence[str]] | None = None
) -> list[Series]:
    """What Prometheus says to a query of a panel or annotation."""
    board = Dashboard(question.uid, chosen or {})
    expression = board.fill(question.expression, site.span, question.points)
    if question.query.get("instant"):
        return site.prometheus.now(expression, site.span.end)
    return site.prometheus.over_time(expression, site.span, site.span.step(question.points))
