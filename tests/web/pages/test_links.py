"""Links to runbooks, dashboards and the devices' own pages."""

import html
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from aiohttp.test_utils import TestClient, TestServer

from exporter.config import Expect, Thresholds
from exporter.devices.device import Device
from exporter.devices.health import Issue, diagnose
from exporter.vapix.errors import DeviceError, HttpForbidden, PollTimeout, Unauthorized
from exporter.vapix.ntp_info import NtpClientReading
from exporter.web.pages.assets import device_url
from exporter.web.pages.links import alert_of, dashboard_url, runbook_url
from tests.support.readings import ntp_client, replace_fields
from tests.web.pages.site import NOW, SYNCED, app_of, device, polled

ROOT = Path(__file__).parents[3]
RULES = "".join(file.read_text() for file in ROOT.rglob("axis-ntp.rules.yml"))
HEADINGS = re.findall(r"^## (AxisNTP\w+)$", (ROOT / "docs/runbooks.md").read_text(), re.MULTILINE)


@pytest.mark.parametrize(
    ("result", "alerts"),
    [
        (Unauthorized("no", 401), ["AxisNTPAuthenticationFailed"]),
        (HttpForbidden("no", 403), ["AxisNTPAuthenticationFailed"]),
        (PollTimeout("late"), ["AxisNTPDeviceDown"]),
        (ntp_client(enabled=False), ["AxisNTPClientDisabled"]),
        (replace_fields(SYNCED, synced=False), ["AxisNTPNotSynchronized"]),
        (ntp_client(enabled=True, synced=True, offset_seconds=0.2), ["AxisNTPOffsetHigh"]),
        (None, [None]),
    ],
)
def test_a_problem_leads_to_the_runbook_of_its_alert(
    result: NtpClientReading | DeviceError | None, alerts: list[str | None]
) -> None:
    state = polled(device("lobby"), result).state
    found = [alert_of(issue) for issue in diagnose(state, None, NOW, Thresholds())]
    assert found == alerts
    for alert in filter(None, found):
        assert runbook_url(alert) in RULES
        assert alert in HEADINGS


@pytest.mark.parametrize(
    ("what", "alert"),
    [
        ("the reported offset does not change", "AxisNTPSyncStalled"),
        ("its clock is off", "AxisNTPClockSkew"),
        ("not as expected: minpoll, maxpoll", "AxisNTPConfigMismatch"),
        ("no servers configured", "AxisNTPNoActiveServers"),
        ("something new", None),
    ],
)
def test_other_problems_too(what: str, alert: str | None) -> None:
    assert alert_of(Issue("warning", what, "")) == alert
    assert alert is None or alert in HEADINGS


@pytest.mark.parametrize("name", ["lobby", "two words", "a&b=c;d#+%2F", "日本", '"><script>', "$x"])
def test_a_dashboard_is_linked_with_its_device(name: str) -> None:
    url = dashboard_url("https://grafana.example/sub", "axis-ntp-device", device=name)
    assert re.fullmatch(r"[\w:/.?=%~-]+", url, re.ASCII)
    parts = urlsplit(url)
    assert parts.path == "/sub/d/axis-ntp-device"
    assert parse_qs(parts.query) == {"var-device": [name]}


def test_the_linked_dashboards_exist() -> None:
    dashboards = [json.loads(file.read_text()) for file in ROOT.glob("grafana/dashboards/*.json")]
    variables = {
        each["uid"]: [variable["name"] for variable in each["templating"]["list"]]
        for each in dashboards
    }
    assert "axis-ntp-fleet" in variables
    assert "device" in variables["axis-ntp-device"]


def test_without_grafana_there_is_no_link_to_it() -> None:
    assert dashboard_url("", "axis-ntp-fleet") == ""
    assert dashboard_url("https://g", "axis-ntp-fleet") == "https://g/d/axis-ntp-fleet"


async def links(subject: Device, path: str, **settings: Any) -> list[str]:
    async with (
        TestClient(TestServer(app_of([subject], **settings))) as client,
        client.get(path) as response,
    ):
        page = await response.text()
    return [html.unescape(each) for each in re.findall(r'<a [^>]*href="([^"]*)"', page)]


async def test_the_pages_link_to_camera_runbook_and_dashboards() -> None:
    lobby = polled(device("lobby 1", "192.0.2.9:8443"), Unauthorized("no", 401))
    lobby.state.expect = Expect(nts_enabled=True)
    grafana = "https://grafana.example"
    found = await links(lobby, device_url("lobby 1"), grafana_url=grafana)
    assert "https://192.0.2.9:8443/" in found
    assert runbook_url("AxisNTPAuthenticationFailed") in found
    assert f"{grafana}/d/axis-ntp-device?var-device=lobby%201" in found
    assert f"{grafana}/d/axis-ntp-fleet" in await links(lobby, "/", grafana_url=grafana)
    for path in ("/", device_url("lobby 1")):
        assert not [link for link in await links(lobby, path) if "/d/axis-ntp" in link]


async def test_no_address_of_a_device_makes_a_link_that_runs_a_script() -> None:
    hostile = device("x", 'javascript:alert(1)//"><script>')
    for link in await links(hostile, "/device/x"):
        assert link.startswith(("/", "https://", "#"))
