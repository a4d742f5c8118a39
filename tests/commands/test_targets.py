"""Which devices a command works on, and the errors if there are none."""

import argparse
import time
from typing import Any

import pytest

from exporter.commands.targets import UsageError, add_selection, select_devices, selector
from exporter.config import Config

CONFIG = Config.model_validate(
    {
        "devices": [
            {"address": "192.0.2.1", "name": "lobby", "labels": {"site": "hq", "floor": "1"}},
            {"address": "192.0.2.2", "name": "gate", "labels": {"site": "hq"}},
            {"address": "192.0.2.3", "labels": {"site": "shop"}},
            {"address": "192.0.2.4", "name": "192.0.2.1", "labels": {}},
            {"address": "192.0.2.5", "name": 'Tür "1" {x}/y\n[b]', "labels": {}},
            {"address": "192.0.2.5", "name": "same address"},
        ]
    }
)


def select(*words: str) -> list[str]:
    parser = argparse.ArgumentParser()
    add_selection(parser)
    arguments = parser.parse_intermixed_args(words)
    devices = select_devices(CONFIG, arguments.devices, arguments.selectors)
    return [device.label for device in devices]


EVERY = ["lobby", "gate", "192.0.2.3", "192.0.2.1", 'Tür "1" {x}/y\n[b]', "same address"]


@pytest.mark.parametrize(
    ("words", "labels"),
    [
        ([], EVERY),
        (["lobby"], ["lobby"]),
        (["gate", "lobby", "gate"], ["lobby", "gate"]),
        (["192.0.2.2"], ["gate"]),
        (["192.0.2.3"], ["192.0.2.3"]),
        (["192.0.2.1"], ["192.0.2.1"]),  # names take precedence over addresses
        (["192.0.2.5"], EVERY[-2:]),
        (['Tür "1" {x}/y\n[b]'], ['Tür "1" {x}/y\n[b]']),
        (["--site=hq"], ["lobby", "gate"]),
        (["--site", "hq", "--selector", "floor=1"], ["lobby"]),
        (["--selector=site=hq", "--selector=floor="], ["gate"]),
        (["--selector=device=gate"], ["gate"]),
        (["lobby", "--site=hq"], ["lobby"]),
        (["lobby", "--site=hq", "gate"], ["lobby", "gate"]),
        (["LOBBY"], ["lobby"]),
        (["l*"], ["lobby"]),
        (["L*", "g?te"], ["lobby", "gate"]),
        (["[a-h]ate"], ["gate"]),
        (["TÜR*"], ['Tür "1" {x}/y\n[b]']),
        (["192.0.2.[35]"], ["192.0.2.3"]),  # names take precedence over addresses
        (["192.0.2.[25]"], ["gate", 'Tür "1" {x}/y\n[b]', "same address"]),
        (["*"], EVERY),
        (["*", "--site=hq"], ["lobby", "gate"]),  # a pattern selects, a name demands
    ],
)
def test_devices_are_selected_by_name_address_and_label(
    words: list[str], labels: list[str]
) -> None:
    assert select(*words) == labels


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["lobb"], "no device has the name or address 'lobb' (did you mean 'lobby'?)"),
        (["lobby", "x\ny"], r"no device has the name or address 'x\\ny'"),
        (
            ["192.0.2.2:80"],
            "no device has the name or address '192.0.2.2:80' (did you mean '192.0.2.2'?)",
        ),
        (["192.0.2.6"], "no device has the name or address '192.0.2.6'"),
        (["192.0.2.22:80"], "no device has the name or address '192.0.2.22:80'"),
        (["https://192.0.2.6/"], "no device has the name or address 'https://192.0.2.6/'"),
        (["192.0.2.3x"], "no device has the name or address '192.0.2.3x'"),
        (["cam-*"], "no device has a name or address like 'cam-*'"),
        (["[z-a]x", "lobby"], "no device has a name or address like '[z-a]x'"),
        (["*", "--site=HQ"], "no device matches site=HQ; known values: hq, shop"),
        (["l*", "gate", "--selector=floor=1"], "device 'gate' does not match floor=1"),
        (["--site=HQ"], "no device matches site=HQ; known values: hq, shop"),
        (["--selector=sit=hq"], "no device matches sit=hq: no device has a label 'sit'"),
        (["--site=hq", "--site=shop"], "no device matches site=hq and site=shop"),
        (["lobby", "gate", "--selector=floor=1"], "device 'gate' does not match floor=1"),
        (["lobby", "--site=shop"], "device 'lobby' does not match site=shop"),
    ],
)
def test_a_selection_without_devices_is_a_usage_error(words: list[str], problem: str) -> None:
    with pytest.raises(UsageError) as caught:
        select(*words)
    assert str(caught.value) == problem


def test_a_config_without_devices_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="the config has no devices"):
        select_devices(Config(), [], [])


def test_an_error_lists_only_the_first_values_of_a_label() -> None:
    devices = [{"address": f"192.0.2.{n}", "labels": {"site": f"s{n}"}} for n in range(10)]
    config: Any = Config.model_validate({"devices": devices})
    with pytest.raises(UsageError, match="known values: s0, s1, s2, s3, s4, s5, s6, s7, …"):
        select_devices(config, [], [("site", "x")])


@pytest.mark.parametrize("text", ["", "site", "=hq"])
def test_an_invalid_selector_is_rejected(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is not LABEL=VALUE"):
        selector(text)


def test_a_selector_value_may_contain_an_equals_sign() -> None:
    assert selector("note=a=b") == ("note", "a=b")


CAMERAS = Config.model_validate(
    {
        "devices": [
            {"address": f"192.0.2.{n}", "name": name}
            for n, name in enumerate(("Cam-1", "cam-1", "CAM-2", "cam*", "[x]"), 1)
        ]
    }
)


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("cam-1", ["cam-1"]),
        ("CAM-1", ["Cam-1", "cam-1"]),
        ("cam-2", ["CAM-2"]),
        ("cam*", ["cam*"]),  # a device's own name comes before a pattern
        ("[x]", ["[x]"]),
        ("cam-*", ["cam-1"]),
        ("cAm-*", ["Cam-1", "cam-1", "CAM-2"]),
        ("192.0.2.?", ["Cam-1", "cam-1", "CAM-2", "cam*", "[x]"]),
    ],
)
def test_case_does_not_count_where_nothing_matches_exactly(name: str, labels: list[str]) -> None:
    assert [device.label for device in select_devices(CAMERAS, [name], [])] == labels


@pytest.mark.parametrize("part", ["*a", "?*", "*[a-z]", "*", "[", "[!", "*?a"])
@pytest.mark.parametrize("length", [500, 100_000])
def test_no_pattern_takes_long(part: str, length: int) -> None:
    devices = [{"address": f"192.0.2.{n}", "name": "a" * 490 + f"{n}"} for n in range(100)]
    config = Config.model_validate({"devices": devices})
    pattern = (part * length)[: length - 1] + "b"

    def cost() -> float:
        began = time.process_time()
        with pytest.raises(UsageError):
            select_devices(config, [pattern], [])
        return time.process_time() - began

    assert min(cost() for _ in range(3)) < 0.1
