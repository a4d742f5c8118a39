"""`axis-ntp-exporter check`: poll devices once and explain the results."""

import argparse
import json
import signal
import sys
from collections.abc import Sequence
from functools import partial
from typing import Final

from exporter.check.examine import DeviceCheck, examine, keep_certificate
from exporter.check.report import as_document, summary, table
from exporter.clock.host import HostClock
from exporter.commands.arguments import add_config_file, positive_count
from exporter.commands.batch import exit_code, open_devices, run_command, run_jobs
from exporter.commands.targets import SelectedDevices, add_device_flags, add_selection, find_targets
from exporter.system.signals import handle_interrupts
from exporter.system.terminal import print_lines, print_tables, warn

LARGEST_DEFAULT_CONCURRENCY: Final = 200
"""More polls at once save no time, and waiting makes the clock measurements less precise."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `check`."""
    add_config_file(parser)
    add_selection(parser)
    add = parser.add_argument
    add("--json", action="store_true", help="print a JSON list with one object per device")
    add("--only-problems", action="store_true", help="leave out devices that are fine")
    # The flag's old name.
    add("--only-troubles", action="store_true", dest="only_problems", help=argparse.SUPPRESS)
    limit = LARGEST_DEFAULT_CONCURRENCY
    add(
        "--concurrency",
        type=positive_count,
        metavar="N",
        help=f"devices polled at once (default: global.concurrency, at most {limit})",
    )
    add_device_flags(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Poll each selected device once; returns 0 if all of them are fine."""
    return run_command("check", _check(arguments))


async def _check(arguments: argparse.Namespace) -> int:
    targets = await find_targets(arguments)
    checks = await _examine(targets, arguments.concurrency)
    # Printing may take a long time. From here on, Ctrl-C ends the program immediately.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    _print(checks, arguments)
    return exit_code("check", targets, success=all(check.fine for check in checks))


async def _examine(targets: SelectedDevices, concurrency: int | None) -> list[DeviceCheck]:
    """Poll and diagnose the devices; an interrupt skips the others. Raises `UsageError`."""
    config, host = targets.config, HostClock()
    at_once = concurrency or min(config.global_.concurrency, LARGEST_DEFAULT_CONCURRENCY)
    with handle_interrupts(partial(warn, "check: interrupted")) as events:
        async with open_devices(targets, at_once, keep_certificate) as devices:
            checks = [
                DeviceCheck(device, config.module(entry.module), by_flags=targets.by_flags)
                for entry, device in zip(targets.devices, devices, strict=True)
            ]
            work = partial(examine, host=host)
            await run_jobs("checking", checks, work, at_once, events.without_delay())
    return checks


def _print(checks: Sequence[DeviceCheck], arguments: argparse.Namespace) -> None:
    shown = [check for check in checks if not (arguments.only_problems and check.fine)]
    if arguments.json:
        print(json.dumps([as_document(check) for check in shown], indent=2), flush=True)
        return
    print_tables(map(table, shown), sys.stdout)
    print_lines(summary(checks), sys.stdout)
