"""Which devices a command works on: those of the config, or addresses on the command line."""

import argparse
import difflib
import fnmatch
import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from pydantic import ValidationError

from exporter.commands.account import account_of_flags
from exporter.commands.arguments import DEFAULT_CONFIG_FILE, HOW_TO_GET_A_CONFIG
from exporter.config import Config, ConfigError, load_config
from exporter.config.errors import as_lines
from exporter.config.files import check_files
from exporter.config.loader import problems_of
from exporter.config.schema import DEFAULT_MODULE, DeviceConfig
from exporter.discovery.manager import discover_once
from exporter.system.addresses import canonical_host, is_ip_address, split_address
from exporter.system.terminal import warn
from exporter.system.text import escaped

_MOST_VALUES: Final = 8
"""Known values of a label that an error message lists."""

_LONGEST_PATTERN: Final = 500
"""As long as the longest name: the time to match is that of both lengths multiplied."""

_TLS_FLAGS: Final = ("fingerprint_sha256", "ca_file", "insecure_skip_verify")
_DEVICE_FLAGS: Final = ("username", "password_file", "scheme", *_TLS_FLAGS)
_FLAG_OF_PATH: Final = {
    "modules.default.auth": "--password-file",
    "modules.default.auth.password_file": "--password-file",
    "modules.default.tls_config": "--ca-file",
    "modules.default.tls_config.ca_file": "--ca-file",
    "modules.default.tls_config.fingerprint_sha256": "--fingerprint-sha256",
}
"""The flag to name in an error message, by the path in a config."""

Selector = tuple[str, str]
"""A label's name and required value; an empty value requires that the label is absent."""


class UsageError(Exception):
    """The command line cannot be used; `str()` says why."""


class SelectedDevices(NamedTuple):
    """The devices of a command, and the config with their settings.

    `by_flags`: built from the command line, without a config file. `complete`: false if devices
    may be missing because a source of discovery failed.
    """

    config: Config
    devices: tuple[DeviceConfig, ...]
    by_flags: bool = False
    complete: bool = True


def add_selection(parser: argparse.ArgumentParser) -> None:
    """Add `DEVICE …`, `--selector` and `--site`."""
    parser.add_argument(
        "devices",
        nargs="*",
        metavar="DEVICE",
        help="name or address of a configured device, or a pattern such as 'cam-1-*' "
        "(default: all devices)",
    )
    parser.add_argument(
        "--selector",
        dest="selectors",
        type=selector,
        action="append",
        default=[],
        metavar="LABEL=VALUE",
        help="only devices with this label; repeatable, all must match",
    )
    parser.add_argument(
        "--site",
        dest="selectors",
        type=lambda value: ("site", value),
        action="append",
        metavar="VALUE",
        help="short for --selector site=VALUE",
    )


def selector(text: str) -> Selector:
    """Parse `LABEL=VALUE`. Raises `argparse.ArgumentTypeError`."""
    label, equals, value = text.partition("=")
    if not (label and equals):
        raise argparse.ArgumentTypeError(f"{text!r} is not LABEL=VALUE")
    return label, value


