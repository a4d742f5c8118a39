"""Periodic refreshes: what a failed one keeps, counts and logs."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from exporter.config import Config, DeviceConfig, parse_config
from exporter.discovery.file_sd import FileSD
from exporter.discovery.manager import Discovery, discover_once
from exporter.discovery.target_groups import RefreshFailed
from exporter.metrics.exporter import ExporterMetrics
from exporter.system.process import TooManyConnections


def config_on(folder: Path, pattern: str = "*.json", **more: object) -> Config:
    sd = {"files": [pattern], "refresh_interval": "10ms"}
    return parse_config({"file_sd_configs": [sd], **more}, {}, folder)


async def ignore(_devices: Sequence[DeviceConfig]) -> None:
    """Apply nothing."""


def failures(metrics: ExporterMetrics, source: str) -> float | None:
    return metrics.registry.get_sample_value(
        "axis_ntp_exporter_sd_refresh_failures_total", {"mechanism": "file", "source": source}
    )


async def test_an_internal_error_is_logged_once_counted_each_time_and_does_not_end_refreshes(
    tmp_path: Path,
) -> None:
    file = tmp_path / "a.json"
    file.write_text(json.dumps([{"targets": ["10.0.0.1"]}]))
    rounds = 0
    succeeded = asyncio.Event()

    async def apply_devices(_devices: Sequence[DeviceConfig]) -> None:
        nonlocal rounds
        rounds += 1
        if rounds <= 3:
            raise KeyError("no such luck")
        succeeded.set()

    metrics = ExporterMetrics()
    with capture_logs() as logs:
        discovery = Discovery(metrics, apply_devices, asyncio.Lock())
        discovery.follow(config_on(tmp_path))
        async with asyncio.timeout(10):
            await succeeded.wait()
        assert discovery.has_refreshed
        await discovery.stop()
    assert [log["event"] for log in logs] == [
        "discovery.internal_error",
        "discovery.failed",
        "discovery.recovered",
    ]
    assert isinstance(logs[0]["exc_info"], KeyError)
    assert failures(metrics, str(file)) == 3


async def test_accepted_devices_are_handed_over_and_refused_targets_logged_and_counted(
    tmp_path: Path,
) -> None:
    file = tmp_path / "a.json"
    file.write_text(json.dumps([{"targets": ["10.0.0.1", "10.0.0.2", "10.0.0.3"]}]))
    config = config_on(tmp_path, devices=[{"address": "10.0.0.1"}, {"address": "10.0.0.2"}])
    applied: list[Sequence[DeviceConfig]] = []

    async def apply_devices(devices: Sequence[DeviceConfig]) -> None:
        applied.append(devices)

    metrics = ExporterMetrics()
    with capture_logs() as logs:
        discovery = Discovery(metrics, apply_devices, asyncio.Lock())
        discovery.follow(config)
        async with asyncio.timeout(10):
            while (failures(metrics, str(file)) or 0) < 3:
                await asyncio.sleep(0.01)
        await discovery.stop()
    # What stays the same is applied once: it takes half a second for 50,000 devices.
    assert [[device.address for device in devices] for devices in applied] == [["10.0.0.3"]]
    assert logs == [
        {
            "event": "discovery.failed",
            "log_level": "warning",
            "mechanism": "file",
            "source": str(file),
            "problem": "2 targets (10.0.0.1, 10.0.0.2): their names are already used in the config",
            "more_problems": 0,
        }
    ]


async def test_too_many_devices_are_logged_and_counted_for_the_source_that_was_read(
    tmp_path: Path,
) -> None:
    file = tmp_path / "a.json"
    file.write_text(json.dumps([{"targets": ["10.0.0.1"]}]))

    async def apply_devices(_devices: Sequence[DeviceConfig]) -> None:
        raise TooManyConnections("too many")

    metrics = ExporterMetrics()
    with capture_logs() as logs:
        discovery = Discovery(metrics, apply_devices, asyncio.Lock())
        discovery.follow(config_on(tmp_path))
        async with asyncio.timeout(10):
            while (failures(metrics, str(file)) or 0) < 2:
                await asyncio.sleep(0.01)
        await discovery.stop()
    assert [(log["event"], log["problem"]) for log in logs] == [("discovery.failed", "too many")]


async def test_too_many_devices_do_not_hide_why_single_targets_are_refused(
    tmp_path: Path,
) -> None:
    (tmp_path / "a.json").write_text(json.dumps([{"targets": ["10.0.0.1", "10.0.0.2"]}]))

    async def apply_devices(_devices: Sequence[DeviceConfig]) -> None:
        raise TooManyConnections("too many")

    config = config_on(tmp_path).model_copy(update={"devices": (DeviceConfig(address="10.0.0.1"),)})
    with capture_logs() as logs:
        discovery = Discovery(ExporterMetrics(), apply_devices, asyncio.Lock())
        discovery.follow(config)
        async with asyncio.timeout(10):
            while not logs:
                await asyncio.sleep(0.01)
        await discovery.stop()
    assert [(log["problem"], log["more_problems"]) for log in logs] == [("too many", 1)]


async def test_a_refresh_that_fails_keeps_the_last_good_devices(tmp_path: Path) -> None:
    folder, target, loop = (tmp_path / name for name in ("sd", "target", "loop"))
    target.mkdir()
    folder.symlink_to("target")
    loop.symlink_to("sd")
    file = folder / "a.json"
    file.write_text(json.dumps([{"targets": ["10.0.0.1"]}]))
    config = config_on(tmp_path, "sd/*.json")
    metrics = ExporterMetrics()
    discovery = Discovery(metrics, ignore, asyncio.Lock())
    discovery.follow(config)
    async with asyncio.timeout(10):
        while not discovery.has_refreshed:
            await asyncio.sleep(0.01)
        loop.rename(folder)  # now a link to itself
        while not failures(metrics, str(file)):
            await asyncio.sleep(0.01)
    devices = (await discovery.accept(config)).devices
    await discovery.stop()
    assert [device.address for device in devices] == ["10.0.0.1"]


async def test_a_folder_that_cannot_be_listed_fails_the_refresh_with_the_reason(
    tmp_path: Path,
) -> None:
    looped = tmp_path / "loop"
    looped.symlink_to("loop")
    config = config_on(tmp_path, "loop/*.json")
    problem = f"{looped}: Too many levels of symbolic links"
    with pytest.raises(RefreshFailed) as caught:
        await FileSD(config.file_sd_configs[0]).refresh()
    assert str(caught.value) == problem
    assert await discover_once(config) == (
        config,
        [f"{looped}/*.json: {problem}"],
        {f"{looped}/*.json": 0},
        [],
    )


async def test_has_refreshed_stays_true_when_a_reload_adds_a_source(tmp_path: Path) -> None:
    discovery = Discovery(ExporterMetrics(), ignore, asyncio.Lock())
    discovery.follow(config_on(tmp_path))
    before = discovery.has_refreshed
    async with asyncio.timeout(10):
        while not discovery.has_refreshed:
            await asyncio.sleep(0.01)
    discovery.follow(config_on(tmp_path, "another.json"))
    after = discovery.has_refreshed
    await discovery.stop()
    assert (before, after) == (False, True)


async def test_changed_rules_relabel_the_targets_of_a_file_that_stays_the_same(
    tmp_path: Path,
) -> None:
    file = tmp_path / "a.json"
    file.write_text(json.dumps([{"targets": ["10.0.0.1"], "labels": {"__meta_rack": "7"}}]))
    found: asyncio.Queue[dict[str, str]] = asyncio.Queue()

    async def apply_devices(devices: Sequence[DeviceConfig]) -> None:
        for device in devices:
            found.put_nowait(device.labels)

    discovery = Discovery(ExporterMetrics(), apply_devices, asyncio.Lock())
    async with asyncio.timeout(10):
        discovery.follow(config_on(tmp_path))
        assert await found.get() == {}
        map_labels = {"action": "labelmap", "regex": "__meta_(rack)", "replacement": "${1}"}
        discovery.follow(config_on(tmp_path, relabel_configs=[map_labels]))
        while (labels := await found.get()) == {}:
            pass
        assert labels == {"rack": "7"}
    await discovery.stop()
