"""The example for Alertmanager: sound, routes as it says, and silences what it should and no more.

Inhibition is the real Alertmanager's: it is given alerts, and says which it suppresses.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from exporter.system.durations import parse_duration
from tests.alerting.alertmanager import PACKAGE, Alertmanager, Labels, running_alertmanager
from tests.alerting.rules import ALERTMANAGER_EXAMPLE, alerts, load
from tests.support.programs import enter_on_free_ports, find_program, wait_until

pytestmark = pytest.mark.xdist_group("alertmanager")


def amtool(*arguments: str) -> str:
    command = [find_program("amtool", PACKAGE), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_amtool_finds_the_example_sound() -> None:
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
    example = f"--config.file={ALERTMANAGER_EXAMPLE}"
    assert amtool("config", "routes", "test", example, *labels).strip() == receivers


def test_a_pair_of_exporters_is_told_together_and_sites_are_told_apart() -> None:
    assert load(ALERTMANAGER_EXAMPLE)["route"]["group_by"] == ["alertname", "severity", "site"]


def test_a_jump_waits_until_a_suspect_clock_would_have_fired() -> None:
    waits = {each.name: each.wait for each in alerts()}
    routes = load(ALERTMANAGER_EXAMPLE)["route"]["routes"]
    [journal] = [each for each in routes if each["receiver"] == "journal"]
    assert parse_duration(journal["group_wait"]) > parse_duration(
        waits["AxisNTPExporterClockSuspect"]
    )


@pytest.fixture(scope="module")
def alertmanager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alertmanager]:
    config = load(ALERTMANAGER_EXAMPLE)
    # Its receivers do not exist: nothing is to be sent while the test lasts.
    config["route"] |= {"group_wait": "1h"}
    folder = tmp_path_factory.mktemp("alertmanager")
    with ExitStack() as stack:
        yield enter_on_free_ports(stack, lambda: running_alertmanager(config, folder))


def alert(name: str, severity: str = "warning", **more: str) -> Labels:
    """An alert of exporter a of job axis, where nothing else is said."""
    return {"alertname": name, "severity": severity, "job": "axis", "instance": "a", **more}


def device(name: str, severity: str = "warning", **more: str) -> Labels:
    return alert(name, severity, **{"device": "lobby", "site": "hq", **more})


ON_DEVICES = [each for each in alerts() if "$labels.device" in each.annotations["description"]]
ON_EXPORTERS = [each for each in alerts() if each not in ON_DEVICES]
ALL_OF_LOBBY = [device(each.name, each.severity) for each in ON_DEVICES]
ALL_OF_EXPORTER = [alert(each.name, each.severity) for each in ON_EXPORTERS]
DOWN = alert("AxisNTPExporterDown", "critical")
UNREACHABLE = alert("AxisNTPFleetUnreachable", "critical")
SUSPECT = alert("AxisNTPExporterClockSuspect", "critical")
STALLED = device("AxisNTPPollsStalled", "critical")
SKEW = device("AxisNTPClockSkew")
CRITICAL_SKEW = device("AxisNTPClockSkew", "critical")
STEPPED = device("AxisNTPClockStepped", "info")
DEVICE_DOWN = device("AxisNTPDeviceDown")
REFUSED = device("AxisNTPAuthenticationFailed")
UNSYNCED = device("AxisNTPNotSynchronized")
SERVERLESS = device("AxisNTPNoActiveServers")
WARNINGS = [each for each in ALL_OF_LOBBY if each["severity"] == "warning"]
NOT_CRITICAL = [each for each in ALL_OF_LOBBY if each["severity"] != "critical"]
# Somebody else's, of the same device and exporter.
FOREIGN = [device("DiskFull", severity) for severity in ("critical", "warning", "info")]


def but(alerts: list[Labels], *excepted: Labels) -> list[Labels]:
    return [each for each in alerts if each not in excepted]


@pytest.mark.parametrize(
    ("fires", "silenced"),
    [
        pytest.param([DOWN, *ALL_OF_LOBBY], ALL_OF_LOBBY, id="exporter-down"),
        pytest.param(
            [UNREACHABLE, *ALL_OF_LOBBY], but(ALL_OF_LOBBY, STALLED), id="fleet-unreachable"
        ),
        pytest.param(ALL_OF_EXPORTER, [], id="alerts-of-exporters-silence-none-of-exporters"),
        pytest.param([SUSPECT, SKEW, STEPPED], [SKEW, STEPPED], id="suspect-clock"),
        pytest.param(
            [SUSPECT, *but(NOT_CRITICAL, SKEW, STEPPED, REFUSED, SERVERLESS)],
            [],
            id="suspect-clock-silences-nothing-but-clocks",
        ),
        pytest.param([STALLED, *ALL_OF_LOBBY], but(ALL_OF_LOBBY, STALLED), id="polls-that-stalled"),
        pytest.param(
            [CRITICAL_SKEW, *NOT_CRITICAL], WARNINGS, id="critical-silences-warnings-and-no-info"
        ),
        pytest.param(
            [CRITICAL_SKEW, device("AxisNTPOffsetHigh", "critical")],
            [],
            id="critical-silences-nothing-critical",
        ),
        pytest.param([REFUSED, DEVICE_DOWN], [DEVICE_DOWN], id="refused-account"),
        pytest.param([SERVERLESS, UNSYNCED], [UNSYNCED], id="no-servers"),
        pytest.param(but(NOT_CRITICAL, REFUSED, SERVERLESS), [], id="no-other-silences-anything"),
        pytest.param(
            [DOWN, UNREACHABLE, SUSPECT, STALLED, CRITICAL_SKEW, *FOREIGN],
            [STALLED, CRITICAL_SKEW],
            id="nobody-elses-alerts-are-silenced",
        ),
        pytest.param([*FOREIGN, *NOT_CRITICAL[:2]], [], id="nor-do-they-silence-ours"),
    ],
)
def test_what_makes_which_alert_pointless(
    fires: list[Labels], silenced: list[Labels], alertmanager: Alertmanager, request: Any
) -> None:
    # A job of its own for each case: what was posted before is still there.
    job = {"job": request.node.callspec.id}
    alertmanager.post([labels | job for labels in fires])
    assert suppressed(alertmanager, job["job"]) == as_set([each | job for each in silenced])


SOURCES = [DOWN, UNREACHABLE, SUSPECT, STALLED, CRITICAL_SKEW, REFUSED, SERVERLESS]
ELSEWHERE = [{"instance": "b"}, {"job": "another"}, {"cluster": "us"}, {"device": "gate"}]


# Those of an exporter are about all of its devices.
MOVED = [(it, to) for it in SOURCES for to in ELSEWHERE if "device" not in to or "device" in it]


@pytest.mark.parametrize(("source", "elsewhere"), MOVED)
def test_nothing_silences_what_another_exporter_says_or_another_device_has(
    source: Labels, elsewhere: Labels, alertmanager: Alertmanager
) -> None:
    own = f"{source['alertname']}-{'-'.join(elsewhere)}"
    moved = [{**each, "job": own, **elsewhere} for each in (SKEW, STEPPED, DEVICE_DOWN, UNSYNCED)]
    alertmanager.post([source | {"job": own}, *moved])
    assert suppressed(alertmanager, own) == suppressed(alertmanager, "another") == set()


def test_clusters_that_share_job_and_instance_are_silenced_each_for_itself(
    alertmanager: Alertmanager,
) -> None:
    job = {"job": "clusters"}
    eu, us = {**job, "cluster": "eu"}, {**job, "cluster": "us"}
    alertmanager.post([UNREACHABLE | eu, DEVICE_DOWN | eu, DEVICE_DOWN | us])
    assert suppressed(alertmanager, "clusters") == as_set([DEVICE_DOWN | eu])


def as_set(found: list[Labels]) -> set[frozenset[tuple[str, str]]]:
    return {frozenset(labels.items()) for labels in found}


def suppressed(alertmanager: Alertmanager, job: str) -> set[frozenset[tuple[str, str]]]:
    """What it suppresses of a job, once it has taken in all that it was told."""
    # It takes alerts in one after the other: when the last one works, all before do.
    last = f"after {job}"
    alertmanager.post([each | {"job": last} for each in (REFUSED, DEVICE_DOWN)])
    wait_until(lambda: bool(_suppressed(alertmanager, last)), "all alerts are taken in")
    return as_set(_suppressed(alertmanager, job))


def _suppressed(alertmanager: Alertmanager, job: str) -> list[Labels]:
    return [each for each in alertmanager.alerts("suppressed") if each["job"] == job]
