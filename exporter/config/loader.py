"""Loads a config file as a `Config`, or raises all of its errors, each with its path."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any, Final, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from exporter.config.errors import (
    MAX_PROBLEMS,
    ConfigError,
    ModuleNames,
    Problem,
    as_lines,
    as_path,
    first_problems,
    validation_problems,
)
from exporter.config.files import check_files, check_source_files
from exporter.config.schema import (
    DEFAULT_MODULE,
    AuthConfig,
    Config,
    DeviceConfig,
    HttpSdConfig,
    ModuleConfig,
)
from exporter.config.tls import DeviceTlsConfig
from exporter.config.yaml_loader import (
    Tree,
    YamlError,
    count_values,
    expand_variables,
    find_lines,
    parse_yaml,
)
from exporter.system.files import read_regular
from exporter.system.threads import computing

_KINDS: Final[Mapping[str, type]] = {"modules": dict, "devices": list}
"""The sections that are as large as the fleet."""

MAX_ENTRIES: Final = 100_000
"""Devices, and modules. An exporter polls half as many devices."""

MAX_PART_VALUES: Final = 10_000
"""Values of one module or device, and of all other sections together."""

_DUMPED_PER_STEP: Final = 50

S = TypeVar("S", bound=BaseModel)
T = TypeVar("T")


def load_config(file: Path, environ: Mapping[str, str]) -> Config:
    """Reads and validates a config file. Raises `ConfigError` with every problem and its line.

    The files that a valid config names are not read: `check_files` and the makers of clients do.
    """
    config = load_document(file, lambda tree: parse_config(tree, environ, file.parent))
    config.note_source(file)
    return config


def load_document(file: Path, parse: Callable[[Tree], T], *, verbatim: bool = False) -> T:
    """Return what `parse` makes of the tree of a YAML file.

    Raises `ConfigError` with `file:line: ` before each problem, also those that `parse` raises.
    """
    text = _read_text(file)
    tree = _parse(file, text, verbatim=verbatim)
    try:
        return parse(tree)
    except ConfigError as error:
        raise error.located(file, _find_lines(text)) from None


def file_errors(problems: Iterable[Problem], source: Path | None) -> ConfigError:
    """Return the error for files that a valid config names; `source` is the file it is from.

    The lines are read from it anew: only errors need them.
    """
    listed = list(problems)
    error = ConfigError(as_lines(listed), [path for path, _ in listed])
    if source is None:
        return error
    try:
        return error.located(source, _find_lines(_read_text(source)))
    except (ConfigError, yaml.YAMLError):
        return error  # the file has been changed since


def read_tree(file: Path, *, verbatim: bool = False) -> Tree:
    """Return the tree of a YAML file, as `parse_yaml` does. Raises `ConfigError`."""
    return _parse(file, _read_text(file), verbatim=verbatim)


_find_lines: Final = computing()(find_lines)


@computing()
def _parse(file: Path, text: str, *, verbatim: bool = False) -> Tree:
    try:
        return parse_yaml(text, verbatim=verbatim)
    except YamlError as error:
        file_and_place = f"{file}:{error.place}" if error.place else f"{file}"
        raise ConfigError([f"{file_and_place}: {error.problem}"]) from None


def _read_text(file: Path) -> str:
    try:
        return read_regular(file).decode("utf-8-sig")
    except OSError as error:
        raise ConfigError([f"{file}: cannot be read: {error.strerror}"]) from None
    except UnicodeDecodeError:
        raise ConfigError([f"{file}: is not UTF-8 text"]) from None


def parse_config(tree: Tree, environ: Mapping[str, str], directory: Path) -> Config:
    """Validates a tree whose relative paths start at `directory`. Raises `ConfigError`."""
    if not isinstance(tree, dict):
        raise ConfigError([f"the config is {'empty' if tree is None else 'not a mapping'}"], [""])
    if too_long := [
        (key, f"has more than {MAX_ENTRIES:,} entries, which is the limit")
        for key, kind in _KINDS.items()
        if isinstance(tree.get(key), kind) and len(tree[key]) > MAX_ENTRIES
    ]:
        raise ConfigError(as_lines(too_long), [path for path, _ in too_long])
    unexpanded: list[Problem] = []
    expanded: Any = _expand(tree, environ, unexpanded)
    config, found = _validate(expanded, directory)
    if config is None or unexpanded or found:
        # No client will be made from this config, so check its files here.
        found += check_files(_modules_with_files(expanded, directory))
        found += check_source_files(_valid_sources(expanded, directory))
        paths = {path for path, _ in unexpanded}
        found = [(path, problem) for path, problem in found if path not in paths]
        shown = first_problems([*unexpanded, *found])
        raise ConfigError(as_lines(shown), [path for path, _ in shown])
    return config


_expand: Final = computing()(expand_variables)


@computing()
def _validate(tree: dict[str, Any], directory: Path) -> tuple[Config | None, list[Problem]]:
    parts = _SectionValidator(directory)
    config, found = parts.validate_all(tree), parts.problems
    found += islice(_cross_problems(tree), MAX_PROBLEMS + 1)
    if config is not None and not found:
        found += islice(_overlay_problems(config), MAX_PROBLEMS + 1)
    return config, found


class _SectionValidator:
    """Validates a config in parts, and gathers their problems; not many more than `MAX_PROBLEMS`.

    pydantic finds all errors of what it gets in one call, during which no other thread can run.
    """

    def __init__(self, directory: Path) -> None:
        self._context = {"directory": directory}
        self.problems: list[Problem] = []

    def validate_all(self, tree: dict[str, Any]) -> Config | None:
        """Validate each module and device, and the rest; `None` if there are problems."""
        parts = {key: tree[key] for key, kind in _KINDS.items() if type(tree.get(key)) is kind}
        rest = {key: value for key, value in tree.items() if key not in parts}
        config = self._validate(Config, rest)
        modules = {
            name: self._validate(ModuleConfig, module, "modules", name)
            for name, module in parts.get("modules", {}).items()
        }
        devices = tuple(
            self._validate(DeviceConfig, device, "devices", index)
            for index, device in enumerate(parts.get("devices", ()))
        )
        if config is None or self.problems:
            return None
        modules.setdefault(DEFAULT_MODULE, config.module(DEFAULT_MODULE))
        return config.model_copy(update={"modules": modules, "devices": devices})

    def _validate(self, section: type[S], part: Tree, *location: str | int) -> S | None:
        if len(self.problems) > MAX_PROBLEMS:
            return None
        if count_values(part) > MAX_PART_VALUES:
            what = "has" if location else "the config, without its modules and devices, has"
            problem = f"{what} more than {MAX_PART_VALUES:,} values, which is the limit"
            self.problems.append((as_path(location), problem))
            return None
        try:
            return section.model_validate(part, context=self._context)
        except ValidationError as error:
            self.problems += validation_problems(error, Config, location)
        return None


def problems_of(error: ValidationError, root: type[BaseModel] = Config) -> list[str]:
    """Return every problem of a validation of a `root`, as `path: problem`."""
    return as_lines(validation_problems(error, root))


def _cross_problems(tree: dict[str, Any]) -> Iterator[Problem]:
    """Yield problems across sections. Reads the tree: there is no `Config` if others exist."""
    devices, modules = tree.get("devices"), tree.get("modules")
    known_modules = {DEFAULT_MODULE, *(modules if isinstance(modules, dict) else ())}
    names = ModuleNames(known_modules)
    first: dict[str, int] = {}
    for index, device in enumerate(devices if isinstance(devices, list) else ()):
        if not isinstance(device, dict):
            continue
        module, name = device.get("module"), device.get("name", device.get("address"))
        if isinstance(module, str) and module not in known_modules:
            yield f"devices[{index}].module", names.problem_of(module)
        if isinstance(name, str) and first.setdefault(name, index) != index:
            path = f"devices[{index}].{'name' if 'name' in device else 'address'}"
            yield path, f"{name!r} is already the name of devices[{first[name]}]"


def _overlay_problems(config: Config) -> Iterator[Problem]:
    for index, device in enumerate(config.devices):
        path = f"devices[{index}].expect"
        if config.module(device.module).clock_only and device.expect.named():
            yield path, f"module {device.module!r} has clock_only: there is nothing to compare"
        elif problem := config.expect(device).problem:
            yield path, f"with `expect` of module {device.module!r}: {problem}"
        if device.fingerprint_sha256 and config.module(device.module).scheme == "http":
            path = f"devices[{index}].fingerprint_sha256"
            yield path, f"module {device.module!r} has `scheme: http`: there is no certificate"


def _modules_with_files(tree: dict[str, Any], directory: Path) -> dict[str, ModuleConfig]:
    """Return the modules of an invalid config, with nothing but the files that they name."""
    modules = tree.get("modules")
    return {
        name: ModuleConfig.model_construct(
            auth=AuthConfig.model_construct(**_files_in(module.get("auth"), directory)),
            tls_config=DeviceTlsConfig.model_construct(
                **_files_in(module.get("tls_config"), directory)
            ),
        )
        for name, module in (modules.items() if isinstance(modules, dict) else ())
        if isinstance(module, dict)
    }


def _valid_sources(tree: dict[str, Any], directory: Path) -> dict[int, HttpSdConfig]:
    """Return the valid entries of `http_sd_configs` of an invalid config, by their index."""
    sections = tree.get("http_sd_configs")
    valid = {}
    for index, section in enumerate(sections if isinstance(sections, list) else ()):
        with suppress(ValidationError):
            context = {"directory": directory}
            valid[index] = HttpSdConfig.model_validate(section, context=context)
    return valid


def _files_in(section: Tree, directory: Path) -> dict[str, Any]:
    return {
        key: Path(directory, value)
        for key, value in (section.items() if isinstance(section, dict) else ())
        if key.endswith("_file") and isinstance(value, str)
    }


def dump_redacted(config: Config) -> str:
    """Return the config as YAML, with its defaults and with `<secret>` for secrets.

    Made in steps of some milliseconds: pydantic stops every other thread during a step.
    """
    return "".join(_dump_in_steps(config, [*type(config).model_fields]))


def dump_devices(devices: Sequence[DeviceConfig]) -> str:
    """Return devices as the section `devices` of a config, made in the same way."""
    return "".join(_dump_in_steps(Config(devices=tuple(devices)), ["devices"]))


def _dump_in_steps(config: Config, names: Iterable[str]) -> Iterator[str]:
    dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    for name in names:
        value = getattr(config, name)
        size = len(value) if isinstance(value, tuple) else 1
        for start in range(0, max(size, 1), _DUMPED_PER_STEP):
            step = {name: value[start : start + _DUMPED_PER_STEP]} if size > 1 else {}
            document = config.model_copy(update=step).model_dump(
                mode="json", by_alias=True, exclude_none=True, include={name}
            )
            text = yaml.dump(document, Dumper=dumper, sort_keys=False, allow_unicode=True)
            # The steps of a list have its key in their first line.
            yield text.split("\n", 1)[1] if start else text
