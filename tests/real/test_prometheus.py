"""The daemon's metrics, read by Prometheus, promtool and an OpenMetrics parser."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from tests.support.apache import Apache, running_apache
from tests.support.apache_config import NTP_INFO, PASSWORD, USERNAME, ApacheSettings
from tests.support.certificates import Certificate, self_signed
from tests.support.daemon_process import BlockingDaemon, blocking_daemon
from tests.support.programs import enter_on_free_ports
from tests.support.prometheus import Prometheus, promtool_check_metrics, running_prometheus

# One daemon and one Prometheus for all tests of the module.
pytestmark = pytest.mark.xdist_group("prometheus")

ACCEPT_OF_PROMETHEUS_2: Final = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
ACCEPT_OF_PROMETHEUS_3: Final = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
UNSYNCED: Final = {"client": NTP_INFO["client"] | {"synced": False, "timeOffset": 0.0}}


@dataclass(frozen=True)
class ScrapedSite:
    """A daemon with three devices: `lobby` over HTTP, `gate` over HTTPS, `roof` not synced."""

    daemon: BlockingDaemon
    prometheus: Prometheus


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("site")


@pytest.fixture(scope="module")
def site(folder: Path) -> Iterator[ScrapedSite]:
    certificate = self_signed(folder)
    with ExitStack() as stack:
        lobby = _device(stack, folder, ApacheSettings())
        gate = _device(
            stack, folder, ApacheSettings(auth="basic", certificate=certificate.with_key)
        )
        roof = _device(stack, folder, ApacheSettings())
        roof.set_info(UNSYNCED)
        config = _config(certificate, lobby, gate, roof)
        daemon = stack.enter_context(blocking_daemon(config, folder))
        daemon.wait_until_polled()
        scraper = enter_on_free_ports(stack, lambda: running_prometheus(daemon.address, folder))
        yield ScrapedSite(daemon, scraper)


def _device(stack: ExitStack, folder: Path, settings: ApacheSettings) -> Apache:
    return enter_on_free_ports(stack, lambda: running_apache(settings, folder))


def _config(certificate: Certificate, lobby: Apache, gate: Apache, roof: Apache) -> dict[str, Any]:
    auth = {"username": USERNAME, "password": PASSWORD}
    pin = {"fingerprint_sha256": certificate.fingerprint.hex(":")}
    return {
        "global": {"interval": "1s"},
        "modules": {
            "default": {"scheme": "http", "auth": auth},
            "secure": {"scheme": "https", "auth": auth, "tls_config": pin},
        },
        "devices": [
            {"address": lobby.address, "name": "lobby", "labels": {"site": "hq"}},
            {"address": gate.address, "name": "gate", "module": "secure"},
            {"address": roof.address, "name": "roof", "labels": {"site": "branch"}},
        ],
    }


def test_prometheus_scrapes_the_daemon_without_errors(site: ScrapedSite) -> None:
    site.prometheus.wait_for('up{job="axis"} == 1')
    assert [(t["health"], t["lastError"]) for t in site.prometheus.targets()] == [("up", "")]


def test_a_series_has_exactly_the_labels_of_its_device(site: ScrapedSite) -> None:
    [synced] = site.prometheus.wait_for('axis_ntp_synced{device="lobby"}')
    assert synced.labels == {
        "__name__": "axis_ntp_synced",
        "device": "lobby",
        "site": "hq",
        "job": "axis",
        "instance": site.daemon.address,
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("axis_ntp_up", 1),
        ("axis_ntp_synced", 1),
        ("axis_ntp_time_offset_seconds", 0.0000211),
        ("axis_ntp_time_to_next_sync_seconds", 44),
        ("axis_ntp_poll_interval_min_seconds", 64),
        ("axis_ntp_poll_interval_max_seconds", 1024),
    ],
)
def test_prometheus_has_the_values_of_the_device(
    site: ScrapedSite, name: str, value: float
) -> None:
    [series] = site.prometheus.wait_for(f'{name}{{device="lobby"}}')
    assert series.value == pytest.approx(value)


def test_an_unsynced_device_has_no_offset_in_prometheus(site: ScrapedSite) -> None:
    site.prometheus.wait_for('axis_ntp_synced{device="roof"} == 0')
    assert site.prometheus.query('axis_ntp_time_offset_seconds{device="roof"}') == []


def test_a_device_pinned_over_https_is_up_in_prometheus(site: ScrapedSite) -> None:
    [up] = site.prometheus.wait_for('axis_ntp_up{device="gate"}')
    assert up.value == 1


def test_the_poll_counter_in_prometheus_grows(site: ScrapedSite) -> None:
    [polls] = site.prometheus.wait_for('axis_ntp_polls_total{device="lobby"} > 2')
    [failures] = site.prometheus.query('axis_ntp_poll_failures_total{device="lobby"}')
    assert (polls.value > failures.value, failures.value) == (True, 0)


def test_promtool_accepts_the_metrics(site: ScrapedSite) -> None:
    checked = promtool_check_metrics(site.daemon.get("/metrics").text)
    assert (checked.stdout, checked.stderr, checked.returncode) == ("", "", 0)


@pytest.mark.parametrize("accept", [ACCEPT_OF_PROMETHEUS_2, ACCEPT_OF_PROMETHEUS_3])
def test_prometheus_gets_openmetrics_on_request(site: ScrapedSite, accept: str) -> None:
    reply = site.daemon.get("/metrics", {"Accept": accept})
    assert reply.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")


@pytest.mark.parametrize("accept", [ACCEPT_OF_PROMETHEUS_2, ACCEPT_OF_PROMETHEUS_3])
def test_openmetrics_can_be_parsed_and_has_every_device(site: ScrapedSite, accept: str) -> None:
    text = site.daemon.get("/metrics", {"Accept": accept}).text
    parsed = text_string_to_metric_families(text)  # type: ignore[no-untyped-call]
    families = {family.name: family for family in parsed}
    devices = [sample.labels["device"] for sample in families["axis_ntp_up"].samples]
    assert devices == ["lobby", "gate", "roof"]
