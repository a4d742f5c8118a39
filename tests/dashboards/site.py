"""A site for the dashboards: a simulated fleet with faults, an HA pair of exporters, Prometheus."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import yaml

from exporter.simulator.fleet import ServedFleet, SimulatedFleet, build_fleet, serve_fleet
from exporter.simulator.scenarios import MemberFactory
from tests.dashboards.grafana import Dashboard, Question, Span
from tests.support.background import event_loop, in_background
from tests.support.daemon_process import BlockingDaemon, blocking_daemon
from tests.support.programs import (
    enter_on_free_ports,
)
from tests.support.prometheus import Prometheus, Series, prometheus_on

AWKWARD: Final = "Tür \"1\" / 'west' {a|b} [c] (d) \\d+ 100% & #2 $x ${y}"
"""A device name with every special character of Grafana, PromQL, Go's regexps and URLs."""

STEPPING: Final = "lobby"
"""The device whose clock steps after the first polls."""

STALLED: Final = AWKWARD
"""The device that is synchronized with a dead server."""

EXPIRING: Final = "till-1"
"""The device whose certificate ends soon."""

ALERTS: Final = Path(__file__).parents[2] / "grafana/rules/axis-ntp.rules.yml"

SECONDS_SEEN: Final = 15

CLOCK_SECONDS: Final = 0.25
"""How well every clock is known: no better, because responses are late on a loaded machine."""

_JOB: Final = 'axis "ntp"'


@dataclass(frozen=True)
class Site:
    """Everything, running; `span` is the time with data."""

    prometheus: Prometheus
    devices: Sequence[str]
    exporters: Sequence[str]
    span: Span


@contextmanager
def dashboard_site(folder: Path) -> Iterator[Site]:
    """Run everything until the block ends."""
    fleet = _fleet()
    with ExitStack() as stack:
        loop = stack.enter_context(event_loop())
        served = stack.enter_context(in_background(loop, serve_fleet(fleet)))
        pair = [_daemon(stack, served, folder / name) for name in ("first", "second")]
        addresses = [daemon.address for daemon in pair]
        rules = folder / "rules.yml"
        rules.write_text(yaml.safe_dump(_rules()))
        config = _config(addresses) | {"rule_files": [str(rules)]}
        prometheus = enter_on_free_ports(stack, lambda: prometheus_on(config, folder))
        start = time.time()
        names = [device.name for device in fleet.devices]
        _wait_for_faults(prometheus, fleet)
        yield Site(prometheus, names, addresses, Span(start, time.time()))


def _fleet() -> SimulatedFleet:
    """Build the demo's fleet, with one more device."""
    fleet = build_fleet(20, "demo")
    stalled = MemberFactory({}).make(STALLED, {"site": "hq"}, "server_dead")
    return replace(fleet, members=(*fleet.members, stalled))


def _daemon(stack: ExitStack, served: ServedFleet, folder: Path) -> BlockingDaemon:
    folder.mkdir()
    config = served.exporter_config(interval="1s", timeout="900ms")
    config["modules"]["default"]["expect"] = {"enabled": True}
    config["file_sd_configs"] = [{"files": ["more.json"], "refresh_interval": "1s"}]
    (folder / "more.json").write_text("[]")
    return stack.enter_context(blocking_daemon(config, folder))


def _wait_for_faults(prometheus: Prometheus, fleet: SimulatedFleet) -> None:
    both = 2 * len(fleet.devices)
    prometheus.wait_for(f"count(axis_ntp_up) == {both}")
    fleet.device(STEPPING).clock.step(3)
    stepped = f'increase(axis_ntp_clock_steps_total{{device="{STEPPING}"}}[1m]) > 0'
    prometheus.wait_for(f"count({stepped}) == 2")
    prometheus.wait_for("axis_ntp_config_mismatch")
    skewed = f'ALERTS{{alertname="AxisNTPClockSkew", severity="critical", device="{STEPPING}"}}'
    prometheus.wait_for(f"count({skewed}) == 2")
    # On a loaded machine it takes some polls until the clocks are known; dock-2 hangs.
    precise = f"axis_ntp_clock_offset_uncertainty_seconds < {CLOCK_SECONDS}"
    prometheus.wait_for(f"count({precise}) == {both - 2}", within_seconds=80)
    prometheus.wait_for(f"count(count_over_time(up[1m]) > {SECONDS_SEEN}) == 2")


EXPIRING_SECONDS: Final = 864_000


def _on_each(value: str) -> str:
    return f"axis_ntp_up * 0 + {value}"


def _except_on(device: str, value: str, others: str) -> str:
    one = f"axis_ntp_up{{device=`{device}`}}"
    return f"{one} * 0 + {value} or {_on_each(others)}"


# A drift, and the end of four of a device's intervals, take longer than the site runs. Its devices
# have no TLS.
_MOCKED: Final = {
    "axis_ntp_clock_drift_ratio": _on_each("2e-5"),
    "axis_ntp_clock_drift_uncertainty_ratio": _on_each("3e-6"),
    "axis_ntp_poll_interval_max_seconds": _except_on(STALLED, "1", "1024"),
    "axis_ntp_certificate_not_after_timestamp_seconds": _except_on(
        EXPIRING, f"time() + {EXPIRING_SECONDS}", "time() + 31536000"
    ),
}


def _rules() -> dict[str, Any]:
    """Record the series that this site's exporters do not have; alert about clocks at once."""
    mocked = [{"record": name, "expr": each} for name, each in _MOCKED.items()]
    groups = yaml.safe_load(ALERTS.read_text("utf-8"))["groups"]
    [clock] = [group for group in groups if group["name"] == "axis-ntp-clock"]
    for rule in clock["rules"]:
        rule.pop("for", None)
    return {"groups": [{"name": "mocked", "rules": mocked}, clock]}


def _config(targets: Sequence[str]) -> dict[str, Any]:
    real = {"source_labels": ["__name__"], "regex": "|".join(_MOCKED), "action": "drop"}
    scrape = {
        "job_name": _JOB,
        "static_configs": [{"targets": list(targets)}],
        "metric_relabel_configs": [real],
    }
    return {
        "global": {
            "scrape_interval": "1s",
            "scrape_timeout": "1s",
            "evaluation_interval": "1s",
        },
        "scrape_configs": [scrape],
    }


def answer(
    site: Site, question: Question, chosen: Mapping[str, Sequence[str]] | None = None
) -> list[Series]:
    """Return Prometheus's result for a query of a panel or an annotation."""
    board, span = Dashboard(question.uid, chosen or {}), site.span
    expression = board.fill(question.expression, span, question.points)
    if question.query.get("instant"):
        return site.prometheus.query(expression, span.end)
    step = span.step(question.points)
    return site.prometheus.query_range(expression, span.start, span.end, step)
