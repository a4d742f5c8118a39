"""Prometheus scrapes a daemon with a web-config: TLS, a password, a client certificate."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bcrypt
import pytest

from tests.support.certificates import Authority, authority
from tests.support.daemon_process import blocking_daemon
from tests.support.programs import enter_on_free_ports, wait_until
from tests.support.prometheus import Prometheus, prometheus_on
from tests.support.web_config import write

PASSWORD = "of Prometheus"


def web_config(password: str) -> dict[str, Any]:
    # The usual bcrypt cost: even the slow first check must fit into the scrape timeout.
    hashed = bcrypt.hashpw(password.encode(), bcrypt.gensalt(10)).decode()
    return {
        "tls_server_config": {
            "cert_file": "server.crt",
            "key_file": "server.key",
            "client_auth_type": "RequireAndVerifyClientCert",
            "client_ca_file": "ca.pem",
        },
        "basic_auth_users": {"prometheus": hashed},
    }


def prometheus_config(target: str, folder: Path) -> dict[str, Any]:
    job = {
        "job_name": "axis",
        "scheme": "https",
        "basic_auth": {
            "username": "prometheus",
            "password_file": str(folder / "prometheus-password"),
        },
        "tls_config": {
            "ca_file": str(folder / "trusted.pem"),
            "cert_file": str(folder / "prometheus.crt"),
            "key_file": str(folder / "prometheus.key"),
        },
        "static_configs": [{"targets": [target]}],
    }
    interval = {"scrape_interval": "1s", "scrape_timeout": "1s"}
    return {"global": interval, "scrape_configs": [job]}


@dataclass(frozen=True)
class SecuredSite:
    """A daemon with a web-config in `ours.folder`, and Prometheus with its credentials."""

    ours: Authority
    prometheus: Prometheus

    @property
    def folder(self) -> Path:
        return self.ours.folder

    def last_error(self) -> str:
        [target] = self.prometheus.targets()
        error: str = target["lastError"]
        return error

    def wait_for_error(self, words: str) -> None:
        wait_until(lambda: words in self.last_error(), words, self.last_error)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[SecuredSite]:
    ours = authority(tmp_path)
    ours.issue("prometheus", "prometheus.example")
    shutil.copy(ours.file, tmp_path / "trusted.pem")
    (tmp_path / "prometheus-password").write_text(PASSWORD)
    flag = f"--web.config.file={write(tmp_path, web_config(PASSWORD))}"
    with ExitStack() as stack:
        daemon = stack.enter_context(blocking_daemon({"devices": []}, tmp_path, flag))
        config = prometheus_config(daemon.address, tmp_path)
        scraper = enter_on_free_ports(stack, lambda: prometheus_on(config, tmp_path))
        yield SecuredSite(ours, scraper)
        assert "Traceback" not in daemon.program.log()


def test_prometheus_scrapes_over_tls_with_a_password_and_a_client_certificate(
    site: SecuredSite,
) -> None:
    site.prometheus.wait_for('up{job="axis"} == 1')
    site.prometheus.wait_for("axis_ntp_exporter_build_info")
    assert site.last_error() == ""


def test_a_changed_password_takes_effect(site: SecuredSite) -> None:
    site.prometheus.wait_for('up{job="axis"} == 1')
    write(site.folder, web_config("another"))
    site.wait_for_error("server returned HTTP status 401 Unauthorized")
    (site.folder / "prometheus-password").write_text("another")
    site.prometheus.wait_for('up{job="axis"} == 1')


def test_a_changed_certificate_and_client_ca_take_effect(site: SecuredSite) -> None:
    site.prometheus.wait_for('up{job="axis"} == 1')
    others = authority(site.folder / "others")
    others.issue("prometheus", "prometheus.example")
    for name in ("server.crt", "server.key", "ca.pem"):
        shutil.copy(others.folder / name, site.folder / name)
    site.wait_for_error("x509: certificate signed by unknown authority")
    shutil.copy(others.file, site.folder / "trusted.pem")
    site.wait_for_error("remote error: tls: unknown certificate authority")
    for name in ("prometheus.crt", "prometheus.key"):
        shutil.copy(others.folder / name, site.folder / name)
    site.prometheus.wait_for('up{job="axis"} == 1')
