"""Pins of single devices in the running daemon: from the config, a source and a file."""

import json
from pathlib import Path
from typing import Any

from exporter.simulator.fleet import build_fleet, serve_fleet
from tests.check.fingerprints import fingerprint_at
from tests.daemon.series import UP
from tests.support.daemon_process import SOON_READS_FILES_ANEW, daemon_on


async def test_pins_are_read_again_and_only_devices_with_a_changed_pin_connect_anew(
    tmp_path: Path,
) -> None:
    fleet = build_fleet(3, scheme="https", auth="digest")
    file = tmp_path / "pins.yaml"
    async with serve_fleet(fleet) as served:
        config = served.exporter_config(interval="1s")
        config["modules"]["default"]["tls_config"] = {"pins_file": "pins.yaml"}
        first, second, _third = served.addresses
        true = {address: await fingerprint_at(address) for address in served.addresses}
        file.write_text(f"'{first}': {true[first]}\n'{second}': {'ab' * 32}\n")
        names = [device.name for device in fleet.devices]
        async with daemon_on(config, tmp_path, patch=SOON_READS_FILES_ANEW) as running:
            await running.until(
                lambda now: now.by_device(UP) == dict(zip(names, (1, 0, 0), strict=True))
            )
            connections = fleet.devices[0].requests.connections
            assert [device.requests.total for device in fleet.devices[1:]] == [0, 0]
            file.write_text("".join(f"'{each}': {pin}\n" for each, pin in true.items()))
            await running.until(lambda now: set(now.by_device(UP).values()) == {1})
            assert fleet.devices[0].requests.connections == connections
            file.write_text("broken")
            await running.logs("event=config.file_unusable")
            file.write_text(f"'{first}': {true[first]}\n'{second}': {true[second]}\n")
            await running.until(lambda now: now.by_device(UP)[names[2]] == 0)
    assert "event=config.files_read added=0 removed=0 changed=2" in running.text
    shown, pinned = true[second], "ab" * 32
    assert f"it shows {shown}, and {pinned} is pinned; if" in running.text
    assert "reason=tls" in running.text


async def test_a_device_and_a_target_may_have_pins_of_their_own(tmp_path: Path) -> None:
    fleet = build_fleet(4, scheme="https", auth="digest")
    async with serve_fleet(fleet) as served:
        pins = [await fingerprint_at(address) for address in served.addresses]
        (first, second, *others), wrong = served.addresses, "ab" * 32
        account = served.exporter_config()["modules"]["default"]["auth"]
        config: dict[str, Any] = {
            "global": {"interval": "1s"},
            "modules": {
                "default": {"auth": account},
                "one": {"auth": account, "tls_config": {"fingerprint_sha256": wrong}},
            },
            "devices": [
                {"address": first, "name": "a", "module": "one", "fingerprint_sha256": pins[0]},
                {"address": second, "name": "b", "module": "one", "fingerprint_sha256": wrong},
            ],
            "file_sd_configs": [{"files": ["*.json"]}],
        }
        targets = [
            {"targets": [address], "labels": {"device": name, "__fingerprint_sha256__": pin}}
            for address, name, pin in zip(others, "cd", (pins[2], wrong), strict=True)
        ]
        (tmp_path / "targets.json").write_text(json.dumps(targets))
        async with daemon_on(config, tmp_path) as running:
            found = await running.until(
                lambda now: now.by_device(UP) == {"a": 1, "b": 0, "c": 1, "d": 0}
            )
        assert [device.requests.total > 0 for device in fleet.devices] == [
            True,
            False,
            True,
            False,
        ]
    assert found.by_device(UP).keys() == {*"abcd"}
    assert f"set the device's fingerprint_sha256: {pins[1]}" in running.text
    assert f"set the label __fingerprint_sha256__: {pins[3]}" in running.text
