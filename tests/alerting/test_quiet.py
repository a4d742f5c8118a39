"""A healthy fleet on a network with jitter causes no alert, for longer than most alerts wait."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

import pytest

from exporter.simulator.scenarios import Member, MemberFactory
from exporter.system.text import parse_duration
from tests.alerting.rules import RULES, load
from tests.alerting.site import SCALE, alerting_site

# A group of its own, so that it can run on another worker than the other site.
pytestmark = pytest.mark.xdist_group("quiet")

DEVICES: Final = 60
RULE_MINUTES: Final = 28
SLOW_MINUTES: Final = 15
"""Alerts that wait longer must not even be pending: the test ends before they would fire."""

JITTER_SECONDS: Final = 0.03


def drifting_members() -> list[Member]:
    """Make healthy devices: clocks up to 5 ms off, with a drift of up to 40 ppm."""
    make = MemberFactory().make
    members = [make(f"camera-{number}", {"site": "hq"}) for number in range(DEVICES)]
    for number, member in enumerate(members):
        member.device.clock.drift_ppm = 80 * number / (DEVICES - 1) - 40
    return members


def slow_alerts() -> set[str]:
    """Return the names of the alerts with a long wait."""
    rules = (rule for group in load(RULES)["groups"] for rule in group["rules"])
    waits = ((rule["alert"], parse_duration(rule["for"])) for rule in rules if "alert" in rule)
    return {name for name, seconds in waits if seconds > SLOW_MINUTES * 60}


def test_healthy_devices_fire_no_alert(tmp_path: Path) -> None:
    slow = slow_alerts()
    assert slow == {
        "AxisNTPSingleServer",
        "AxisNTPClockDrifting",
        "AxisNTPCertificateExpiring",
    }
    with alerting_site(drifting_members(), tmp_path, jitter_seconds=JITTER_SECONDS) as site:
        enough = time.monotonic() + RULE_MINUTES * 60 / SCALE
        site.eventually(lambda: time.monotonic() > enough, "the minutes of the rules are over", 100)
        [up] = site.prometheus.query("sum(axis_ntp_up)")
        ever_fired = site.prometheus.query('last_over_time(ALERTS{alertstate="firing"}[1h])')
        ever_pending = site.prometheus.query('last_over_time(ALERTS{alertstate="pending"}[1h])')
    assert (up.value, ever_fired, site.inbox.notifications) == (DEVICES, [], [])
    assert slow & {alert.labels["alertname"] for alert in ever_pending} == set()
