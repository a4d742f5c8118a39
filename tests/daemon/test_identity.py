"""The identity of devices: addresses and serial numbers, and when their certificates end."""

from __future__ import annotations

import re
from pathlib import Path

from exporter.simulator.fleet import build_fleet, serve_fleet
from tests.support.daemon_process import daemon_on

INFO = "axis_ntp_device_info"
NOT_AFTER = "axis_ntp_certificate_not_after_timestamp_seconds"


async def test_devices_have_their_address_serial_number_and_end_of_certificate(
    tmp_path: Path,
) -> None:
    fleet = build_fleet(2, scheme="https", auth="digest")
    async with serve_fleet(fleet) as served:
        config = served.exporter_config(interval="200ms")
        addresses = [device["address"] for device in config["devices"]]
        config["devices"][1]["module"] = "plain"
        config["modules"]["plain"] = {"scheme": "http"}
        async with daemon_on(config, tmp_path) as running:
            found = await running.ready()
            labels = [labels for labels, _ in found.all(INFO)]
            assert [each["address"] for each in labels] == addresses
            assert [each["scheme"] for each in labels] == ["https", "http"]
            [seen, unseen] = [each["serial"] for each in labels]
            assert re.fullmatch("B8A44F[0-9A-F]{6}", seen)
            assert unseen == ""  # it speaks TLS only
            # Like the factory's: "no well-defined expiration date".
            assert found.by_device(NOT_AFTER) == {fleet.devices[0].name: 253402300799}
