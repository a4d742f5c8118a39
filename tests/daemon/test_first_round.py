"""The log tells once how the first poll of all devices went."""

import json
from pathlib import Path

from exporter.simulator.fleet import build_fleet, serve_fleet
from tests.support.daemon_process import daemon_on

SD = {
    "global": {"interval": "1s", "timeout": "10s"},
    "file_sd_configs": [{"files": ["devices/*.json"]}],
}


async def test_the_first_round_is_told_with_its_failures_by_reason(tmp_path: Path) -> None:
    fleet = build_fleet(3)
    async with serve_fleet(fleet) as served:
        config = served.exporter_config(interval="1s", timeout="10s")
        gone = [{"address": f"127.0.0.1:{port}", "name": f"gone-{port}"} for port in (1, 2)]
        config["devices"] += gone
        async with daemon_on(config, tmp_path) as running:
            await running.logs("polls.first_round_ended devices=5 answered=3 connect=2")


async def test_devices_that_only_a_source_lists_are_waited_for(tmp_path: Path) -> None:
    folder = tmp_path / "devices"
    folder.mkdir()
    (folder / "a.json").write_text(json.dumps([{"targets": ["127.0.0.1:1"]}]))
    async with daemon_on(SD, tmp_path) as running:
        await running.logs("polls.first_round_ended devices=1 answered=0 connect=1")
        assert "config.no_devices" not in running.text
        started = next(line for line in running.text.splitlines() if "exporter.started" in line)
        assert "devices=" not in started  # not known before the sources were asked


async def test_without_devices_a_warning_comes_after_the_sources_were_asked(
    tmp_path: Path,
) -> None:
    async with daemon_on(SD, tmp_path) as running:
        pattern = tmp_path / "devices" / "*.json"
        await running.logs(f'config.no_devices advice="no file matches {pattern}"')
        assert (await running.get("/-/ready"))[0] == 200