def add_device_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags that replace a config."""
    group = parser.add_argument_group(
        "without a config",
        "With any of these flags DEVICE is an address: host, host:port or [v6]:port.",
    )
    add = group.add_argument
    add(
        "--username",
        metavar="NAME",
        help="account on the devices; asks for its password, or reads it from a pipe",
    )
    add("--password-file", type=Path, metavar="FILE", help="read the password from this file")
    add("--scheme", choices=("http", "https"), help="protocol (default: https)")
    add("--fingerprint-sha256", metavar="HEX", help="trust only this certificate")
    add("--ca-file", type=Path, metavar="FILE", help="trust certificates signed by these CAs")
    add(
        "--insecure-skip-verify",
        action="store_true",
        default=None,
        help="skip certificate verification (insecure)",
    )


async def find_targets(arguments: argparse.Namespace) -> SelectedDevices:
    """Return the devices to check. Raises `ConfigError` and `UsageError`."""
    file = arguments.config_file
    if any(getattr(arguments, flag) is not None for flag in _DEVICE_FLAGS):
        if file != DEFAULT_CONFIG_FILE:
            raise UsageError("use either --config.file or flags such as --username, not both")
        return _targets_of_flags(arguments)
    if file != DEFAULT_CONFIG_FILE or file.exists() or arguments.pin:  # pins need a config
        return await configured_targets(arguments)
    if not arguments.devices:
        example = "axis-ntp-exporter check 192.168.0.90 --username root"
        hint = f"To have a config, {HOW_TO_GET_A_CONFIG}."
        raise UsageError(
            f"there is no {file}; to check a device without a config: {example}\n{hint}"
        )
    warn(f"check: there is no {file}, so each DEVICE is used as an address")
    return _targets_of_flags(arguments)


async def configured_targets(arguments: argparse.Namespace) -> SelectedDevices:
    """Load the config, discover devices, and select those of the command line.

    Warns about sources of discovery that failed. Raises `ConfigError` and `UsageError`.
    """
    found = await discover_once(load_existing_config(arguments.config_file))
    config, problems = found.config, found.problems
    for problem in problems if config.devices else (*problems, *found.advice):
        warn(f"discovery: {escaped(problem)}")
    devices = select_devices(config, arguments.devices, arguments.selectors)
    return SelectedDevices(config, devices, complete=bool(arguments.devices) or not problems)


def load_existing_config(file: Path) -> Config:
    """Load the config. Raises `ConfigError`, which says how to get one if there is no such file."""
    try:
        return load_config(file, os.environ)
    except ConfigError as error:
        if file.exists():
            raise
        raise ConfigError([*error.problems, f"To have a config, {HOW_TO_GET_A_CONFIG}."]) from None


def select_devices(
    config: Config, names: Sequence[str], selectors: Sequence[Selector]
) -> tuple[DeviceConfig, ...]:
    """Return the named devices (all without names) that match every selector, in config order.

    Raises `UsageError` for an unknown name, for a named device that does not match, and if no
    device is left. Of the devices of a pattern, those that do not match are left out.
    """
    if not config.devices:
        raise UsageError("the config has no devices")
    one_by_one, by_pattern = _resolve_names(config, names)
    wanted = one_by_one | by_pattern
    named = [device for device in config.devices if not names or device.label in wanted]
    selected = tuple(device for device in named if _matches(device, selectors))
    asked = " and ".join(escaped(f"{label}={value}") for label, value in selectors)
    chosen = {device.label for device in selected}
    for other in named:
        if other.label in one_by_one and other.label not in chosen:
            raise UsageError(f"device {escaped(other.label)!r} does not match {asked}")
    if not selected:
        raise UsageError(f"no device matches {asked}{_known_values(config, selectors)}")
    return selected


def _resolve_names(config: Config, names: Sequence[str]) -> tuple[set[str], set[str]]:
    """Return the labels of the devices with these names, and of those that match patterns.

    Raises `UsageError` for a name that nothing matches.
    """
    if not names:
        return set(), set()
    exact, folded = _DeviceNames(config, str), _DeviceNames(config, str.casefold)
    one_by_one, by_pattern = set(), set()
    for name in names:
        if found := exact.named(name) or folded.named(name):
            one_by_one |= found
        elif found := exact.like(name) or folded.like(name):
            by_pattern |= found
        else:
            raise UsageError(_unknown(name, exact.known))
    return one_by_one, by_pattern


def _unknown(name: str, known: Iterable[str]) -> str:
    if is_pattern(name):
        return f"no device has a name or address like {escaped(name)!r}"
    close = _closest(name, known)
    hint = f" (did you mean {escaped(close)!r}?)" if close is not None else ""
    return f"no device has the name or address {escaped(name)!r}{hint}"


def _closest(name: str, known: Iterable[str]) -> str | None:
    """Return the device that was probably meant: with the same host, or with a name like this.

    An IP address with other digits is another device.
    """
    host, hosts = _host_in(name), {each: _host_in(each) for each in known}
    if is_ip_address(host):
        return next((each for each in hosts if hosts[each] == host), None)
    names = [each for each in hosts if not is_ip_address(hosts[each])]
    return next(iter(difflib.get_close_matches(name, names, n=1)), None)


def _host_in(text: str) -> str:
    """Return the host of an address or a URL; `""` if the text is none."""
    _, slashes, rest = text.partition("://")
    try:
        return canonical_host(split_address(_place_in(rest) if slashes else text)[0])
    except ValueError:
        return ""


class _DeviceNames:
    """Finds labels of devices by what `fold` makes of a name or address; names come first."""

    def __init__(self, config: Config, fold: Callable[[str], str]) -> None:
        self._fold = fold
        self._labels: dict[str, set[str]] = defaultdict(set)
        self._at_address: dict[str, set[str]] = defaultdict(set)
        for device in config.devices:
            self._labels[fold(device.label)].add(device.label)
            self._at_address[fold(device.address)].add(device.label)

    @property
    def known(self) -> list[str]:
        """All names and addresses."""
        return [*self._labels, *self._at_address]

    def named(self, name: str) -> set[str]:
        """Return the labels of the devices with this name, else at this address."""
        key = self._fold(name)
        return self._labels.get(key) or self._at_address.get(key) or set()

    def like(self, pattern: str) -> set[str]:
        """Return the labels of the devices with a name, else an address, like the pattern."""
        if not is_pattern(pattern):
            return set()
        # Python's `fnmatch` makes an expression that never goes back over a `*`.
        matches = re.compile(fnmatch.translate(self._fold(pattern))).match
        for labels_of in (self._labels, self._at_address):
            if found := {label for key in labels_of if matches(key) for label in labels_of[key]}:
                return found
        return set()


def is_pattern(name: str) -> bool:
    """Whether a name that no device has exactly is a pattern of the shell, as `cam-1-*`."""
    return bool(set(name) & set("*?[")) and len(name) <= _LONGEST_PATTERN


def _matches(device: DeviceConfig, selectors: Sequence[Selector]) -> bool:
    labels = {**device.labels, "device": device.label}
    return all(labels.get(name, "") == value for name, value in selectors)


def _known_values(config: Config, selectors: Sequence[Selector]) -> str:
    """Return the end of an error message: the label's known values, if there is one selector."""
    if len(selectors) != 1:
        return ""
    name = selectors[0][0]
    values = sorted({device.labels[name] for device in config.devices if name in device.labels})
    if not values:
        return f": no device has a label {escaped(name)!r}"
    if len(values) > _MOST_VALUES:
        values[_MOST_VALUES:] = ["…"]
    return f"; known values: {escaped(', '.join(values))}"


