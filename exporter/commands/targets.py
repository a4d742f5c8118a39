"""Which of the configured devices a command is about."""

from __future__ import annotations

import argparse
import asyncio
import difflib
import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from exporter.config import Config, load_config
from exporter.config.schema import DeviceConfig
from exporter.discovery.manager import discover_once
from exporter.system.terminal import warn
from exporter.system.text import escaped

_FEW: Final = 8
"""How many values of a label are told to one who asked for another."""

Selector = tuple[str, str]
"""A label's name and the value that it must have; empty for a label that is not there."""


class UsageError(Exception):
    """The command cannot mean what was asked for; `str()` says why, in a sentence."""


def add_selection(parser: argparse.ArgumentParser) -> None:
    """`DEVICE …`, `--selector`, `--site`."""
    parser.add_argument(
        "devices",
        nargs="*",
        metavar="DEVICE",
        help="a device's name or address, as configured (default: every device)",
    )
    parser.add_argument(
        "--selector",
        dest="selectors",
        type=selector,
        action="append",
        default=[],
        metavar="LABEL=VALUE",
        help="only devices with this label; repeatable, all must hold",
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
    """What `LABEL=VALUE` asks for. Raises `argparse.ArgumentTypeError`."""
    label, equals, value = text.partition("=")
    if not (label and equals):
        raise argparse.ArgumentTypeError(f"{text!r} is no LABEL=VALUE")
    return label, value


def loaded_config(file: Path) -> tuple[Config, list[str]]:
    """The config with the devices of its discovery, and what was wrong there, which is told.

    Raises `ConfigError`.
    """
    config, problems = asyncio.run(discover_once(load_config(file, os.environ)))
    for problem in problems:
        warn(f"discovery: {escaped(problem)}")
    return config, problems


def chosen_devices(
    config: Config, named: Sequence[str], selectors: Sequence[Selector]
) -> tuple[DeviceConfig, ...]:
    """The devices that are named, or all, as far as every selector holds; in the config's order.

    Raises `UsageError` for a name that is nobody's, for one that a selector rules out, and when
    nothing is left.
    """
    if not config.devices:
        raise UsageError("the config has no devices")
    wanted = _labels_of(config, named)
    devices = [each for each in config.devices if not named or each.label in wanted]
    chosen = tuple(device for device in devices if _fits(device, selectors))
    if named and len(chosen) < len(devices):
        ruled_out = next(device for device in devices if device not in chosen)
        raise UsageError(f"device {escaped(ruled_out.label)!r} has not {_spelled(selectors)}")
    if not chosen:
        raise UsageError(f"no device has {_spelled(selectors)}{_known_values(config, selectors)}")
    return chosen


def _labels_of(config: Config, named: Sequence[str]) -> set[str]:
    """The devices of those names, or else at those addresses. Raises `UsageError` for nobody's."""
    labels = {device.label for device in config.devices}
    at = defaultdict(set)
    for device in config.devices:
        at[device.address].add(device.label)
    found = set()
    for name in named:
        if name not in labels and name not in at:
            raise _nobody(name, [*labels, *at])
        found |= {name} if name in labels else at[name]
    return found


def _nobody(name: str, known: Sequence[str]) -> UsageError:
    close = difflib.get_close_matches(name, known, n=1)
    hint = f" (did you mean {escaped(close[0])!r}?)" if close else ""
    return UsageError(f"no device has the name or address {escaped(name)!r}{hint}")


def _fits(device: DeviceConfig, selectors: Sequence[Selector]) -> bool:
    labels = {**device.labels, "device": device.label}
    return all(labels.get(name, "") == value for name, value in selectors)


def _spelled(selectors: Sequence[Selector]) -> str:
    return " and ".join(escaped(f"{name}={value}") for name, value in selectors)


def _known_values(config: Config, selectors: Sequence[Selector]) -> str:
    """What there is to choose from, where one label was asked for."""
    if len(selectors) != 1:
        return ""
    name = selectors[0][0]
    values = sorted({device.labels[name] for device in config.devices if name in device.labels})
    if not values:
        return f": no device has a label {escaped(name)!r}"
    return f"; there is {escaped(', '.join(_few(values)))}"


def _few(values: list[str]) -> Iterator[str]:
    yield from values[:_FEW]
    if len(values) > _FEW:
        yield "…"
