"""From a config file to a `Config`, or to every one of its errors with its path."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from exporter.config.errors import ConfigError, Problem, as_lines, keys_of, problems_found
from exporter.config.expect import Expect, Servers
from exporter.config.schema import (
    DEFAULT_MODULE,
    AuthConfig,
    Config,
    DeviceConfig,
    FileSdConfig,
    GlobalConfig,
    HttpSdConfig,
    ModuleConfig,
    TlsConfig,
)
from exporter.config.section import Section
from exporter.config.yaml_loader import InvalidYaml, expand_variables, parse_yaml
from exporter.config.yaml_tree import Tree

_SECTIONS: Final[tuple[type[Section], ...]] = (
    Config,
    GlobalConfig,
    ModuleConfig,
    AuthConfig,
    TlsConfig,
    DeviceConfig,
    Expect,
    Servers,
    FileSdConfig,
    HttpSdConfig,
)
KNOWN_KEYS: Final = keys_of(_SECTIONS)


def load_config(file: Path, environ: Mapping[str, str]) -> Config:
    """Read and check a config file. Raises `ConfigError` with everything that is wrong."""
    return parse_config(read_tree(file), environ, file.parent)


def read_tree(file: Path, *, verbatim: bool = False) -> Tree:
    """A YAML file, parsed as `parse_yaml` does. Raises `ConfigError`."""
    try:
        return parse_yaml(file.read_text("utf-8"), verbatim=verbatim)
    except OSError as problem:
        raise ConfigError([f"{file}: cannot be read: {problem.strerror}"]) from None
    except UnicodeDecodeError:
        raise ConfigError([f"{file}: is not UTF-8 text"]) from None
    except InvalidYaml as problem:
        raise ConfigError([f"{file}: {problem}"]) from None


def parse_config(tree: Tree, environ: Mapping[str, str], directory: Path) -> Config:
    """Check a parsed config whose relative paths start at `directory`. Raises `ConfigError`."""
    if not isinstance(tree, dict):
        raise ConfigError(["the config is empty" if tree is None else "the config is no mapping"])
    problems: list[Problem] = []
    expanded = expand_variables(tree, environ, problems)
    unset = {path for path, _ in problems}
    config: Config | None = None
    try:
        config = Config.model_validate(expanded, context={"directory": directory})
    except ValidationError as invalid:
        found = problems_found(invalid, KNOWN_KEYS)
        problems.extend((path, problem) for path, problem in found if path not in unset)
    problems.extend(_cross_problems(expanded))
    if config is not None and not problems:
        problems.extend(_overlay_problems(config))
    if problems or config is None:
        raise ConfigError(as_lines(problems))
    return config


def problems_of(invalid: ValidationError) -> list[str]:
    """Every error of a validation, as `path: problem`."""
    return as_lines(problems_found(invalid, KNOWN_KEYS))


def _cross_problems(tree: Tree) -> Iterator[Problem]:
    """What only shows across sections; works on the tree so that it is told with the rest."""
    devices = tree.get("devices") if isinstance(tree, dict) else None
    modules = tree.get("modules") if isinstance(tree, dict) else None
    if not isinstance(devices, list):
        return
    known = {DEFAULT_MODULE, *(modules if isinstance(modules, dict) else ())}
    entries = [device if isinstance(device, dict) else {} for device in devices]
    names = [_name(device) for device in entries]
    counts = Counter(name for name in names if name is not None)
    first: dict[str, int] = {}
    for index, (device, name) in enumerate(zip(entries, names, strict=True)):
        module = device.get("module")
        if isinstance(module, str) and module not in known:
            yield f"devices[{index}].module", f"there is no module {module!r}"
        if name is not None and counts[name] > 1 and first.setdefault(name, index) != index:
            where = "name" if "name" in device else "address"
            yield (
                f"devices[{index}].{where}",
                f"{name!r} is already the name of devices[{first[name]}]",
            )


def _overlay_problems(config: Config) -> Iterator[Problem]:
    for index, device in enumerate(config.devices):
        if problem := config.expect(device).problem:
            where = f"devices[{index}].expect"
            yield where, f"with that of module {device.module!r}: {problem}"


def _name(device: dict[str, Any]) -> str | None:
    name = device.get("name", device.get("address"))
    return name if isinstance(name, str) else None
