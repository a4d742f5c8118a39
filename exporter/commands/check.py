"""`axis-ntp-exporter check`: poll devices once now and explain each to a person."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Sequence
from functools import partial
from typing import Final, NamedTuple

import uvloop

from exporter.check.documents import documents
from exporter.check.examine import DeviceCheck, examine, notice
from exporter.check.report import summary, table
from exporter.clock.host import HostClock
from exporter.commands.arguments import DEFAULT_CONFIG_FILE, add_config_file, positive_count
from exporter.commands.batch import opened, sweep
from exporter.commands.job import FINE, NOT_FINE, not_all_found, run_job
from exporter.commands.targets import UsageError, add_selection, chosen_devices, loaded_config
from exporter.commands.unconfigured import add_device_flags, config_of_flags, is_by_flags
from exporter.config import Config
from exporter.config.schema import DeviceConfig
from exporter.system.signals import Interruption, interruptions
from exporter.system.terminal import print_lines, print_tables, progress, warn

MOST_AT_ONCE: Final = 200
"""More at once is no faster, and each waits for the others: its clock would look less certain."""


class _Order(NamedTuple):
    """Whom to check. `by_flags`: no config; `complete`: every source of devices was heard."""

    config: Config
    chosen: Sequence[DeviceConfig]
    by_flags: bool
    complete: bool


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `check`."""
    add_config_file(parser)
    add_selection(parser)
    add = parser.add_argument
    add("--json", action="store_true", help="print a list with an object for each device")
    add("--only-troubles", action="store_true", help="leave out devices that are fine")
    add(
        "--concurrency",
        type=positive_count,
        metavar="N",
        help=f"devices polled at once (default: global.concurrency, {MOST_AT_ONCE} at most)",
    )
    add_device_flags(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Poll every chosen device once; 0 if all of them are fine."""
    return run_job("check", lambda: _job(arguments))


def _job(arguments: argparse.Namespace) -> int:
    order = _order(arguments)
    checkups = uvloop.run(_check(order, arguments.concurrency))
    # There may be much to print: from here on a signal ends it at once.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    _tell(checkups, arguments)
    if not order.complete:
        return not_all_found("check")
    return FINE if all(checkup.fine for checkup in checkups) else NOT_FINE


def _order(arguments: argparse.Namespace) -> _Order:
    """Whom to check. Raises `ConfigError` and `UsageError`."""
    file, named = arguments.config_file, arguments.devices
    is_default = file == DEFAULT_CONFIG_FILE
    by_flags = is_by_flags(arguments)
    if by_flags and not is_default:
        raise UsageError("--config.file says how devices are asked: leave --username and such out")
    if not by_flags and is_default and not file.exists():
        _require_address(arguments)
        by_flags = True
    if by_flags:
        config = config_of_flags(arguments)
        return _Order(config, config.devices, by_flags=True, complete=True)
    config, problems = loaded_config(file)
    chosen = chosen_devices(config, named, arguments.selectors)
    return _Order(config, chosen, by_flags=False, complete=bool(named) or not problems)


def _require_address(arguments: argparse.Namespace) -> None:
    if not arguments.devices:
        example = "axis-ntp-exporter check 192.168.0.90 --username root"
        raise UsageError(f"there is no {DEFAULT_CONFIG_FILE}; without a config: {example}")
    warn(f"check: there is no {DEFAULT_CONFIG_FILE}: taking each DEVICE for an address")


async def _check(order: _Order, at_once: int | None) -> list[DeviceCheck]:
    """Every device, checked unless it was interrupted before. Raises `UsageError`."""
    concurrency = at_once or min(order.config.global_.concurrency, MOST_AT_ONCE)
    with interruptions(partial(warn, "check: interrupted")) as interruption:
        async with opened(order.config, order.chosen, concurrency, notice) as devices:
            checkups = [
                DeviceCheck(device, order.config.module(entry.module), by_flags=order.by_flags)
                for entry, device in zip(order.chosen, devices, strict=True)
            ]
            stop = interruption.stop
            # What only reads is given up at the first signal.
            await _examine_all(checkups, concurrency, Interruption(stop, abandon=stop))
    return checkups


async def _examine_all(
    checkups: Sequence[DeviceCheck], concurrency: int, interruption: Interruption
) -> None:
    host = HostClock()

    async def examine_once(checkup: DeviceCheck) -> None:
        try:
            await examine(checkup, host)
        finally:
            checkup.device.client.release()  # of thousands, only those at work are connected

    with progress("checking", len(checkups), sys.stderr) as advance:
        await sweep(checkups, examine_once, concurrency, interruption, advance)


def _tell(checkups: Sequence[DeviceCheck], arguments: argparse.Namespace) -> None:
    told = [each for each in checkups if not (arguments.only_troubles and each.fine)]
    if arguments.json:
        print(json.dumps(documents(told), indent=2), flush=True)
        return
    print_tables(map(table, told), sys.stdout)
    print_lines(summary(checkups), sys.stdout)
