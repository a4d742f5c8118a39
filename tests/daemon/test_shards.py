"""Several daemons on one config file."""

from pathlib import Path

from exporter.simulator.fleet import build_fleet, serve_fleet
from tests.daemon.series import the_one
from tests.support.daemon_process import daemon_on


async def test_three_instances_poll_every_device_of_one_config_once(tmp_path: Path) -> None:
    fleet = build_fleet(30)
    shares = []
    async with serve_fleet(fleet) as served:
        config = served.exporter_config(interval="500ms")
        for index in range(3):
            async with daemon_on(config, tmp_path, f"--poll.shard={index}/3") as running:
                found = await running.ready()
            shares.append(set(found.by_device("axis_ntp_up")))
            assert the_one(found, "axis_ntp_exporter_devices") == len(shares[-1])
            assert f"devices={len(shares[-1])} shard={index}/3" in running.text
    assert set.union(*shares) == {device.name for device in fleet.devices}
    assert sum(map(len, shares)) == 30


async def test_a_shard_without_devices_logs_it_and_runs(tmp_path: Path) -> None:
    config = {
        "global": {"interval": "1s", "timeout": "10s"},
        "devices": [{"address": "127.0.0.1:1", "name": "only"}],
    }
    logs = []
    for index in range(2):
        async with daemon_on(config, tmp_path, f"--poll.shard={index}/2") as running:
            owned = the_one(await running.ready(), "axis_ntp_exporter_devices")
            await running.logs("polls.first_round_ended" if owned else "config.no_devices")
            assert (await running.get("/-/healthy"))[0] == 200
        logs.append(running.text)
    assert sorted("config.no_devices" in log for log in logs) == [False, True]
    assert sorted("none of the devices belongs to shard" in log for log in logs) == [False, True]
