"""The tables in README and docs that repeat the code: `make docs` writes them.

Each stands between `<!-- NAME: written by `make docs` -->` and `<!-- end -->`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import yaml

from exporter.cli import COMMANDS
from exporter.metrics.catalogue import DEVICE_METRICS
from exporter.metrics.exporter import ExporterMetrics
from exporter.metrics.time_servers import FAILURES, QUERIES, SPELLINGS, TIME_SERVER_METRICS

ROOT: Final = Path(__file__).parents[2]

MOST_IMPORTANT: Final = (
    "axis_ntp_up",
    "axis_ntp_synced",
    "axis_ntp_clock_offset_seconds",
    "axis_ntp_clock_offset_uncertainty_seconds",
    "axis_ntp_clock_steps_total",
    "axis_ntp_time_offset_seconds",
    "axis_ntp_client_enabled",
    "axis_ntp_active_servers",
    "axis_ntp_config_compliant",
    "axis_ntp_last_error",
)
"""The series that the README shows."""

EXPORTER_LABELS: Final = {
    "axis_ntp_exporter_build_info": ("version",),
    "axis_ntp_exporter_sd_refresh_failures_total": ("mechanism", "source"),
}

SUFFIX: Final = {"counter": "_total"}
"""What the samples of a family add to its name."""

_MARKED: Final = re.compile(
    r"(<!-- ([^:>]+): written by `make docs` -->\n).*?(<!-- end -->)", re.DOTALL
)


def commands() -> str:
    """Every subcommand with its summary."""
    names = {name: f"[{name}]" if name == "run" else name for name in COMMANDS}
    cells = [(f"`axis-ntp-exporter {names[name]}`", text) for name, text in COMMANDS.items()]
    return _table(("command", "what it does"), cells)


def ten_series() -> str:
    """The most important series."""
    helps = {metric.name: metric.help for metric in DEVICE_METRICS}
    return _table(("name", "meaning"), [(f"`{name}`", helps[name]) for name in MOST_IMPORTANT])


def device_series() -> str:
    """Every series of a device."""
    return _series(
        [(metric.name, metric.kind, metric.labels, metric.help) for metric in DEVICE_METRICS]
    )


def time_server_series() -> str:
    """Every series of a time server."""
    gauges = [(name, "gauge", ["server"], text) for name, text, _ in TIME_SERVER_METRICS]
    return _series(
        [
            *gauges,
            (SPELLINGS[0], "gauge", ["server", "spelling"], SPELLINGS[1]),
            (f"{QUERIES[0]}_total", "counter", ["server"], QUERIES[1]),
            (f"{FAILURES[0]}_total", "counter", ["server", "reason"], FAILURES[1]),
        ]
    )


def exporter_series() -> str:
    """The exporter's own series."""
    families = [
        (f"{family.name}{SUFFIX.get(family.type, '')}", family.type, family.documentation)
        for family in ExporterMetrics().registry.collect()
        if family.name.startswith("axis_ntp_exporter_")
    ]
    return _series(
        [(name, kind, EXPORTER_LABELS.get(name, ()), text) for name, kind, text in families]
    )


