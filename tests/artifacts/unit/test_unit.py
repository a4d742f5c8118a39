"""The unit under a running systemd of Debian 12, installed as docs/deployment.md prints it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.artifacts.container import Container
from tests.artifacts.debian import BOOKWORM, CHECKOUT
from tests.artifacts.installed import (
    COMMAND,
    CONFIG,
    PASSWORD,
    UNIT,
    add_drop_in,
    block,
    config,
    container,
    install,
    install_unit,
    metrics,
    start_cameras,
    wait_for_metric,
)
from tests.support.certificates import authority
from tests.support.programs import wait_until

ALL_UP: Final = ("axis_ntp_up{…} 1.0", 3)
DROP_INS: Final = f"/etc/systemd/system/{UNIT}.service.d"


@pytest.fixture(scope="module")
def debian() -> Iterator[Container]:
    """A Debian 12 in which root with umask 077 has followed the page."""
    with container(BOOKWORM) as running:
        install(running, umask="077")
        start_cameras(running)
        install_unit(running, umask="077")
        yield running


@pytest.fixture
def service(debian: Container) -> Iterator[Container]:
    """The service as after the installation; what the test changes is undone."""
    yield debian
    debian.write(CONFIG, config())
    debian.sh(f"rm -rf {DROP_INS}; systemctl daemon-reload")
    debian.sh(f"systemctl reset-failed {UNIT} 2>/dev/null; systemctl restart {UNIT}", ok=False)


def state(running: Container) -> dict[str, str]:
    wanted = ("ActiveState", "Result", "ExecMainCode", "ExecMainStatus", "NRestarts", "MainPID")
    return running.properties(UNIT, *wanted)


def test_start_returns_when_it_is_ready_and_the_password_comes_from_systemd(
    service: Container,
) -> None:
    # `systemctl enable --now` of the page returned after READY=1: the port is open now.
    assert "axis_ntp_exporter_build_info" in metrics(service)
    assert service.properties(UNIT, "StatusErrno", "UnitFileState")["UnitFileState"] == "enabled"
    wait_for_metric(service, *ALL_UP)
    assert PASSWORD not in service.journal(UNIT)


def test_its_account_exists_only_while_it_runs_and_cannot_read_the_password_file(
    service: Container,
) -> None:
    number = service.sh(f"stat -c %u /proc/{state(service)['MainPID']}").strip()
    assert 61184 <= int(number) <= 65519  # the range of DynamicUser
    assert service.sh("stat -c '%a %u' /etc/axis-ntp-exporter/axis-password").strip() == "600 0"
    service.sh(f"systemctl stop {UNIT}")
    assert service.code(f"getent passwd {UNIT}") != 0


def test_it_can_write_only_where_the_page_says(service: Container) -> None:
    find = "/usr/bin/find / -path /proc -prune -o -type d -writable -print"
    add_drop_in(
        service,
        f"[Service]\nType=oneshot\nWatchdogSec=0\nRestart=no\nExecStart=\nExecStart=-{find}\n",
    )
    service.sh(f"systemctl restart {UNIT}")
    found = service.journal(UNIT).splitlines()
    writable = {line for line in found if re.fullmatch(r"/\S*", line)}
    assert writable == {"/tmp", "/var/tmp"}
    assert (
        "It can write `/tmp` and `/var/tmp` only" in (CHECKOUT / "docs/deployment.md").read_text()
    )


def test_a_reload_takes_a_new_config_and_keeps_the_old_one_if_the_new_one_is_invalid(
    service: Container,
) -> None:
    wait_for_metric(service, *ALL_UP)
    process = state(service)["MainPID"]
    service.write(CONFIG, config(devices=2))
    service.sh(f"systemctl reload {UNIT}")
    wait_for_metric(service, "axis_ntp_up{…} 1.0", 2)
    assert "event=config.reloaded" in service.journal(UNIT)
    service.write(CONFIG, "devices: 7\n")
    service.sh(f"systemctl reload {UNIT}")
    wait_for_metric(service, "axis_ntp_exporter_config_last_reload_successful… 0.0")
    assert "event=config.reload_failed" in service.journal(UNIT)
    wait_for_metric(service, "axis_ntp_up{…} 1.0", 2)
    assert state(service)["MainPID"] == process


def test_the_watchdog_restarts_a_process_that_hangs(service: Container) -> None:
    add_drop_in(service, "[Service]\nWatchdogSec=5s\nRestartSec=100ms\n")
    service.sh(f"systemctl restart {UNIT}")
    process = state(service)["MainPID"]
    service.sh(f"kill -STOP {process}")
    restarted_after_a_failure(service)
    assert "Watchdog timeout" in service.journal(UNIT)
    # The stack of the hang.
    assert "Fatal Python error: Aborted" in service.journal(UNIT)
    wait_for_metric(service, *ALL_UP)


def restarted_after_a_failure(running: Container) -> None:
    def is_so() -> bool:
        now = state(running)
        return int(now["NRestarts"]) > 0 and now["ActiveState"] == "active"

    wait_until(is_so, "it was restarted", lambda: running.journal(UNIT))


def test_an_unknown_flag_ends_it_with_2_and_is_not_tried_again(service: Container) -> None:
    add_drop_in(service, f"[Service]\nRestartSec=0\nExecStart=\nExecStart={COMMAND} --unknown\n")
    assert service.code(f"systemctl restart {UNIT}") != 0
    now = state(service)
    assert (now["ActiveState"], now["Result"]) == ("failed", "exit-code")
    assert (now["ExecMainStatus"], now["NRestarts"]) == ("2", "0")


def test_other_failures_are_tried_again_until_the_cause_is_gone(service: Container) -> None:
    add_drop_in(service, "[Service]\nRestartSec=100ms\n")
    service.write(CONFIG, "devices: 7\n")
    assert service.code(f"systemctl restart {UNIT}") != 0
    wait_until(lambda: int(state(service)["NRestarts"]) > 1, "it is tried again")
    service.write(CONFIG, config())
    restarted_after_a_failure(service)
    wait_for_metric(service, *ALL_UP)


def test_stop_ends_it_with_0(service: Container) -> None:
    service.sh(f"systemctl stop {UNIT}")
    now = state(service)
    assert (now["ActiveState"], now["Result"]) == ("inactive", "success")
    assert (now["ExecMainCode"], now["ExecMainStatus"]) == ("1", "0")  # 1: CLD_EXITED
    assert "timed out" not in service.journal(UNIT).rpartition("Stopping")[2]


def test_the_documented_drop_in_for_a_web_config_works(service: Container, tmp_path: Path) -> None:
    certificates = authority(tmp_path / "ca")
    certificates.issue("prometheus", "prometheus")
    folder = "/etc/axis-ntp-exporter"
    (certificates.folder / "client-ca.pem").write_bytes(certificates.file.read_bytes())
    for name in ("server.crt", "server.key", "client-ca.pem"):
        service.write(f"{folder}/{name}", (certificates.folder / name).read_text(), "600")
    for name in ("prometheus.crt", "prometheus.key"):
        service.write(f"/root/{name}", (certificates.folder / name).read_text())
    web = (CHECKOUT / "deploy/web-config.example.yml").read_text("utf-8")
    service.write(f"{folder}/web-config.yml", web, "600")
    add_drop_in(service, block("systemd", "[Service]\nLoadCredential=web-config"))
    service.sh(f"systemctl restart {UNIT}")
    assert "axis_ntp_exporter_build_info" in service.sh(AS_PROMETHEUS)
    assert metrics(service) == ""  # over HTTP


AS_PROMETHEUS: Final = """python3 -c "
import base64, ssl, urllib.request as r
tls = ssl.create_default_context(cafile='/etc/axis-ntp-exporter/client-ca.pem')
tls.load_cert_chain('/root/prometheus.crt', '/root/prometheus.key')
account = base64.b64encode(b'prometheus:change me').decode()
request = r.Request('https://127.0.0.1:10123/metrics')
request.add_header('Authorization', 'Basic ' + account)
print(r.urlopen(request, context=tls).read().decode())"
"""
