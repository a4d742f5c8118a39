"""Prometheus itself, scraping one target every second, asked through its HTTP API."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import yaml

from tests.support.programs import (
    LOOPBACK,
    Program,
    find_program,
    free_port,
    http_get,
    running,
    wait_until,
)

PACKAGE: Final = "prometheus"


@dataclass(frozen=True)
class Series:
    """One series of an instant query's answer, and its value now."""

    labels: dict[str, str]
    value: float


@dataclass(frozen=True)
class Prometheus:
    """A running Prometheus."""

    port: int
    program: Program

    def query(self, expression: str) -> list[Series]:
        """What an expression gives now."""
        found = self._ask("query", query=expression)["result"]
        return [Series(series["metric"], float(series["value"][1])) for series in found]

    def wait_for(self, expression: str) -> list[Series]:
        """What an expression gives, as soon as it gives anything."""
        wait_until(lambda: bool(self.query(expression)), f"{expression} is there", self._explain)
        return self.query(expression)

    def alerts(self, state: str) -> list[dict[str, str]]:
        """The labels of the alerts that are `pending` or `firing` now."""
        found = self._ask("alerts")["alerts"]
        return [alert["labels"] for alert in found if alert["state"] == state]

    def alertmanagers(self) -> list[str]:
        """The URLs that alerts are sent to."""
        return [each["url"] for each in self._ask("alertmanagers")["activeAlertmanagers"]]

    def targets(self) -> list[dict[str, Any]]:
        """What is scraped, and with what success."""
        found: list[dict[str, Any]] = self._ask("targets", state="active")["activeTargets"]
        return found

    def _ask(self, what: str, **parameters: str) -> dict[str, Any]:
        reply = http_get(self.port, f"/api/v1/{what}?{urlencode(parameters)}")
        assert reply.status == 200, reply.text
        data: dict[str, Any] = json.loads(reply.text)["data"]
        return data

    def _explain(self) -> str:
        return f"{self.targets()}\n{self.program.log()}"


@contextmanager
def running_prometheus(target: str, folder: Path) -> Iterator[Prometheus]:
    """Run a Prometheus with job `axis` and one target, as `prometheus_on` does."""
    with prometheus_on(_config(target), folder) as prometheus:
        yield prometheus


@contextmanager
def prometheus_on(config: Mapping[str, Any], folder: Path, *flags: str) -> Iterator[Prometheus]:
    """Run a Prometheus on a config until the block ends.

    Raises `PortTaken` where somebody was faster; see `enter_on_free_ports`.
    """
    command, port = find_program("prometheus", PACKAGE), free_port()
    config_file = folder / "prometheus.yml"
    config_file.write_text(yaml.safe_dump(dict(config)))
    run = [
        command,
        f"--config.file={config_file}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address={LOOPBACK}:{port}",
        *flags,
    ]
    with running(run, folder / "prometheus.log", _is_serving) as program:
        yield Prometheus(port, program)


def _config(target: str) -> dict[str, Any]:
    return {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
        "scrape_configs": [{"job_name": "axis", "static_configs": [{"targets": [target]}]}],
    }


def _is_serving(program: Program) -> bool:
    # Its own word, not an answer on the port: another Prometheus could give that.
    return "Server is ready to receive web requests" in program.log()


def promtool_check_metrics(text: str) -> subprocess.CompletedProcess[str]:
    """`promtool check metrics`: syntax and naming, by those who made the format."""
    return subprocess.run(
        [find_program("promtool", PACKAGE), "check", "metrics"],
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )
