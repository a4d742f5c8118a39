"""The Alertmanager example: valid, with the right routes and inhibition, and readable texts.

Inhibition and texts are tested with the real Alertmanager: which of the alerts it gets does it
suppress, and what does it send?
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from exporter.system.text import parse_duration
from tests.alerting.alertmanager import (
    PACKAGE,
    Alertmanager,
    Labels,
    example,
    running_alertmanager,
    with_texts,
    with_webhooks,
)
from tests.alerting.inbox import Inbox, Text, receiving
from tests.alerting.mail import receiving_mail
from tests.alerting.rules import ALERTMANAGER_EXAMPLE, alerts, load
from tests.alerting.scaling import scaled_alertmanager
from tests.support.background import event_loop, in_background
from tests.support.programs import enter_on_free_ports, find_program, wait_until

pytestmark = pytest.mark.xdist_group("alertmanager")


def amtool(*arguments: str) -> str:
    command = [find_program("amtool", PACKAGE), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_amtool_accepts_the_example() -> None:
    assert "SUCCESS" in amtool("check-config", str(ALERTMANAGER_EXAMPLE))


@pytest.mark.parametrize(
    ("labels", "receivers"),
    [
        (["severity=critical"], "on-call"),
        (["severity=critical", "site=hq"], "on-call"),
        (
            ["severity=critical", "site=warehouse"],
            "warehouse,on-call",
        ),
        (["severity=critical", "alertname=DiskFull", "site=warehouse"], "warehouse,on-call"),
        (["severity=warning"], "operations"),
        (["severity=warning", "site=hq"], "operations"),
        (["severity=warning", "site=warehouse"], "warehouse"),
        (["severity=info", "site=warehouse"], "journal"),
    ],
)
def test_the_example_routes_by_severity_and_site(labels: list[str], receivers: str) -> None:
    file = f"--config.file={ALERTMANAGER_EXAMPLE}"
    assert amtool("config", "routes", "test", file, *labels).strip() == receivers


def test_alerts_are_grouped_by_site_but_not_by_exporter() -> None:
    assert load(ALERTMANAGER_EXAMPLE)["route"]["group_by"] == ["alertname", "severity", "site"]


def test_a_step_is_sent_only_after_a_suspect_clock_would_have_fired() -> None:
    waits = {each.name: each.wait for each in alerts()}
    routes = load(ALERTMANAGER_EXAMPLE)["route"]["routes"]
    [journal] = [each for each in routes if each["receiver"] == "journal"]
    assert parse_duration(journal["group_wait"]) > parse_duration(
        waits["AxisNTPExporterClockSuspect"]
    )


@pytest.fixture(scope="module")
def alertmanager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alertmanager]:
    # The receivers do not exist, so nothing must be sent during the tests: seconds are minutes.
    config = scaled_alertmanager(example(), 1 / 60)
    folder = tmp_path_factory.mktemp("alertmanager")
    with ExitStack() as stack:
        yield enter_on_free_ports(stack, lambda: running_alertmanager(config, folder))


def alert(name: str, severity: str = "warning", **more: str) -> Labels:
    """Return the labels of an alert, by default of exporter `a` of job `axis`."""
    return {"alertname": name, "severity": severity, "job": "axis", "instance": "a", **more}


def of_lobby(name: str, severity: str = "warning", **more: str) -> Labels:
    return alert(name, severity, **{"device": "lobby", "site": "hq", **more})


ON_DEVICES = [each for each in alerts() if "$labels.device" in each.annotations["description"]]
ON_EXPORTERS = [each for each in alerts() if each not in ON_DEVICES]
ALL_OF_LOBBY = [of_lobby(each.name, each.severity) for each in ON_DEVICES]
ALL_OF_EXPORTER = [alert(each.name, each.severity) for each in ON_EXPORTERS]
DOWN = alert("AxisNTPExporterDown", "critical")
UNREACHABLE = alert("AxisNTPFleetUnreachable", "critical")
SUSPECT = alert("AxisNTPExporterClockSuspect", "critical")
STALLED = of_lobby("AxisNTPPollsStalled", "critical")
SKEW = of_lobby("AxisNTPClockSkew")
CRITICAL_SKEW = of_lobby("AxisNTPClockSkew", "critical")
STEPPED = of_lobby("AxisNTPClockStepped", "info")
DEVICE_DOWN = of_lobby("AxisNTPDeviceDown")
REFUSED = of_lobby("AxisNTPAuthenticationFailed")
DRIFTING = of_lobby("AxisNTPClockDrifting", "info")
UNSYNCED = of_lobby("AxisNTPNotSynchronized")
SYNC_STALLED = of_lobby("AxisNTPSyncStalled")
SERVERLESS = of_lobby("AxisNTPNoActiveServers")
SWITCHED_OFF = of_lobby("AxisNTPClientDisabled")
DEVIATING = of_lobby("AxisNTPConfigMismatch")
REPORTED = of_lobby("AxisNTPOffsetHigh")
CRITICAL_REPORTED = of_lobby("AxisNTPOffsetHigh", "critical")
WARNINGS = [each for each in ALL_OF_LOBBY if each["severity"] == "warning"]
NOT_CRITICAL = [each for each in ALL_OF_LOBBY if each["severity"] != "critical"]
# Alerts that are not ours, of the same device and exporter.
FOREIGN = [of_lobby("DiskFull", severity) for severity in ("critical", "warning", "info")]


def test_an_alert_that_arrives_late_is_sent_at_once_unless_its_inhibitor_came_first(
    tmp_path: Path,
) -> None:
    """After a restart of Alertmanager, or on a busy host, alerts arrive after `group_wait`."""
    inbox = Inbox()
    begun = datetime.now(UTC) - timedelta(hours=1)
    pairs = {place: [{**each, "site": place} for each in (CRITICAL_SKEW, SKEW)] for place in "ab"}
    with ExitStack() as stack:
        loop = stack.enter_context(event_loop())
        url = stack.enter_context(in_background(loop, receiving(inbox)))
        config = with_webhooks(example(), url)
        alertmanager = enter_on_free_ports(stack, lambda: running_alertmanager(config, tmp_path))
        critical, warning = pairs["a"]
        alertmanager.post([critical], begun=begun)
        wait_until(partial(inbox_has, inbox, 1), "the critical alert is sent")
        alertmanager.post([warning], begun=begun)
        for count, late in enumerate(reversed(pairs["b"]), 2):
            alertmanager.post([late | {"device": "gate"}], begun=begun)
            wait_until(partial(inbox_has, inbox, count), "the alert is sent")
    sent = {(each.labels["site"], each.labels["severity"]) for each in inbox.notifications}
    assert sent == {("a", "critical"), ("b", "warning"), ("b", "critical")}


def inbox_has(inbox: Inbox, count: int) -> bool:
    return len(inbox.notifications) >= count


def without(alerts: list[Labels], *excepted: Labels) -> list[Labels]:
    return [each for each in alerts if each not in excepted]


INHIBITING_NOTHING = without(
    NOT_CRITICAL, REFUSED, SERVERLESS, SWITCHED_OFF, SKEW, UNSYNCED, SYNC_STALLED
)
OF_21_WITHOUT_ANSWER = [
    each | {"device": f"cam-{number}"} for number in range(21) for each in (DEVICE_DOWN, REFUSED)
]
TELLING_THE_CLOCK = [SERVERLESS, SWITCHED_OFF, SYNC_STALLED]
WITHOUT_SERVERS = [UNSYNCED, SYNC_STALLED, DEVIATING, DRIFTING]


@pytest.mark.parametrize(
    ("fires", "silenced"),
    [
        pytest.param([DOWN, *ALL_OF_LOBBY], ALL_OF_LOBBY, id="exporter-down"),
        pytest.param(
            [UNREACHABLE, *OF_21_WITHOUT_ANSWER, CRITICAL_SKEW, SKEW],
            [*OF_21_WITHOUT_ANSWER, SKEW],
            id="79-percent-answer-and-one-of-them-has-a-wrong-clock",
        ),
        pytest.param(
            [UNREACHABLE, REFUSED, *INHIBITING_NOTHING],
            [REFUSED, DEVICE_DOWN],
            id="an-unreachable-fleet-silences-only-that-devices-do-not-answer",
        ),
        pytest.param(ALL_OF_EXPORTER, [], id="alerts-of-exporters-silence-none-of-exporters"),
        pytest.param(
            [SUSPECT, SKEW, STEPPED, DRIFTING], [SKEW, STEPPED, DRIFTING], id="suspect-clock"
        ),
        pytest.param(
            [SUSPECT, *without(INHIBITING_NOTHING, STEPPED, DRIFTING)],
            [],
            id="suspect-clock-silences-nothing-but-clocks",
        ),
        pytest.param(
            [STALLED, *ALL_OF_LOBBY], without(ALL_OF_LOBBY, STALLED), id="polls-that-stalled"
        ),
        pytest.param(
            [CRITICAL_SKEW, *without(NOT_CRITICAL, DRIFTING)],
            WARNINGS,
            id="critical-silences-warnings-and-no-info",
        ),
        pytest.param(
            [CRITICAL_SKEW, SKEW, CRITICAL_REPORTED, REPORTED],
            [SKEW, CRITICAL_REPORTED, REPORTED],
            id="one-page-for-a-wrong-clock",
        ),
        pytest.param([SKEW, REPORTED], [REPORTED], id="one-warning-for-a-wrong-clock"),
        pytest.param(
            [SKEW, CRITICAL_REPORTED, REPORTED],
            [SKEW, REPORTED],
            id="a-warning-never-silences-a-page",
        ),
        pytest.param([CRITICAL_REPORTED, STALLED], [CRITICAL_REPORTED], id="stalled-polls-first"),
        pytest.param([REFUSED, DEVICE_DOWN], [DEVICE_DOWN], id="refused-account"),
        pytest.param([SERVERLESS, *WITHOUT_SERVERS], WITHOUT_SERVERS, id="no-servers"),
        *(
            pytest.param([cause, SKEW, STEPPED], [SKEW], id=f"the-clock-of-{cause['alertname']}")
            for cause in TELLING_THE_CLOCK
        ),
        *(
            pytest.param([cause, CRITICAL_SKEW], [cause], id=f"the-page-of-{cause['alertname']}")
            for cause in TELLING_THE_CLOCK
        ),
        pytest.param([SWITCHED_OFF, *WITHOUT_SERVERS], WITHOUT_SERVERS, id="disabled-client"),
        pytest.param(
            [UNSYNCED, DRIFTING, DEVIATING], [DRIFTING], id="a-clock-that-nothing-corrects-drifts"
        ),
        pytest.param([SYNC_STALLED, DRIFTING], [DRIFTING], id="stalled-synchronization-drifts"),
        pytest.param(INHIBITING_NOTHING, [], id="no-other-silences-anything"),
        pytest.param(
            [DOWN, UNREACHABLE, SUSPECT, STALLED, CRITICAL_SKEW, *FOREIGN],
            [STALLED, CRITICAL_SKEW],
            id="foreign-alerts-are-not-inhibited",
        ),
        pytest.param([*FOREIGN, *NOT_CRITICAL[:2]], [], id="foreign-alerts-inhibit-none-of-ours"),
    ],
)
def test_which_alerts_are_inhibited(
    fires: list[Labels], silenced: list[Labels], alertmanager: Alertmanager, request: Any
) -> None:
    # Each case has its own job, because alerts of earlier cases are still active.
    job = {"job": request.node.callspec.id}
    alertmanager.post([labels | job for labels in fires])
    assert suppressed(alertmanager, job["job"]) == as_set([each | job for each in silenced])


SOURCES = [
    *[DOWN, UNREACHABLE, SUSPECT, STALLED, CRITICAL_SKEW, SKEW, REFUSED, SERVERLESS, SWITCHED_OFF],
    *[UNSYNCED, SYNC_STALLED],
]
ELSEWHERE = [{"instance": "b"}, {"job": "another"}, {"cluster": "us"}, {"device": "gate"}]


# Alerts of an exporter are about all of its devices.
MOVED = [(it, to) for it in SOURCES for to in ELSEWHERE if "device" not in to or "device" in it]


@pytest.mark.parametrize(("source", "elsewhere"), MOVED)
def test_no_alert_inhibits_those_of_another_exporter_or_device(
    source: Labels, elsewhere: Labels, alertmanager: Alertmanager
) -> None:
    own = f"{source['alertname']}-{source['severity']}-{'-'.join(elsewhere)}"
    # None of them inhibits another one.
    targets = (STEPPED, DEVICE_DOWN, DEVIATING, DRIFTING, REPORTED)
    moved = [{**each, "job": own, **elsewhere} for each in targets]
    alertmanager.post([source | {"job": own}, *moved])
    assert suppressed(alertmanager, own) == suppressed(alertmanager, "another") == set()


def test_no_alert_inhibits_those_of_another_cluster(
    alertmanager: Alertmanager,
) -> None:
    job = {"job": "clusters"}
    eu, us = {**job, "cluster": "eu"}, {**job, "cluster": "us"}
    alertmanager.post([UNREACHABLE | eu, DEVICE_DOWN | eu, DEVICE_DOWN | us])
    assert suppressed(alertmanager, "clusters") == as_set([DEVICE_DOWN | eu])


def as_set(found: list[Labels]) -> set[frozenset[tuple[str, str]]]:
    return {frozenset(labels.items()) for labels in found}


def suppressed(alertmanager: Alertmanager, job: str) -> set[frozenset[tuple[str, str]]]:
    """Return the suppressed alerts of a job, after all posted alerts were processed."""
    # Alerts are processed in order: when the last one has its effect, all earlier ones have.
    last = f"after {job}"
    alertmanager.post([each | {"job": last} for each in (REFUSED, DEVICE_DOWN)])
    wait_until(lambda: bool(_suppressed(alertmanager, last)), "all alerts are processed")
    return as_set(_suppressed(alertmanager, job))


def _suppressed(alertmanager: Alertmanager, job: str) -> list[Labels]:
    return [each for each in alertmanager.alerts("suppressed") if each["job"] == job]


def matches(labels: Labels, matchers: list[str]) -> bool:
    """Return whether an alert has all these matchers of the example, as Alertmanager decides it."""
    return all(_matches(labels, *each.split(maxsplit=2)) for each in matchers)


def _matches(labels: Labels, name: str, operator: str, value: str) -> bool:
    found, wanted = labels.get(name, ""), value.strip('"')
    if operator == "=~":
        return re.fullmatch(wanted, found) is not None
    return (found == wanted) is (operator == "=")


def inhibits(source: Labels, target: Labels, rule: Any) -> bool:
    sources, targets = rule["source_matchers"], rule["target_matchers"]
    # Alertmanager: one that is on both sides is not inhibited by one that is on both sides as well.
    on_both = all(matches(a, b) for a in (source, target) for b in (sources, targets))
    same = all(source.get(each) == target.get(each) for each in rule["equal"])
    return matches(source, sources) and matches(target, targets) and same and not on_both


def test_alerts_never_silence_each_other_so_that_nobody_is_notified() -> None:
    """Alertmanager lets an inhibited alert inhibit: a circle would silence all that are in it."""
    rules, left = load(ALERTMANAGER_EXAMPLE)["inhibit_rules"], [*ALL_OF_LOBBY, *ALL_OF_EXPORTER]
    while ends := [
        each for each in left if not any(inhibits(one, each, r) for one in left for r in rules)
    ]:
        left = without(left, *ends)
    assert left == []


@dataclass(frozen=True)
class Reader:
    """An Alertmanager with the example's texts, and those that its receivers got."""

    alertmanager: Alertmanager
    inbox: Inbox

    def texts(self, site: str, count: int = 1) -> list[Text]:
        """Return the texts on a site's alerts, after so many arrived."""

        def found() -> list[Text]:
            return [each for each in self.inbox.texts if site in f"{each.title}{each.body}"]

        wait_until(lambda: len(found()) >= count, f"a text on {site}", lambda: str(self.inbox))
        return found()


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    inbox = Inbox()
    with ExitStack() as stack:
        loop = stack.enter_context(event_loop())
        url = stack.enter_context(in_background(loop, receiving(inbox)))
        config = with_texts(scaled_alertmanager(example(), 300), url)
        folder = tmp_path_factory.mktemp("texts")
        run = partial(running_alertmanager, config, folder)
        yield Reader(enter_on_free_ports(stack, run), inbox)


ANNOTATIONS = {
    "summary": "{device} ({site}): clock is 1.797 s behind",
    "description": "Device {device} (192.0.2.7): check first whether its time server answers.",
    "runbook_url": "https://docs.example/runbooks",
}


def minute(when: datetime) -> str:
    return when.strftime("%Y-%m-%d %H:%M UTC")


def test_a_notification_of_one_alert_says_everything(reader: Reader) -> None:
    begun = datetime.now(UTC)
    reader.alertmanager.post([SKEW | {"site": "one"}], begun=begun, annotations=ANNOTATIONS)
    [text] = reader.texts("(one)")
    assert text.receiver == "operations"
    assert text.title == "[warning] lobby (one): clock is 1.797 s behind"
    assert text.body == (
        "lobby (one): clock is 1.797 s behind\n"
        "  Device lobby (192.0.2.7): check first whether its time server answers.\n"
        f"  Alert since {minute(begun)}.\n\n"
        "What it means and what to do: https://docs.example/runbooks\n"
    )


@pytest.mark.parametrize(("count", "more"), [(20, ""), (21, "and 1 more"), (160, "and 140 more")])
def test_the_devices_of_one_cause_are_one_notification_that_lists_twenty(
    count: int, more: str, reader: Reader
) -> None:
    names = [f"cam-{number:03}" for number in range(count)]
    site = f"site-of-{count}"
    labels = [alert("AxisNTPClockSkew", device=name, site=site) for name in names]
    reader.alertmanager.post(labels, annotations=ANNOTATIONS)
    [text] = reader.texts(site)
    others = f", and {count - 1} more (AxisNTPClockSkew)"
    assert text.title == f"[warning] cam-000 ({site}): clock is 1.797 s behind{others}"
    assert re.findall(r"^cam-\d+", text.body, re.MULTILINE) == names[:20]
    assert re.findall(r"^and .*$", text.body, re.MULTILINE) == ([more] if more else [])


@pytest.mark.parametrize(("count", "more"), [(1, ""), (20, ""), (160, "and 140 more")])
def test_a_pair_of_exporters_counts_and_lists_each_device_once(
    count: int, more: str, reader: Reader
) -> None:
    # Alertmanager sorts by instance first, so the two alerts of a device are not neighbours.
    names = [f"cam.{number:03} [é|ß]" for number in range(count)]
    site = f"pair-of-{count}"
    pair = [alert("AxisNTPClockSkew", device=name, site=site) for name in names]
    pair += [each | {"instance": "b"} for each in pair]
    reader.alertmanager.post(pair, annotations=ANNOTATIONS)
    [text] = reader.texts(site)
    others = f", and {count - 1} more (AxisNTPClockSkew)" if count > 1 else ""
    assert text.title == f"[warning] {names[0]} ({site}): clock is 1.797 s behind{others}"
    assert re.findall(r"^cam.*\]", text.body, re.MULTILINE) == names[:20]
    assert re.findall(r"^and .*$", text.body, re.MULTILINE) == ([more] if more else [])


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("DiskFull", {"device": "sda"}),
        ("AxisNTPTimeServerDown", {"server": "ntp.example"}),
        ("AxisNTPExporterPollsLate", {}),
    ],
)
def test_other_alerts_of_two_instances_are_two(name: str, more: Labels, reader: Reader) -> None:
    site = f"two-of-{name}"
    both = [alert(name, site=site, instance=each, **more) for each in "ab"]
    reader.alertmanager.post(both, annotations={"summary": "{instance} ({site})"})
    [text] = reader.texts(site)
    assert text.title == f"[warning] a ({site}), and 1 more ({name})"


