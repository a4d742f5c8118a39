"""A whole site: simulated devices, the daemon, Prometheus, Alertmanager, and the receivers.

Only the devices are simulated. A minute of the rules and of Alertmanager's example is a second
here: `tests/alerting/scaling.py` divides their durations; intervals of polls, scrapes and
evaluations are short as well.
"""

from __future__ import annotations

import math
import re
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from exporter.simulator.device_state import DEFAULT_PASSWORD, DEFAULT_USERNAME
from exporter.simulator.fleet import ServedFleet, SimulatedFleet, serve_fleet
from exporter.simulator.scenarios import Member
from tests.alerting.alertmanager import (
    Alertmanager,
    example,
    running_alertmanager,
    with_webhooks,
)
from tests.alerting.inbox import Inbox, Key, receiving
from tests.alerting.jitter import jittering
from tests.alerting.kernel import FLAG, Kernel
from tests.alerting.rules import RULES, load
from tests.alerting.scaling import scaled_alertmanager, scaled_rules, shorter
from tests.alerting.scenarios import EXPECTED
from tests.support.background import event_loop, in_background
from tests.support.daemon_process import BlockingDaemon, blocking_daemon
from tests.support.exposing import exposing
from tests.support.programs import (
    LOOPBACK,
    enter_on_free_ports,
    find_library,
    free_port,
    http_get,
    wait_until,
)
from tests.support.prometheus import Prometheus, prometheus_on

SCALE: Final = 60
"""A minute is a second."""

JOB: Final = "cameras"
_EXTERNAL: Final = {"cluster": "test"}
"""Labels that Prometheus adds to its alerts."""

_LOOKBACK: Final = "5m"
"""Prometheus's own default. The delay after which it sends alerts again is not scaled: on a busy
machine, Alertmanager would otherwise end alerts that are sent four times as late.
"""

_RULES_FILE: Final = "rules.yml"
_ZONE: Final = {"zone": "1"}
_WITHOUT_FLAG: Final = {"source_labels": ["__name__"], "regex": FLAG, "action": "drop"}
"""Tests set this flag; the kernel of the machine that runs them says anything."""

_CHECK_EVERY_SECONDS: Final = 0.2


