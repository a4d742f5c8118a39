"""What pages point to elsewhere: runbooks, dashboards, and the command for the past. Pure."""

from collections.abc import Callable
from typing import Final, NamedTuple
from urllib.parse import quote, urlencode

from exporter.config import Thresholds
from exporter.devices.health import Issue
from exporter.system.text import quoted_for_shell
from exporter.web.pages.format import format_time
from exporter.web.paths import NO_PREFIX


class PageSettings(NamedTuple):
    """What a page needs of the exporter's settings; `grafana_url` is empty if unknown.

    `url_of` turns a path of the exporter into a link.
    """

    telemetry_path: str
    thresholds: Thresholds
    grafana_url: str = ""
    url_of: Callable[[str], str] = NO_PREFIX.link


_DOCS: Final = "https://github.com/axis-ntp-exporter/axis-ntp-exporter/blob/main/docs"
_RUNBOOKS: Final = f"{_DOCS}/runbooks.md"
EVIDENCE_URL: Final = f"{_DOCS}/evidence.md"
_ALERTS: Final = {
    "unauthorized": "AxisNTPAuthenticationFailed",
    "forbidden": "AxisNTPAuthenticationFailed",
    "NTP client disabled": "AxisNTPClientDisabled",
    "no servers configured": "AxisNTPNoActiveServers",
    "not synchronized": "AxisNTPNotSynchronized",
    "large reported offset": "AxisNTPOffsetHigh",
    "the reported offset does not change": "AxisNTPSyncStalled",
    "its clock is off": "AxisNTPClockSkew",
    "its certificate": "AxisNTPCertificateExpiring",
    "not as expected": "AxisNTPConfigMismatch",
}
"""The alert on each problem, by how `Issue.what` begins."""


def alert_of(issue: Issue) -> str | None:
    """Return the alert that a problem raises if it lasts; `None` if it raises none."""
    found = (alert for what, alert in _ALERTS.items() if issue.what.startswith(what))
    return next(found, "AxisNTPDeviceDown" if issue.level == "bad" else None)


def runbook_url(alert: str) -> str:
    """Return the URL of an alert's runbook, as the alert rules have it."""
    return f"{_RUNBOOKS}#{alert.lower()}"


def dashboard_url(grafana_url: str, uid: str, **variables: str) -> str:
    """Return the URL of a dashboard with its variables; empty if Grafana's URL is."""
    if not grafana_url:
        return ""
    query = {f"var-{name}": value for name, value in variables.items()}
    return f"{grafana_url}/d/{uid}?{urlencode(query, quote_via=quote)}".rstrip("?")


def evidence_command(device: str, unix_seconds: float) -> str:
    """Return the command line that asks about a device's clock at a time, to fill in."""
    moment = format_time(unix_seconds).replace(" ", "T")
    flags = f"--prometheus.url=http://prometheus.example:9090 --at={moment}Z"
    name = quoted_for_shell(device)
    # After `--`, a name that begins with a dash is none of the flags.
    words = f"{flags} -- {name}" if device.startswith("-") else f"{name} {flags}"
    return f"axis-ntp-exporter evidence {words}"
