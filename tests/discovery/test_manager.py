"""Rounds of discovery that fail as a whole."""

import asyncio
import json
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from exporter.config import Config, parse_config
from exporter.discovery import Discovery
from exporter.discovery.http_sd import FileSD, RefreshFailed
from exporter.discovery.manager import Refusals
from exporter.discovery.once import with_discovered
from exporter.metrics.exporter import ExporterMetrics


def config_on(folder: Path) -> Config:
    sd = {"files": ["*.json"], "refresh_interval": "10ms"}
    return parse_config({"file_sd_configs": [sd]}, {}, folder)


def failures(metrics: ExporterMetrics, source: str) -> float | None:
    return metrics.registry.get_sample_value(
        "axis_ntp_exporter_sd_refresh_failures_total", {"mechanism": "file", "source": source}
    )


async def test_a_fault_of_ours_is_logged_once_counted_each_time_and_ends_nothing(
    tmp_path: Path,
) -> None:
    file = tmp_path / "a.json"
    file.write_text(json.dumps([{"targets": ["10.0.0.1"]}]))
    rounds = 0
    well = asyncio.Event()

    def changed() -> Refusals:
        nonlocal rounds
        rounds += 1
        if rounds <= 3:
            raise KeyError("no such luck")
        well.set()
        return {}

    metrics = ExporterMetrics()
    with capture_logs() as logs:
        discovery = Discovery(metrics, changed)
        discovery.follow(config_on(tmp_path))
        async with asyncio.timeout(10):
            await well.wait()
        assert discovery.has_told
        await discovery.stop()
    assert [log["event"] for log in logs] == [
        "discovery.internal_error",
        "discovery.failed",
        "discovery.recovered",
    ]
    assert isinstance(logs[0]["exc_info"], KeyError)
    assert failures(metrics, str(file)) == 3


async def test_a_round_that_tells_nothing_keeps_what_was_told_last(tmp_path: Path) -> None:
    folder, there, loop = (tmp_path / name for name in ("sd", "there", "loop"))
    there.mkdir()
    folder.symlink_to("there")
    loop.symlink_to("sd")
    file = folder / "a.json"
    file.write_text(json.dumps([{"targets": ["10.0.0.1"]}]))
    sd = {"files": ["sd/*.json"], "refresh_interval": "10ms"}
    config = parse_config({"file_sd_configs": [sd]}, {}, tmp_path)
    metrics = ExporterMetrics()
    discovery = Discovery(metrics, dict)
    discovery.follow(config)
    async with asyncio.timeout(10):
        while not discovery.has_told:
            await asyncio.sleep(0.01)
        loop.rename(folder)  # which now leads to itself
        while not failures(metrics, str(file)):
            await asyncio.sleep(0.01)
    found = discovery.found(config)
    await discovery.stop()
    assert [entry.address for told in found.values() for entry in told] == ["10.0.0.1"]


async def test_files_that_hang_are_told_by_their_patterns_or_as_they_were_known(
    tmp_path: Path,
) -> None:
    section = config_on(tmp_path).file_sd_configs[0]
    files = FileSD(section, patience_seconds=0)
    assert files.origins == (str(tmp_path / "*.json"),)
    with pytest.raises(RefreshFailed, match="could not be read in time"):
        await files.refresh()


async def test_a_folder_that_cannot_be_listed_tells_nothing_and_says_why(tmp_path: Path) -> None:
    looped = tmp_path / "loop"
    looped.symlink_to("loop")
    sd = {"files": ["loop/*.json"], "refresh_interval": "10ms"}
    config = parse_config({"file_sd_configs": [sd]}, {}, tmp_path)
    problem = f"{looped}: Too many levels of symbolic links"
    with pytest.raises(RefreshFailed) as caught:
        await FileSD(config.file_sd_configs[0]).refresh()
    assert str(caught.value) == problem
    assert await with_discovered(config) == (config, [f"{looped}/*.json: {problem}"])
