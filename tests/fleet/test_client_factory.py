"""Which certificate a device must show: of several pins, the nearest to the device."""

from pathlib import Path
from typing import Any

import pytest

from exporter.config import DeviceConfig, ModuleConfig
from exporter.config.pins import read_pins
from exporter.config.schema import TargetConfig
from exporter.fleet.client_factory import ClientFactory, ModuleClients, read_client_settings

FILE, MODULE, DEVICE, LABEL = (bytes([number]) * 32 for number in range(4))


@pytest.mark.parametrize(
    ("tls", "device", "wanted"),
    [
        ({}, {}, None),
        ({"insecure_skip_verify": True}, {}, None),
        ({"fingerprint_sha256": MODULE}, {}, MODULE),
        ({"fingerprint_sha256": MODULE}, {"fingerprint_sha256": DEVICE}, DEVICE),
        ({"pins_file": "pins"}, {}, FILE),
        ({"pins_file": "pins"}, {"fingerprint_sha256": DEVICE}, DEVICE),
        (
            {},
            {"fingerprint_sha256": DEVICE, "settings": {"__fingerprint_sha256__": LABEL}},
            LABEL,
        ),
    ],
)
def test_the_pin_is_the_one_nearest_to_the_device(
    tls: dict[str, Any], device: dict[str, Any], wanted: bytes | None, tmp_path: Path
) -> None:
    file = tmp_path / "pins"
    file.write_text(f"gate: {FILE.hex()}\n")
    if "pins_file" in tls:
        tls = {"pins_file": str(file)}
    factory = ClientFactory(read_client_settings(ModuleConfig.model_validate({"tls_config": tls})))
    kind = TargetConfig if "settings" in device else DeviceConfig
    entry = kind.model_validate({"address": "gate", **device})
    pin = ModuleClients(factory, read_pins(file)).find_pin(entry)
    assert (None if pin is None else pin.fingerprint) == wanted
