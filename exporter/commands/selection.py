"""Which of the configured devices a command is about."""

from __future__ import annotations

import argparse
import asyncio
import difflib
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from exporter.config import Config, load_config
from exporter.config.model import Device
from exporter.discovery.once import with_discovered
from exporter.escaping import escaped

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


def loaded_config(file: Path) -> Config:
    """The config with the devices of its discovery; sources that fail are told of.

    Raises `ConfigError`.
    """
    config, problems = asyncio.run(with_discovered(load_config(file, os.environ)))
    for problem in problems:
        print(f"discovery: {escaped(problem)}", file=sys.stderr)
    return config


def chosen_devices(
    config: Config, named: Sequence[str], selectors: Sequence[Selector]
) -> tuple[Device, ...]:
    """The devices that are named, or all, as far as every selector holds; in the config's order.

    Raises `UsageError` for a name that is nobody's, for one that a selector rules out, and when
    nothing is left.
    """
    if not config.devices:
        raise UsageError("the config has no devices")
    wanted = {device.label for name in named for device in _called(config, name)}
    devices = [each for each in config.devices if not named or each.label in wanted]
    chosen = tuple(device for device in devices if _fits(device, selectors))
    if named and len(chosen) < len(devices):
        ruled_out = next(device for device in devices if device not in chosen)
        raise UsageError(f"device {escaped(ruled_out.label)!r} has not {_spelled(selectors)}")
    if not chosen:
        raise UsageError(f"no device has {_spelled(selectors)}{_known_values(config, selectors)}")
    return chosen


def _called(config: Config, name: str) -> Iterable[Device]:
    """The device of that name, else those at that address. Raises `UsageError` for nobody's."""
    found = [device for device in config.devices if device.label == name]
    found = found or [device for device in config.devices if device.address == name]
    if not found:
        known = [text for each in config.devices for text in (each.label, each.address)]
        close = difflib.get_close_matches(name, known, n=1)
        hint = f" (did you mean {escaped(close[0])!r}?)" if close else ""
        raise UsageError(f"no device has the name or address {escaped(name)!r}{hint}")
    return found


def _fits(device: Device, selectors: Sequence[Selector]) -> bool:
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
