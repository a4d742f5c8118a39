"""The installed command against Apache httpd."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.real.conftest import StartApache
from tests.support.apache import Apache
from tests.support.apache_config import PASSWORD, USERNAME, ApacheSettings
from tests.support.daemon_process import BlockingDaemon, blocking_daemon
from tests.support.programs import wait_until


@pytest.fixture
def apache(start_apache: StartApache) -> Apache:
    return start_apache(ApacheSettings())


def polls_of(daemon: BlockingDaemon) -> float:
    """Return the number of finished polls of the only device."""
    families = text_string_to_metric_families(daemon.get("/metrics").text)
    polls = next(family for family in families if family.name == "axis_ntp_polls")
    return polls.samples[0].value


def test_the_daemon_sends_one_request_a_poll(apache: Apache, tmp_path: Path) -> None:
    auth = {"username": USERNAME, "password": PASSWORD}
    config = {
        "global": {"interval": "100ms"},
        "modules": {"default": {"scheme": "http", "auth": auth}},
        "devices": [{"address": apache.address}],
    }
    with blocking_daemon(config, tmp_path) as daemon:
        wait_until(lambda: polls_of(daemon) >= 20, "20 polls", daemon.program.log)
        at_least = polls_of(daemon)
        first, *later = [request.status for request in apache.requests()]
        at_most = polls_of(daemon) + 1
    assert (first, set(later)) == (401, {200})
    assert at_least <= len(later) <= at_most
