"""docs/evidence.md: what Prometheus must keep, and the configs that keep it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Final

import pytest
import yaml

from exporter.evidence.series import DEVICE_SERIES, HOST_SERIES, SERVER_SERIES
from exporter.metrics.catalogue import DEVICE_METRICS
from exporter.metrics.exporter import ExporterMetrics
from exporter.metrics.time_servers import TIME_SERVER_METRICS
from tests.docs.tables import SUFFIX
from tests.support.programs import find_program
from tests.support.prometheus import PACKAGE

PAGE: Final = (Path(__file__).parents[2] / "docs/evidence.md").read_text("utf-8")
CONFIGS: Final = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
EIGHT: Final = (*DEVICE_SERIES, *HOST_SERIES)
USEFUL: Final = (
    "axis_ntp_poll_duration_seconds",
    "axis_ntp_device_info",
    "axis_ntp_exporter_host_clock_synchronized",
    *SERVER_SERIES,
)


def all_series() -> list[str]:
    own = ExporterMetrics().registry.collect()
    names = [f"{family.name}{SUFFIX.get(family.type, '')}" for family in own]
    tables = (*DEVICE_METRICS, *TIME_SERVER_METRICS)
    return [*(metric.name for metric in tables), *names, *HOST_SERIES]


def test_the_table_has_the_eight_series_that_the_command_reads() -> None:
    assert re.findall(r"^\| `(axis_ntp_\w+)` \| (?:device|exporter)", PAGE, re.MULTILINE) == [
        *EIGHT
    ]


def test_the_page_lists_the_other_series_that_are_used() -> None:
    rows = re.findall(r"^\| (`axis_ntp_\w+`(?:, `axis_ntp_\w+`)*) \| [^|]* \|$", PAGE, re.MULTILINE)
    listed = {name for row in rows for name in re.findall(r"\w+", row)}
    assert listed == set(USEFUL)


def test_there_are_two_configs() -> None:
    assert len(CONFIGS) == 2


@pytest.mark.parametrize("config", CONFIGS)
def test_a_config_keeps_what_statements_need_and_nothing_else(config: str) -> None:
    [rules] = re.findall(r"regex: (.+)", config)
    pattern = yaml.safe_load(rules)
    kept = {name for name in all_series() if re.fullmatch(pattern, name)}
    assert kept == {*EIGHT, *USEFUL}


@pytest.mark.parametrize("config", CONFIGS)
def test_prometheus_accepts_the_config(config: str, tmp_path: Path) -> None:
    file = tmp_path / "prometheus.yml"
    file.write_text(config)
    promtool = [find_program("promtool", PACKAGE), "check", "config", str(file)]
    done = subprocess.run(promtool, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