@dataclass
class Exporter:
    """The daemon, which can be killed and started again at the same address."""

    config: dict[str, Any]
    folder: Path
    port: int = field(default_factory=free_port)
    _running: ExitStack = field(default_factory=ExitStack)
    _starts: int = 0
    _reload: Callable[[], None] = field(default=lambda: None)

    @property
    def address(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    def start(self) -> BlockingDaemon:
        """Start it and wait until it has polled every device."""
        self._starts += 1
        folder = self._daemon_folder
        folder.mkdir()
        listen = f"--web.listen-address={self.address}"
        daemon = blocking_daemon(self.config, folder, listen, env=self._host_clock())
        running = self._running.enter_context(daemon)
        process = running.program.process
        self._running.callback(process.kill)
        self._reload = lambda: process.send_signal(signal.SIGHUP)
        running.wait_until_polled()
        return running

    def kill(self) -> None:
        """Kill it, like a power failure."""
        self._running.close()

    def set_time_servers(self, servers: Sequence[str]) -> None:
        """Let it ask these time servers, as often as it may."""
        self.config["time_servers"] = {"servers": [*servers], "interval": "16s"}
        (self._daemon_folder / "config.yaml").write_text(yaml.safe_dump(self.config))
        self._reload()

    @property
    def _daemon_folder(self) -> Path:
        return self.folder / f"daemon-{self._starts}"

    def set_host_clock(self, seconds: float) -> None:
        """Set the offset of its host's wall clock; the steady clock is not affected."""
        (self.folder / "host-clock").write_text(f"{seconds:+.3f}\n")

    def _host_clock(self) -> dict[str, str]:
        return {
            "LD_PRELOAD": find_library("*/faketime/libfaketime.so.1", "faketime"),
            "FAKETIME_TIMESTAMP_FILE": str(self.folder / "host-clock"),
            "FAKETIME_CACHE_DURATION": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }


@dataclass(frozen=True)
class AlertingSite:
    """Everything, running; the rules were loaded soon after `started` (monotonic seconds)."""

    fleet: SimulatedFleet
    exporter: Exporter
    prometheus: Prometheus
    alertmanager: Alertmanager
    inbox: Inbox
    kernel: Kernel
    started: float

    def set_kernel_flag(self, *, synchronized: bool) -> None:
        """Let Prometheus see this flag of the kernel of the exporter's host."""
        self.kernel.synchronized = synchronized
        self.prometheus.wait_for(f"{FLAG} == {int(synchronized)}")

    def eventually(self, condition: Callable[[], bool], what: str, within: float = 60) -> None:
        """Block until a condition holds; fail with `state()` if it does not."""
        deadline = time.monotonic() + within
        while not condition():
            assert time.monotonic() < deadline, f"waited {within:g} s until {what}\n{self.state()}"
            time.sleep(_CHECK_EVERY_SECONDS)

    def settle(self) -> None:
        """Block until no alert is pending and every notification was received."""
        self.eventually(self._is_settled, "no alert or notification is pending")

    def wait_until_quiet(self) -> None:
        """Block until no alert is left and every one was reported as resolved."""
        self.eventually(lambda: self._is_settled() and not self.inbox.firing(), "no alert fires")

    def _is_settled(self) -> bool:
        if self.prometheus.alerts("pending"):
            return False
        firing = _keys(alert | _EXTERNAL for alert in self.prometheus.alerts("firing"))
        active = _keys(self.alertmanager.alerts("active"))
        suppressed = _keys(self.alertmanager.alerts("suppressed"))
        return firing == active | suppressed and active == self.inbox.firing()

    def wait_until_all_are_up(self) -> None:
        """Block until `axis_ntp_up` of every device is 1."""
        self.eventually(self._all_are_up, "every device is up")

    def _all_are_up(self) -> bool:
        metrics = http_get(self.exporter.port, "/metrics").text
        up = re.findall(r"^axis_ntp_up\{.*\} ([01])", metrics, re.MULTILINE)
        return up == ["1"] * len(self.fleet.members)

    def state(self) -> str:
        """Describe the state, for the message of a failed test."""
        notices = "\n".join(map(str, sorted(self.inbox.notices())))
        pending, firing = self.prometheus.alerts("pending"), self.prometheus.alerts("firing")
        suppressed = self.alertmanager.alerts("suppressed")
        alerts = f"pending: {pending}\nfiring: {firing}\nsuppressed: {suppressed}"
        return f"notices:\n{notices}\n{alerts}"


def _keys(alerts: Iterable[dict[str, str]]) -> set[Key]:
    return {frozenset(labels.items()) for labels in alerts}


@contextmanager
def alerting_site(
    members: Sequence[Member], folder: Path, *, jitter_seconds: float = 0
) -> Iterator[AlertingSite]:
    """Run a site with these devices until the block ends; the network adds up to that jitter."""
    fleet = SimulatedFleet(tuple(members), "http", DEFAULT_USERNAME, DEFAULT_PASSWORD)
    with site_of(fleet, folder, jitter_seconds=jitter_seconds) as site:
        yield site


@contextmanager
def site_of(
    fleet: SimulatedFleet,
    folder: Path,
    *,
    scale: float = SCALE,
    receivers: Callable[[Any, str], Any] = with_webhooks,
    jitter_seconds: float = 0,
) -> Iterator[AlertingSite]:
    """Run a site with this fleet until the block ends, that many times faster than in reality.

    `receivers` lets Alertmanager's config send to the inbox's URL.
    """
    for device in fleet.devices:
        # 2^0 s stand for 2^6 s: an exchange a minute, which is a second at the usual scale.
        device.client.configuration.minpoll = round(math.log2(SCALE / scale))
    inbox = Inbox()
    with ExitStack() as stack:
        loop = stack.enter_context(event_loop())
        served = stack.enter_context(in_background(loop, serve_fleet(fleet)))
        network = stack.enter_context(in_background(loop, jittering(served, jitter_seconds)))
        exporter = _exporter(stack, network, folder, scale)
        url = stack.enter_context(in_background(loop, receiving(inbox)))
        config = receivers(scaled_alertmanager(example(), scale), url)
        alertmanager = enter_on_free_ports(stack, lambda: running_alertmanager(config, folder))
        kernel = Kernel({"job": JOB, "instance": exporter.address, **_ZONE})
        flag = stack.enter_context(in_background(loop, exposing(kernel.metrics)))
        addresses = exporter.address, flag, alertmanager.address
        prometheus = _prometheus(stack, addresses, folder, scale)
        started = time.monotonic()
        _load_rules(prometheus, folder, scale)
        yield AlertingSite(fleet, exporter, prometheus, alertmanager, inbox, kernel, started)


def _exporter(stack: ExitStack, served: ServedFleet, folder: Path, scale: float) -> Exporter:
    config = served.exporter_config(interval=shorter("1m", scale), timeout=shorter("48s", scale))
    for device in config["devices"]:
        device.setdefault("expect", EXPECTED.get(device["name"], {}))
    exporter = Exporter(config, folder)
    exporter.set_host_clock(0)
    stack.callback(exporter.kill)
    exporter.start()
    return exporter


def _prometheus(
    stack: ExitStack, addresses: tuple[str, str, str], folder: Path, scale: float
) -> Prometheus:
    """Start Prometheus without rules and wait until it has scraped the exporter.

    Its first scrape is 5 s after its start, which can't be scaled: with rules from the start it
    would report a missing exporter.
    """
    config = _prometheus_config(*addresses, folder, scale)
    lookback = f"--query.lookback-delta={shorter(_LOOKBACK, scale)}"
    prometheus = enter_on_free_ports(stack, lambda: prometheus_on(config, folder, lookback))
    prometheus.wait_for("axis_ntp_exporter_build_info")
    return prometheus


def _load_rules(prometheus: Prometheus, folder: Path, scale: float) -> None:
    """Load the rules; block until they are evaluated and Alertmanager is discovered."""
    (folder / _RULES_FILE).write_text(yaml.safe_dump(scaled_rules(load(RULES), scale)))
    prometheus.program.process.send_signal(signal.SIGHUP)
    prometheus.wait_for("job_instance:axis_ntp_up:ratio")
    wait_until(lambda: bool(prometheus.alertmanagers()), "Prometheus knows Alertmanager")


def _prometheus_config(
    exporter: str, kernel: str, alertmanager: str, folder: Path, scale: float
) -> dict[str, Any]:
    return {
        "global": {
            "scrape_interval": shorter("1m", scale),
            "scrape_timeout": shorter("1m", scale),
            "evaluation_interval": shorter("30s", scale),
            "external_labels": _EXTERNAL,
        },
        "rule_files": [str(folder / _RULES_FILE)],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]},
        "scrape_configs": [
            {
                "job_name": JOB,
                "static_configs": [{"targets": [exporter], "labels": _ZONE}],
                "metric_relabel_configs": [_WITHOUT_FLAG],
            },
            {
                "job_name": "kernel",
                "honor_labels": True,
                "static_configs": [{"targets": [kernel]}],
            },
        ],
    }