MEANINGS: Final = {
    "AxisNTPExporterDown": "An axis-ntp-exporter is down.",
    "AxisNTPFleetUnreachable": "Many devices of one exporter are unreachable at once.",
    "AxisNTPPollsStalled": "An exporter no longer polls a device.",
    "AxisNTPExporterReloadFailed": "An exporter could not load its new config.",
    "AxisNTPExporterPollsLate": "An exporter is behind its poll schedule.",
    "AxisNTPExporterClockSuspect": "The clock of an exporter's host is wrong.",
    "AxisNTPHostClockUnsynchronized": "The kernel of an exporter's host says unsynchronized.",
    "AxisNTPClockSkew": "A device's clock is wrong.",
    "AxisNTPClockStepped": "A device's clock has stepped.",
    "AxisNTPTimeServerDown": "A time server does not answer.",
    "AxisNTPTimeServerUnusable": "A time server answers, but NTP clients do not use it.",
    "AxisNTPTimeServerOff": "A time server's time is wrong.",
    "AxisNTPDeviceDown": "All polls of a device fail.",
    "AxisNTPAuthenticationFailed": "A device refuses the exporter's account.",
    "AxisNTPClientDisabled": "A device's NTP client is disabled.",
    "AxisNTPOffsetHigh": "A device reports a large offset to its time server.",
    "AxisNTPNoActiveServers": "A device has no active time server.",
    "AxisNTPSingleServer": "A device has only one active time server.",
    "AxisNTPNotSynchronized": "A device reports that its clock is not synchronized.",
    "AxisNTPSyncStalled": "A device is synchronized, but its offset no longer changes.",
    "AxisNTPClockDrifting": "A device's clock drifts and will be wrong within a day.",
    "AxisNTPCertificateExpiring": "A device's certificate expires soon or has expired.",
    "AxisNTPConfigMismatch": "A device's NTP settings differ from `expect`.",
}
"""What each alert means, for its row: the summaries are templates."""


def alerts() -> str:
    """Every alert of the rules; several severities of one alert share a row."""
    groups = yaml.safe_load((ROOT / "grafana/rules/axis-ntp.rules.yml").read_text("utf-8"))
    found: dict[str, tuple[str, str, list[str]]] = {}
    for rule in (rule for group in groups["groups"] for rule in group["rules"] if "alert" in rule):
        _, _, severities = found.setdefault(
            rule["alert"], (MEANINGS[rule["alert"]], rule["for"], [])
        )
        severities.append(rule["labels"]["severity"])
    cells = [
        (f"[{name}](runbooks.md#{name.lower()})", meaning, wait, ", ".join(severities))
        for name, (meaning, wait, severities) in found.items()
    ]
    return _table(("alert", "meaning", "for", "severity"), cells)


def panels(dashboard: str) -> str:
    """Every panel of a dashboard with its description, below the title of its row."""
    document = json.loads(
        (ROOT / f"grafana/dashboards/axis-ntp-{dashboard}.json").read_text("utf-8")
    )
    everything = [one for each in document["panels"] for one in (each, *each.get("panels", []))]
    cells = [(panel["title"], panel.get("description", "")) for panel in everything]
    cells = [(title, text) if text else (f"**{title}**", "") for title, text in cells]
    return _table(("panel", "what it shows"), cells)


TABLES: Final[dict[str, dict[str, Callable[[], str]]]] = {
    "README.md": {"commands": commands, "ten series": ten_series},
    "docs/configuration.md": {"commands": commands},
    "docs/metrics.md": {
        "device series": device_series,
        "time server series": time_server_series,
        "exporter series": exporter_series,
    },
    "docs/alerting.md": {"alerts": alerts},
    "docs/dashboards.md": {
        "fleet panels": lambda: panels("fleet"),
        "device panels": lambda: panels("device"),
        "exporter panels": lambda: panels("exporter"),
    },
}
"""The generated tables of each page."""


def updated(page: str) -> str:
    """Return the page with its tables as the code has them now.

    Raises `AssertionError` if the page does not have exactly the tables that it should have.
    """
    text, tables = (ROOT / page).read_text("utf-8"), TABLES[page]
    assert [name for _, name, _ in _MARKED.findall(text)] == list(tables)
    return _MARKED.sub(lambda found: f"{found[1]}\n{tables[found[2]]()}\n{found[3]}", text)


def _series(series: Sequence[tuple[str, str, Sequence[str], str]]) -> str:
    cells = [
        (f"`{name}`", kind, ", ".join(f"`{label}`" for label in labels), text)
        for name, kind, labels, text in series
    ]
    return _table(("name", "type", "labels", "meaning"), cells)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = (head, ["---"] * len(head), *rows)
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


if __name__ == "__main__":
    for each in TABLES:
        (ROOT / each).write_text(updated(each), "utf-8")
