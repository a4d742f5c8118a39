"""The real Prometheus makes of the same targets and rules what the table says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.discovery.relabel_cases import CASES, FOUND, Case
from tests.support.prometheus import prometheus_on


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
