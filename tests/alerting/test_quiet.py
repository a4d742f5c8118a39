"""A healthy fleet on a network with jitter causes no alert, for longer than the longest wait."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

import pytest

from exporter.simulator.scenarios import Member, MemberFactory
from tests.alerting.site import SCALE, alerting_site

# A group of its own, so that it can run on another worker than the other site.
pytestmark = pytest.mark.xdist_group("quiet")

DEVICES: Final = 30
RULE_MINUTES: Final = 65
JITTER_SECONDS: Final = 0.03


def drifting_members() -> list[Member]:
    """Make healthy devices: clocks up to 5 ms off, with a drift of up to 40 ppm."""
    make = MemberFactory().make
    members = [make(f"camera-{number}", {"site": "hq"}) for number in range(DEVICES)]
    for number, member in enumerate(members):
        member.device.clock.drift_ppm = 80 * number / (DEVICES - 1) - 40
    return members


def test_thirty_healthy_devices_fire_no_alert(tmp_path: Path) -> None:
    with alerting_site(drifting_members(), tmp_path, jitter_seconds=JITTER_SECONDS) as site:
        enough = time.monotonic() + RULE_MINUTES * 60 / SCALE
        site.eventually(lambda: time.monotonic() > enough, "an hour of the rules is over", 100)
        [up] = site.prometheus.query("sum(axis_ntp_up)")
        ever_fired = site.prometheus.query('last_over_time(ALERTS{alertstate="firing"}[1h])')
    assert (up.value, ever_fired, site.inbox.notifications) == (DEVICES, [], [])
