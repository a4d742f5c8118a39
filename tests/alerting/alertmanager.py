"""The real Alertmanager, without a cluster, its HTTP API, and the example with other receivers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.request import Request, urlopen

import yaml

from tests.alerting.rules import ALERTMANAGER_EXAMPLE, load
from tests.support.programs import LOOPBACK, Program, find_program, free_port, http_get, running

PACKAGE: Final = "prometheus-alertmanager"
Labels = dict[str, str]


def example() -> Any:
    """Return the example, which finds its templates from any folder."""
    config = load(ALERTMANAGER_EXAMPLE)
    config["templates"] = [str(ALERTMANAGER_EXAMPLE.parent / each) for each in config["templates"]]
    return config


def with_webhooks(config: Any, url: str) -> Any:
    """Let every receiver get alerts as JSON at `url/NAME`, as `receiving` expects."""
    receivers = (
        {"name": each["name"], "webhook_configs": [{"url": f"{url}/{each['name']}"}]}
        for each in config["receivers"]
    )
    return {**config, "receivers": [*receivers]}


def with_texts(config: Any, url: str) -> Any:
    """Let every receiver get the texts of the template at `url/NAME`, as `receiving` expects."""
    [slack] = [one for each in config["receivers"] for one in each.get("slack_configs", [])]
    receivers = (
        {"name": name, "slack_configs": [{**slack, "api_url": f"{url}/{name}"}]}
        for name in (each["name"] for each in config["receivers"])
    )
    return {**config, "receivers": [*receivers]}


@dataclass(frozen=True)
class Alertmanager:
    """A running Alertmanager."""

    port: int
    program: Program

    @property
    def address(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    def post(
        self,
        alerts: Sequence[Labels],
        *,
        begun: datetime | None = None,
        ended: datetime | None = None,
        annotations: Labels | None = None,
    ) -> None:
        """Send alerts as Prometheus does; they last for the `resolve_timeout`.

        `begun` is since when they fire: now, unless it is given. `ended` is when they ended.
        Annotations may name labels: `{device}`.
        """
        times = {"startsAt": begun, "endsAt": ended}
        more = {key: each.isoformat() for key, each in times.items() if each}
        texts = annotations or {}
        every = (
            {"labels": each, "annotations": {k: v.format_map(each) for k, v in texts.items()}}
            for each in alerts
        )
        body = json.dumps([each | more for each in every]).encode()
        headers = {"Content-Type": "application/json"}
        request = Request(f"http://{self.address}/api/v2/alerts", body, headers)
        with urlopen(request, timeout=10) as answer:
            assert answer.status == 200

    def alerts(self, state: str) -> list[Labels]:
        """Return the labels of the alerts that are `active` or `suppressed` now."""
        reply = http_get(self.port, "/api/v2/alerts")
        assert reply.status == 200, reply.text
        found: list[dict[str, Any]] = json.loads(reply.text)
        return [alert["labels"] for alert in found if alert["status"]["state"] == state]


@contextmanager
def running_alertmanager(config: Any, folder: Path) -> Iterator[Alertmanager]:
    """Run an Alertmanager until the block ends. Raises `PortTaken`, see `enter_on_free_ports`."""
    command, port = find_program("prometheus-alertmanager", PACKAGE), free_port()
    config_file = folder / "alertmanager.yml"
    config_file.write_text(yaml.safe_dump(config))
    run = [
        command,
        f"--config.file={config_file}",
        f"--storage.path={folder / 'alertmanager'}",
        f"--web.listen-address={LOOPBACK}:{port}",
        "--cluster.listen-address=",
    ]
    with running(run, folder / "alertmanager.log", _is_serving) as program:
        yield Alertmanager(port, program)


def _is_serving(program: Program) -> bool:
    # The log, not a request: another program could answer on the port.
    return "Listening on" in program.log()
