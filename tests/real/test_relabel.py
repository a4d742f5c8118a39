"""The real Prometheus makes of the same targets and rules what the table says."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import trustme
import yaml

from exporter.config import parse_config
from tests.discovery.relabel_cases import CASES, FOUND, Case
from tests.support.programs import find_program
from tests.support.prometheus import PACKAGE, prometheus_on


def config(folder: Path) -> dict[str, Any]:
    """Return a config with one job a case; nothing is scraped within the test."""
    labels = {name: value for name, value in FOUND.items() if name != "__address__"}
    file = folder / "targets.json"
    file.write_text(json.dumps([{"targets": [FOUND["__address__"]], "labels": labels}]))
    jobs = [
        {
            "job_name": case.name,
            "file_sd_configs": [{"files": [str(file)]}],
            "relabel_configs": case.rules,
        }
        for case in CASES
    ]
    return {"global": {"scrape_interval": "1h"}, "scrape_configs": jobs}


def test_prometheus_relabels_as_the_table_says(tmp_path: Path) -> None:
    kept = sum(case.expected is not None for case in CASES)
    with prometheus_on(config(tmp_path), tmp_path) as prometheus:
        targets = prometheus.wait_for_targets(kept)
    found = {each["scrapePool"]: (visible(each["labels"]), each["scrapeUrl"]) for each in targets}
    assert found == {case.name: outcome(case) for case in CASES if case.expected is not None}


def visible(labels: dict[str, str]) -> dict[str, str]:
    """Return the labels without those that Prometheus adds to every target."""
    return {name: value for name, value in labels.items() if name not in {"job", "instance"}}


def outcome(case: Case) -> tuple[dict[str, str] | None, str]:
    return case.expected, f"http://{case.address}/metrics"


def test_prometheus_accepts_the_keys_that_we_accept(tmp_path: Path) -> None:
    """All but `http_headers`, which Debian's Prometheus is too old for."""
    ca_file = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(ca_file))
    section = {
        "url": "https://netbox.example/",
        "authorization": {"type": "Token", "credentials": "t"},
        "tls_config": {"ca_file": str(ca_file), "server_name": "a", "min_version": "TLS12"},
        "proxy_url": "http://proxy.example:3128",
        "follow_redirects": False,
        "refresh_interval": "1m",
    }
    basic = {"url": "https://sd.example/", "basic_auth": {"username": "u", "password": "p"}}
    rules = [each for case in CASES for each in case.rules]
    parse_config({"http_sd_configs": [section, basic], "relabel_configs": rules}, {}, tmp_path)
    job = {"job_name": "axis", "http_sd_configs": [section, basic], "relabel_configs": rules}
    file = tmp_path / "prometheus.yml"
    file.write_text(yaml.safe_dump({"scrape_configs": [job]}))
    checked = subprocess.run(
        [find_program("promtool", PACKAGE), "check", "config", str(file)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
