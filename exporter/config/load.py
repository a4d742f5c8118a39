"""From a config file to a `Config`, or to every one of its errors with its path."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from exporter.config.expect import Expect, Servers
from exporter.config.model import (
    DEFAULT_MODULE,
    Auth,
    Config,
    Device,
    FileSd,
    Global,
    HttpSd,
    Module,
    Tls,
)
from exporter.config.section import Section
from exporter.config.text import NotYaml, Tree, expand_variables, parse_yaml

_SECTIONS: Final[tuple[type[Section], ...]] = (
    Config,
    Global,
    Module,
    Auth,
    Tls,
    Device,
    Expect,
    Servers,
    FileSd,
    HttpSd,
)
KNOWN_KEYS: Final = sorted(
    {field.alias or name for section in _SECTIONS for name, field in section.model_fields.items()}
)


class ConfigError(Exception):
    """A config that cannot be used; `problems` holds a line `path: problem` for each error."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def load_config(file: Path, environ: Mapping[str, str]) -> Config:
    """Read and check a config file. Raises `ConfigError` with everything that is wrong."""
    try:
        document = file.read_text("utf-8")
    except OSError as problem:
        raise ConfigError([f"{file}: cannot be read: {problem.strerror}"]) from None
    except UnicodeDecodeError:
        raise ConfigError([f"{file}: is not UTF-8 text"]) from None
    try:
        tree = parse_yaml(document)
    except NotYaml as problem:
        raise ConfigError([f"{file}: {problem}"]) from None
    return parse_config(tree, environ, file.parent)


def parse_config(tree: Tree, environ: Mapping[str, str], directory: Path) -> Config:
    """Check a parsed config whose relative paths start at `directory`. Raises `ConfigError`."""
    if not isinstance(tree, dict):
        raise ConfigError(["the config is empty" if tree is None else "the config is no mapping"])
    problems: list[tuple[str, str]] = []
    expanded = expand_variables(tree, environ, problems)
    unset = {path for path, _ in problems}
    config: Config | None = None
    try:
        config = Config.model_validate(expanded, context={"directory": directory})
    except ValidationError as invalid:
        found = (_problem(error) for error in invalid.errors(include_url=False))
        problems.extend((path, problem) for path, problem in found if path not in unset)
    problems.extend(_cross_problems(expanded))
    if config is not None and not problems:
        problems.extend(_overlay_problems(config))
    if problems or config is None:
        raise ConfigError([f"{path}: {problem}" if path else problem for path, problem in problems])
    return config


def problems_of(invalid: ValidationError) -> list[str]:
    """Every error of a validation, as `path: problem`."""
    found = (_problem(error) for error in invalid.errors(include_url=False))
    return [f"{path}: {problem}" if path else problem for path, problem in found]


def _problem(error: ErrorDetails) -> tuple[str, str]:
    location = error["loc"]
    return _path(location), _message(error)


def _path(location: tuple[int | str, ...]) -> str:
    """`("devices", 3, "labels", "site")` as `devices[3].labels.site`."""
    # pydantic marks that a key itself is wrong with a last part "[key]".
    named = location[:-1] if location[-1:] == ("[key]",) else location
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in named)
    return "".join(parts).lstrip(".")


_SHAPES: Final = {
    "model_type": "must be a mapping",
    "model_attributes_type": "must be a mapping",
    "dict_type": "must be a mapping",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "string_type": "must be a single text",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "float_type": "must be a duration such as 30s",
    "missing": "is missing",
}


def _message(error: ErrorDetails) -> str:
    kind = error["type"]
    if kind == "value_error":
        return str(error["ctx"]["error"])
    if kind == "extra_forbidden":
        return f"unknown key{_suggestion(str(error['loc'][-1]))}"
    if kind == "literal_error":
        return f"must be one of {error['ctx']['expected']}"
    if kind == "greater_than_equal":
        return f"must be at least {error['ctx']['ge']}"
    if kind == "less_than_equal":
        return f"must be at most {error['ctx']['le']}"
    return _SHAPES.get(kind, error["msg"])


def _suggestion(key: str) -> str:
    close = difflib.get_close_matches(key, KNOWN_KEYS, n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def _cross_problems(tree: Tree) -> Iterator[tuple[str, str]]:
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


def _overlay_problems(config: Config) -> Iterator[tuple[str, str]]:
    for index, device in enumerate(config.devices):
        if problem := config.expect(device).problem:
            where = f"devices[{index}].expect"
            yield where, f"with that of module {device.module!r}: {problem}"


def _name(device: dict[str, Any]) -> str | None:
    name = device.get("name", device.get("address"))
    return name if isinstance(name, str) else None