def _targets_of_flags(arguments: argparse.Namespace) -> SelectedDevices:
    """Build a config from the command line's addresses; asks for the password of `--username`.

    Raises `UsageError`.
    """
    if arguments.selectors:
        raise UsageError("--site and --selector need a config: they select by its labels")
    if not arguments.devices:
        raise UsageError("name a device by its address, such as 192.168.0.90")
    for device in arguments.devices:
        if "://" in device:
            raise UsageError(f"a DEVICE is an address and no URL: write {_address_in(device)}")
    tls = {flag: value for flag in _TLS_FLAGS if (value := getattr(arguments, flag)) is not None}
    module = {"scheme": arguments.scheme or "https", "tls_config": tls}
    devices = [{"address": address} for address in dict.fromkeys(arguments.devices)]
    # Validate everything else before asking for the password.
    _validate(module, devices)
    try:
        account = account_of_flags(arguments.username, arguments.password_file)
    except ValueError as problem:
        raise UsageError(str(problem)) from None
    config = _validate({**module, "auth": account}, devices)
    return SelectedDevices(config, config.devices, by_flags=True)


def _address_in(url: str) -> str:
    """Return what to write instead of a URL, without its account and path."""
    scheme, _, rest = url.partition("://")
    address = escaped(_place_in(rest))
    is_known = scheme.lower() in ("http", "https")
    return f"{address} --scheme {scheme.lower()}" if is_known else address


def _place_in(rest: str) -> str:
    """Return host and port of what follows the scheme in a URL."""
    return re.split(r"[/?#]", rest, maxsplit=1)[0].rpartition("@")[2]


def _validate(module: dict[str, Any], devices: list[dict[str, str]]) -> Config:
    """Make a config with one module. Raises `UsageError`, also for files that cannot be used."""
    try:
        config = Config.model_validate({"modules": {DEFAULT_MODULE: module}, "devices": devices})
        problems = as_lines(check_files(config.modules))
    except ValidationError as invalid:
        problems = problems_of(invalid)
    if problems:
        raise UsageError("\n".join(map(_name_flag, problems)))
    return config


def _name_flag(problem: str) -> str:
    """Replace the config path of `path: problem` by the flag."""
    path, _, what = problem.partition(": ")
    return what if path.startswith("devices[") else f"{_FLAG_OF_PATH.get(path, path)}: {what}"
