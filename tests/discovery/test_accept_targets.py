"""Who of the discovered devices gets in."""

from pathlib import Path

from exporter.config import DeviceConfig, parse_config
from exporter.discovery.admission import Source, accept_targets

CONFIG = parse_config({"devices": [{"address": "10.0.0.1", "name": "lobby"}]}, {}, Path())
FIRST, SECOND = Source("file", "a.yaml"), Source("http", "http://sd.example")


def entry(address: str, **more: str) -> DeviceConfig:
    return DeviceConfig.model_validate({"address": address, **more})


def test_the_config_comes_first_then_the_sources_in_their_order() -> None:
    found = {
        FIRST: (entry("a", name="gate"), entry("b", name="lobby")),
        SECOND: (entry("c", name="gate"), entry("d")),
    }
    admission = accept_targets(CONFIG, found)
    assert [each.address for each in admission.entries] == ["a", "d"]
    assert admission.problems == {
        FIRST: ("target 'b': 'lobby' is already the name of one of the config",),
        SECOND: ("target 'c': 'gate' is already the name of one of a.yaml",),
    }


def test_an_unknown_module_keeps_a_target_out() -> None:
    admission = accept_targets(CONFIG, {FIRST: (entry("a", module="axis"),)})
    assert admission.entries == ()
    assert admission.problems == {FIRST: ("target 'a': there is no module 'axis'",)}


def test_a_target_that_is_listed_twice_gets_in_once() -> None:
    admission = accept_targets(CONFIG, {FIRST: (entry("a"), entry("a"))})
    assert len(admission.entries) == 1
    assert len(admission.problems[FIRST]) == 1
