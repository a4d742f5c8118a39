"""The real Prometheus and its HTTP API."""

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
    START_SECONDS,
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
    """One series of a query's result, with its (time, value) pairs; one of an instant query."""

    labels: dict[str, str]
    values: list[tuple[float, float]]

    @property
    def value(self) -> float:
        return self.values[-1][1]


@dataclass(frozen=True)
class Prometheus:
    """A running Prometheus."""

    port: int
    program: Program

    def query(self, expression: str, at: float | None = None) -> list[Series]:
        """Return the result of an instant query, by default for now."""
        found = self._get("query", query=expression, **({} if at is None else {"time": at}))
        return [_series(each["metric"], [each["value"]]) for each in found["result"]]

    def query_range(self, expression: str, start: float, end: float, step: int) -> list[Series]:
        """Return the result of a range query."""
        found = self._get("query_range", query=expression, start=start, end=end, step=step)
        return [_series(each["metric"], each["values"]) for each in found["result"]]

    def label_values(self, selector: str, label: str, start: float, end: float) -> list[str]:
        """Return the values of a label."""
        time_range = {"start": start, "end": end}
        values: list[str] = self._get(
            f"label/{label}/values", **{"match[]": selector}, **time_range
        )
        return values

    def wait_for(self, expression: str, within_seconds: float = START_SECONDS) -> list[Series]:
        """Block until a query has a result, and return it."""
        what = f"{expression} is there"
        wait_until(lambda: bool(self.query(expression)), what, self._explain, within_seconds)
        return self.query(expression)

    def alerts(self, state: str) -> list[dict[str, str]]:
        """Return the labels of the alerts that are `pending` or `firing` now."""
        found = self._get("alerts")["alerts"]
        return [alert["labels"] for alert in found if alert["state"] == state]

    def alertmanagers(self) -> list[str]:
        """Return the URLs that alerts are sent to."""
        return [each["url"] for each in self._get("alertmanagers")["activeAlertmanagers"]]

    def targets(self) -> list[dict[str, Any]]:
        """Return the scraped targets and the health of each."""
        found: list[dict[str, Any]] = self._get("targets", state="active")["activeTargets"]
        return found

    def wait_for_targets(self, count: int) -> list[dict[str, Any]]:
        """Block until there are so many targets, and return them."""
        wait_until(lambda: len(self.targets()) >= count, f"{count} targets", self._explain)
        return self.targets()

    def _get(self, path: str, **parameters: object) -> Any:
        reply = http_get(self.port, f"/api/v1/{path}?{urlencode(parameters)}")
        assert reply.status == 200, f"{parameters}\n{reply.text}"
        return json.loads(reply.text)["data"]

    def _explain(self) -> str:
        return f"{self.targets()}\n{self.program.log()}"


def _series(labels: dict[str, str], values: list[list[Any]]) -> Series:
    return Series(labels, [(float(when), float(value)) for when, value in values])


@contextmanager
def running_prometheus(target: str, folder: Path) -> Iterator[Prometheus]:
    """Run a Prometheus that scrapes one target every second as job `axis`."""
    with prometheus_on(_config(target), folder) as prometheus:
        yield prometheus


@contextmanager
def prometheus_on(config: Mapping[str, Any], folder: Path, *flags: str) -> Iterator[Prometheus]:
    """Run a Prometheus on a config until the block ends.

    Raises `PortTaken` if another program took the port first; see `enter_on_free_ports`.
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
    # The log, not a request: another Prometheus could answer on the port.
    return "Server is ready to receive web requests" in program.log()


def promtool_check_metrics(text: str) -> subprocess.CompletedProcess[str]:
    """Run `promtool check metrics`, which checks syntax and names."""
    return subprocess.run(
        [find_program("promtool", PACKAGE), "check", "metrics"],
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )
