"""The bad day's notifications: what the real Alertmanager makes of its alerts, and how they read.

The whole chain takes minutes: `python -m tests.alerting.bad_day`. Here the alerts are posted that
the rules fire there.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest

from exporter.simulator.fleet import build_fleet
from exporter.simulator.scenarios import CAUSES
from tests.alerting.alertmanager import Labels, example, running_alertmanager, with_texts
from tests.alerting.bad_day import MOST_NOTIFICATIONS, Hour, report, write
from tests.alerting.inbox import Inbox, Text, receiving
from tests.alerting.rules import alerts
from tests.alerting.scaling import scaled_alertmanager
from tests.alerting.table import DOCS
from tests.support.background import event_loop, in_background
from tests.support.programs import enter_on_free_ports, wait_until

pytestmark = pytest.mark.xdist_group("alertmanager")

WRONG_CLOCK: Final = ("ClockSkew critical", "ClockSkew", "OffsetHigh critical", "OffsetHigh")
FIRED: Final = (
    ("AuthenticationFailed", "DeviceDown"),
    ("DeviceDown",),
    ("DeviceDown",),
    ("DeviceDown",),
    ("ClientDisabled", "ConfigMismatch"),
    ("NoActiveServers", "NotSynchronized", "ConfigMismatch"),
    ("NotSynchronized",),
    WRONG_CLOCK,
    ("SyncStalled",),
    ("ConfigMismatch",),
)
"""The alerts of each cause; `warning` if nothing is said. The first one is its notification."""

EXPORTER: Final = {"job": "cameras", "instance": "a"}
SERVER_DOWN: Final = EXPORTER | {
    "alertname": "AxisNTPTimeServerDown",
    "severity": "warning",
    "server": "ntp.example",
}


def labels_of(alert: str) -> Labels:
    name, _, severity = alert.partition(" ")
    return {"alertname": f"AxisNTP{name}", "severity": severity or "warning"}


def bad_day() -> Iterator[Labels]:
    """Make all alerts of 400 devices, and that of their dead time server."""
    yield SERVER_DOWN
    fleet = build_fleet(400, "bad-day")
    broken = [each for number, each in enumerate(fleet.members) if number % 25 < len(CAUSES)]
    for member, fired in zip(broken, itertools.cycle(FIRED), strict=False):
        for alert in fired:
            yield EXPORTER | labels_of(alert) | {**member.labels, "device": member.device.name}


def test_160_devices_that_are_broken_in_ten_ways_are_eleven_notifications(tmp_path: Path) -> None:
    inbox, fired = Inbox(), list(bad_day())
    expected = {
        (*labels_of(alert).values(), cause.site)
        for cause, (alert, *_) in zip(CAUSES, FIRED, strict=True)
    } | {("AxisNTPTimeServerDown", "warning", "")}
    with ExitStack() as stack:
        loop = stack.enter_context(event_loop())
        url = stack.enter_context(in_background(loop, receiving(inbox)))
        config = with_texts(scaled_alertmanager(example(), 300), url)
        alertmanager = enter_on_free_ports(stack, lambda: running_alertmanager(config, tmp_path))
        alertmanager.post(fired, annotations={"summary": "{alertname}", "description": "-"})
        wait_until(lambda: len(inbox.texts) >= len(expected), "all are sent", lambda: str(inbox))
        active = alertmanager.alerts("active")
    groups = {(each["alertname"], each["severity"], each.get("site", "")) for each in active}
    assert groups == expected
    assert len(inbox.texts) == len(groups) == 11 <= MOST_NOTIFICATIONS
    assert (len(fired), len(active)) == (16 * sum(map(len, FIRED)) + 1, 161)


def test_every_alert_of_the_bad_day_is_one_of_the_rules() -> None:
    known = {(each.name, each.severity) for each in alerts()}
    assert {(each["alertname"], each["severity"]) for each in bad_day()} <= known


ENTRY: Final = "\ncam-{0}: off\n  The clock is off.\n  Alert since 2026-11-28 03:02 UTC.\n"
BODY: Final = "".join(ENTRY.format(number) for number in range(4)) + "\nWhat it means: …\n"


def test_the_documentation_shows_the_first_alerts_of_each_notification(tmp_path: Path) -> None:
    hour = Hour(5, 1, [(12.4, Text(1.0, "operations", "cam-0: off, and 3 more", BODY))])
    page = tmp_path / "alerting.md"
    place = "<!-- bad-day: written by `python -m tests.alerting.bad_day --write` -->\n"
    page.write_text(f"before\n{place}old\n<!-- end -->\nafter\n")
    write(hour, page)
    text = page.read_text()
    counts = (
        "Alerts that fire after an hour: 5; inhibited of these: 1; notifications in that hour: 1."
    )
    assert text.startswith(f"before\n{place}\n{counts}\n\n| minute |")
    assert "| 12 | operations | cam-0: off, and 3 more |\n" in text
    assert [f"cam-{number}: off\n" in text for number in range(4)] == [True, True, False, False]
    assert "    [… 2 more like these]\n\n    What it means: …\n\n<!-- end -->\nafter\n" in text
    assert "".join(report(hour)).count("cam-3: off") == 1


PRINTED: Final = DOCS.read_text("utf-8").partition("--write` -->\n")[2].partition("<!-- end -->")[0]
NOTIFICATIONS: Final = re.split(r"^Minute \d+, to \S+:\n", PRINTED, flags=re.MULTILINE)[1:]


def test_the_documented_day_had_at_most_fifteen_notifications() -> None:
    rows = re.findall(
        r"^\| \d+ \| [\w-]+ \| \[(?:warning|critical)\] .* \|$", PRINTED, re.MULTILINE
    )
    assert len(CAUSES) < len(rows) == len(NOTIFICATIONS) <= MOST_NOTIFICATIONS
    assert all(cause.site in PRINTED for cause in CAUSES)


@pytest.mark.parametrize("text", NOTIFICATIONS, ids=lambda text: text.strip().partition("\n")[0])
def test_a_notification_alone_says_which_where_since_when_how_bad_and_what_first(text: str) -> None:
    """The words are checked here; docs/alerting.md says what a reader makes of them."""
    title, *entries = re.split(r"\n{2,}", text.strip())
    alerts_shown = [each.strip() for each in entries if "Alert since" in each]
    assert re.match(r"\[(warning|critical)\] \S+ .*\w", title)
    assert alerts_shown
    for alert in alerts_shown:
        summary, description, since = alert.splitlines()
        name = r"(time server \S+|(?P<site>\w+)-\d+ \((?P=site)\)):? "
        assert re.match(name, summary), summary
        assert re.search(r"\b127\.0\.0\.1:\d+\b", description), description
        assert re.search(r"\bCheck first \S+ ", description), description
        assert re.fullmatch(r"  +Alert since \d{4}-\d\d-\d\d \d\d:\d\d UTC\.", since), since