def test_the_end_of_an_alert_is_told_as_such(reader: Reader) -> None:
    labels = [SKEW | {"site": "two", "device": name} for name in ("a", "b")]
    begun = datetime.now(UTC)
    reader.alertmanager.post(labels, begun=begun, annotations=ANNOTATIONS)
    reader.texts("(two)")
    ended = begun + timedelta(microseconds=1)
    reader.alertmanager.post(labels, begun=begun, ended=ended, annotations=ANNOTATIONS)
    _, text = reader.texts("(two)", 2)
    others = ", and 1 more (AxisNTPClockSkew)"
    assert text.title == f"[resolved] a (two): clock is 1.797 s behind{others}"
    assert text.body.count(f"since {minute(begun)} until {minute(ended)}") == 2


def test_an_e_mail_is_plain_text_to_the_team_of_the_site(tmp_path: Path) -> None:
    inbox: list[EmailMessage] = []
    with ExitStack() as stack:
        loop = stack.enter_context(event_loop())
        smarthost = stack.enter_context(in_background(loop, receiving_mail(inbox)))
        config = scaled_alertmanager(example(), 300)
        # The only difference from the example: a mail server on the same machine has no TLS.
        config["global"] |= {"smtp_smarthost": smarthost, "smtp_require_tls": False}
        alertmanager = enter_on_free_ports(stack, lambda: running_alertmanager(config, tmp_path))
        alertmanager.post([SKEW | {"site": "warehouse"}], annotations=ANNOTATIONS)
        wait_until(lambda: bool(inbox), "the e-mail is there")
    [message] = inbox
    assert message["To"] == "warehouse@mail.example"
    assert message["Subject"] == "[warning] lobby (warehouse): clock is 1.797 s behind"
    [part] = message.iter_parts()
    assert part.get_content_type() == "text/plain"
    lines = part.get_content().splitlines()
    assert lines[0] == "lobby (warehouse): clock is 1.797 s behind"
    assert lines[-1] == "What it means and what to do: https://docs.example/runbooks"
