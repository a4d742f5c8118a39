"""Targets for files of the host: configs, web-configs and lists of targets."""

import atexit
import json
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

from exporter.config import Config, dump_redacted
from exporter.config.errors import ConfigError
from exporter.config.loader import load_config, parse_config
from exporter.config.yaml_loader import YamlError, find_lines, parse_yaml
from exporter.discovery.target_groups import Targets, read_groups
from exporter.system.addresses import split_address
from exporter.web.web_config.schema import files_named_in, load_web_config
from tests.fuzz.seeds import CONFIGS, GROUPS_JSON, GROUPS_YAML, HASH, PASSWORD, WEB_CONFIGS
from tests.fuzz.target import FuzzTarget, check_all, check_text

ENVIRON: Final = {"AXIS_PASSWORD": PASSWORD}
_LONGEST_PROBLEM: Final = 30_000
"""Errors quote keys and names, with escapes. An input has 4 KiB at most."""


@cache
def _folder() -> Path:
    folder = tempfile.mkdtemp(prefix="axis-fuzz-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def config(data: bytes) -> None:
    file = _folder() / "config.yaml"
    file.write_bytes(data)
    try:
        loaded = load_config(file, ENVIRON)
    except ConfigError as error:
        _check_problems(error.problems, f"{file}:", PASSWORD)
        raise
    _check_dump(loaded)


def _check_problems(problems: list[str], start: str, secret: str) -> None:
    assert problems
    for line in problems:
        assert line.startswith(start), line
        assert secret not in line, "a secret is in an error"


def _check_dump(loaded: Config) -> None:
    """`/config` shows no secret, and what it shows is this config again."""
    dump = dump_redacted(loaded)
    assert PASSWORD not in dump
    assert PASSWORD not in repr(loaded)
    tree = parse_yaml(dump.replace("$", "$$"))
    again = parse_config(tree, {}, Path("/"))
    assert dump_redacted(again) == dump


def yaml_tree(data: bytes) -> None:
    """A tree that PyYAML writes reads back the same, and every path has a line."""
    text = data.decode(errors="replace")
    tree = parse_yaml(text)
    parse_yaml(text, verbatim=True)
    last = 1 + sum(map(text.count, "\n\r\x85\u2028\u2029"))
    assert all(1 <= line <= last for line in find_lines(text).values())
    assert parse_yaml(yaml.safe_dump(tree, allow_unicode=True)) == tree


def web_config(data: bytes) -> None:
    file = _folder() / "web.yaml"
    file.write_bytes(data)
    for named in files_named_in(file):
        assert isinstance(named, Path)
    try:
        loaded = load_web_config(file)
    except ConfigError as error:
        _check_problems(error.problems, f"{file}:", HASH)
        raise
    assert HASH not in repr(loaded)
    check_text(str(loaded))
    check_all(
        f"{name}: {value}" for name, value in loaded.http_server_config.headers.by_name().items()
    )


def groups_json(data: bytes) -> None:
    _check_targets(read_groups(data, is_json=True))
    json.loads(data.decode("utf-8-sig"))  # whatever we read is JSON


def groups_yaml(data: bytes) -> None:
    _check_targets(read_groups(data, is_json=False))


def _check_targets(targets: Targets) -> None:
    check_all(targets.problems, _LONGEST_PROBLEM)
    groups: list[dict[str, Any]] = []
    for device in targets.devices:
        split_address(device.address)
        assert device.label.strip()
        assert not any(name.startswith("__") for name in device.labels)
        labels = {**device.labels, "device": device.name or "", "module": device.module}
        groups.append({"targets": [device.address], "labels": labels})
    again = read_groups(json.dumps(groups).encode(), is_json=True)
    assert again.devices == targets.devices
    assert again.problems == ()


FILE_TARGETS: Final = (
    FuzzTarget("config", config, CONFIGS, (ConfigError,), _LONGEST_PROBLEM),
    FuzzTarget("yaml", yaml_tree, CONFIGS, (YamlError,)),
    FuzzTarget("web-config", web_config, WEB_CONFIGS, (ConfigError,), _LONGEST_PROBLEM),
    FuzzTarget("groups-json", groups_json, GROUPS_JSON, (ValueError,), _LONGEST_PROBLEM),
    FuzzTarget("groups-yaml", groups_yaml, GROUPS_YAML, (ValueError, YamlError), _LONGEST_PROBLEM),
)
