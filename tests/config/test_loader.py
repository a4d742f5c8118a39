"""What a config file becomes."""

import re
from pathlib import Path

import pytest
import yaml

from exporter.config import ConfigError, dump_redacted, load_config, parse_config
from exporter.config.files import read_credentials
from exporter.config.schema import Config
from tests.config.documents import load, problems
from tests.support.config_keys import keys_of

FINGERPRINT = ":".join(["ab"] * 32)


def test_the_defaults_are_those_of_the_contract() -> None:
    config = load("devices: [{address: 192.168.0.90}]")
    assert config.global_.interval == 60
    assert config.global_.timeout == 10
    assert config.global_.concurrency == 1000
    assert config.module("default").scheme == "https"
    assert config.module("default").auth.scheme == "auto"
    assert config.devices[0].label == "192.168.0.90"


def test_a_whole_config_is_read() -> None:
    config = load(
        f"""
        global: {{interval: 30s, timeout: 5s, concurrency: 8}}
        modules:
          default: {{}}
          old:
            scheme: http
            auth: {{scheme: digest, username: root, password: pass}}
            interval: 5m
            timeout: 1m30s
          pinned:
            tls_config: {{fingerprint_sha256: "{FINGERPRINT}", server_name: x, min_version: TLS10}}
        devices:
          - {{address: "[::1]:8080", name: "lobby \\"1/2\\"", module: old, labels: {{floor: 03}}}}
        """
    )
    old, pinned = config.module("old"), config.module("pinned")
    assert (old.scheme, old.interval, old.timeout) == ("http", 300, 90)
    assert read_credentials(old.auth) is not None
    assert pinned.tls_config.fingerprint_sha256 == bytes([0xAB] * 32)
    assert config.devices[0].labels == {"floor": "03"}
    assert config.devices[0].label == 'lobby "1/2"'


def test_a_devices_expectation_is_laid_over_its_modules() -> None:
    config = load(
        """
        modules: {default: {expect: {enabled: true, minpoll: 6, static_servers: [a, b]}}}
        devices: [{address: d, expect: {minpoll: 4}}, {address: e}]
        """
    )
    first, second = (config.expect(device).named() for device in config.devices)
    assert first == second | {"minpoll": 4}
    assert (second["enabled"], second["minpoll"]) == (True, 6)


@pytest.mark.parametrize(
    "address",
    ["192.168.0.90", "camera.example", "camera.example:443", "[::1]", "[fe80::1]:80", "::1", "a_b"],
)
def test_an_address_is_host_or_host_and_port(address: str) -> None:
    assert load(f"devices: [{{address: '{address}'}}]").devices[0].address == address


def test_a_variable_that_is_not_utf_8_is_an_error() -> None:
    found = problems("devices: [{address: a, labels: {site: '${BAD}'}}]", BAD="a\udcffb")
    assert found == ["devices[0].labels.site: the environment variable BAD is not UTF-8 text"]


@pytest.mark.parametrize(
    "pattern", ["**.yaml", "a*.json", "sd/*.*.yml", "a.JSON", "b/*.YML", "*.YAML", "a?[0-9].json"]
)
def test_file_patterns_are_those_that_prometheus_accepts(pattern: str) -> None:
    config = load(f"file_sd_configs: [{{files: ['{pattern}']}}]", Path("/x"))
    assert config.file_sd_configs[0].files == (Path("/x", pattern),)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://a/b?site=x&token=t0k3n", "http://a/b?site=x&token=<secret>"),
        ("http://a/b?api-Key=t0k3n&x=y#z", "http://a/b?api-Key=<secret>&x=y#z"),
        ("http://a/b?x_auth=t0k3n;y=t0k", "http://a/b?x_auth=<secret>;y=t0k"),
        ("http://a/token=1?site=x", "http://a/token=1?site=x"),
    ],
)
def test_secrets_in_the_query_of_a_url_are_redacted(url: str, shown: str) -> None:
    config = load(f"http_sd_configs: [{{url: '{url}'}}]")
    assert config.http_sd_configs[0].url == url
    assert f"url: {shown}\n" in dump_redacted(config)


def test_a_config_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    missing = tmp_path / "config.yaml"
    with pytest.raises(ConfigError, match="cannot be read: No such file or directory"):
        load_config(missing, {})
    missing.write_bytes(b"a: \xff")
    with pytest.raises(ConfigError, match="is not UTF-8 text"):
        load_config(missing, {})
    missing.write_text("a: [")
    with pytest.raises(ConfigError, match=r"config\.yaml:2:1: "):
        load_config(missing, {})


EXAMPLE = Path(__file__).parents[2] / "config.example.yaml"


def test_the_example_config_loads() -> None:
    assert len(load_config(EXAMPLE, {"AXIS_PASSWORD": "x"}).devices) == 3


def test_the_example_config_shows_every_key() -> None:
    text = EXAMPLE.read_text()
    missing = [key for key in keys_of(Config) if not re.search(rf"\b{key}:", text)]
    assert missing == []


def test_devices_without_a_module_share_one_default() -> None:
    config = parse_config({"devices": [{"address": "a"}, {"address": "b"}]}, {}, Path())
    assert config.module("default") is config.module("default")
    assert config.expect(config.devices[0]) == config.expect(config.devices[1])


def test_the_errors_of_a_file_carry_its_name_and_their_lines(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(
        """# a comment
global:
  interval: soon

modules:
  a: {scheme: ftp}
devices:
  - name: x
  - address: d
    labels:
      reason: y
    auth: {}
"""
    )
    with pytest.raises(ConfigError) as caught:
        load_config(file, {})
    places = [problem.partition(": ")[0] for problem in caught.value.problems]
    assert places == [f"{file}:{line}" for line in (3, 6, 8, 11, 12)]
    assert caught.value.problems[2] == f"{file}:8: devices[0].address: is missing"


@pytest.mark.parametrize("devices", [0, 1, 49, 50, 51, 101])
def test_a_config_that_is_dumped_in_steps_is_the_same_as_in_one(devices: int) -> None:
    labels = {"note": "a\n\ndevices: []\n- b"}
    listed = [{"address": f"10.0.0.1:{n}", "labels": labels} for n in range(1, devices + 1)]
    sources = [{"files": ["a.yaml"]}, {"files": ["b.yaml"]}]
    config = parse_config({"devices": listed, "file_sd_configs": sources}, {}, Path())
    document = config.model_dump(mode="json", by_alias=True, exclude_none=True)
    whole = yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
    assert dump_redacted(config) == whole
