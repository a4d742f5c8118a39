"""The text of the discovered devices by source."""

from __future__ import annotations

import json

import yaml

from exporter.config import DeviceConfig
from exporter.discovery.listing import dump_discovered, list_by_source
from exporter.discovery.target_groups import Source, read_groups

ONE, OTHER = Source("file", "a: b.yaml"), Source("http", "https://sd.example/?token=<secret>")
EMPTY = Source("file", "empty.yaml")


def device(address: str) -> DeviceConfig:
    return DeviceConfig(address=address, labels={"site": "hq"})


def test_devices_in_force_are_listed_by_source() -> None:
    mine, same_elsewhere, refused = device("192.0.2.1"), device("192.0.2.1"), device("192.0.2.2")
    found = {ONE: (mine, refused), OTHER: (same_elsewhere,), EMPTY: ()}
    listing = list_by_source((mine,), found)
    assert listing == [mine, ONE, mine, refused, OTHER, same_elsewhere, EMPTY]
    [source] = yaml.safe_load(dump_discovered(listing))["discovered"]
    assert (source["mechanism"], source["source"]) == ("file", "a: b.yaml")
    assert [(each["address"], each["labels"]) for each in source["devices"]] == [
        ("192.0.2.1", {"site": "hq"})
    ]


def test_the_settings_of_a_target_are_shown_as_its_labels() -> None:
    labels = {"site": "hq", "__scheme__": "http", "__scrape_interval__": "90s"}
    document = [{"targets": ["a"], "labels": {**labels, "__meta_x": "y"}}, {"targets": ["b"]}]
    devices, _ = read_groups(json.dumps(document).encode(), is_json=True)
    [source] = yaml.safe_load(dump_discovered(list_by_source(devices, {ONE: devices})))[
        "discovered"
    ]
    shown = [each["labels"] for each in source["devices"]]
    assert shown == [{**labels, "__scrape_interval__": "1m30s"}, {}]
    assert "settings" not in source["devices"][0]


def test_many_devices_of_many_sources_are_all_listed() -> None:
    found = {
        Source("file", f"{s}.yaml"): tuple(device(f"10.0.{s}.{n}") for n in range(130))
        for s in range(3)
    }
    accepted = [each for devices in found.values() for each in devices]
    shown = yaml.safe_load(dump_discovered(list_by_source(accepted, found)))["discovered"]
    addresses = [each["address"] for source in shown for each in source["devices"]]
    assert addresses == [each.address for each in accepted]


def test_without_discovered_devices_there_is_no_text() -> None:
    assert not dump_discovered(list_by_source((), {EMPTY: ()}))
