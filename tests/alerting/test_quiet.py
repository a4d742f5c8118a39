"""A healthy fleet on a jittery network wakes nobody, for longer than the longest wait, an hour."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

import pytest

from exporter.simulator.scenarios import Maker, Member
from tests.alerting.site import SCALE, running_site

# Beside the other site, on another worker.
pytestmark = pytest.mark.xdist_group("quiet")

DEVICES: Final = 30
RULE_MINUTES: Final = 65
JITTER_SECONDS: Final = 0.03


def drifting_members() -> list[Member]:
    """Healthy devices: up to 5 ms off, each gaining or losing up to 40 ppm."""
    members = [Maker().make(f"camera-{number}", {"site": "hq"}) for number in range(DEVICES)]
    for number, member in enumerate(members):
        member.device.clock.drift_ppm = 80 * number / (DEVICES - 1) - 40
    return members


def test_thirty_healthy_devices_make_no_alert_fire(tmp_path: Path) -> None:
    with running_site(drifting_members(), tmp_path, jitter_seconds=JITTER_SECONDS) as site:
        enough = time.monotonic() + RULE_MINUTES * 60 / SCALE
        site.eventually(lambda: time.monotonic() > enough, "an hour of the rules is over", 100)
        [up] = site.prometheus.query("sum(axis_ntp_up)")
        ever_fired = site.prometheus.query('last_over_time(ALERTS{alertstate="firing"}[1h])')
    assert (up.value, ever_fired, site.inbox.notifications) == (DEVICES, [], [])
