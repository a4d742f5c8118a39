"""`axis-ntp-exporter check`: poll devices once and explain the results."""

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import Sequence
from functools import partial
from typing import Final, NamedTuple

from exporter.check.examine import DeviceCheck, examine, keep_certificate
from exporter.check.report import as_document, host_clock_lines, summary, table
from exporter.check.servers import ServerCheck, ask_server
from exporter.clock.host import HostClock, kernel_says_synchronized
from exporter.commands.arguments import add_config_file, positive_count
from exporter.commands.batch import exit_code, open_devices, run_batch, run_command, run_jobs
from exporter.commands.pin import add_pin_flags, check_pin_flags, pin_certificates
from exporter.commands.targets import SelectedDevices, add_device_flags, add_selection, find_targets
from exporter.config import Thresholds, TimeServersConfig
from exporter.system.signals import StopEvents, handle_interrupts
from exporter.system.terminal import print_lines, print_tables, warn
from exporter.time_servers.client import TimeServerClient
from exporter.time_servers.host_clock import HostClockNote, Vote, count_votes, describe_host_clock
from exporter.time_servers.targets import TargetRules
from exporter.vapix.dns import AresDns, CachingResolver

LARGEST_DEFAULT_CONCURRENCY: Final = 200
"""More polls at once save no time, and waiting makes the clock measurements less precise."""


_SERVERS_AT_ONCE: Final = 32
"""How many time servers are asked at once: each query has a file."""


class _Results(NamedTuple):
    checks: list[DeviceCheck]
    servers: list[ServerCheck]
    host_clock: HostClockNote


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
    add_pin_flags(parser)
    add_device_flags(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Poll each selected device once; returns 0 if all of them are fine."""
    return run_command("check", _check(arguments))


async def _check(arguments: argparse.Namespace) -> int:
    check_pin_flags(arguments)
    targets = await find_targets(arguments)
    at_once = arguments.concurrency or min(
        targets.config.global_.concurrency, LARGEST_DEFAULT_CONCURRENCY
    )
    if arguments.pin:
        return await pin_certificates(targets, arguments, at_once)
    results = await _examine(targets, at_once)
    # Printing may take a long time. From here on, Ctrl-C ends the program immediately.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    _print(results, arguments)
    return exit_code("check", targets, success=all(check.fine for check in results.checks))


async def _examine(targets: SelectedDevices, at_once: int) -> _Results:
    """Poll and diagnose the devices; an interrupt skips the others. Raises `UsageError`."""
    config, host = targets.config, HostClock()
    servers = [ServerCheck(each) for each in TargetRules(config.time_servers).configured.values()]
    with handle_interrupts(partial(warn, "check: interrupted")) as interrupts:
        events = interrupts.without_delay()
        async with open_devices(targets, at_once, keep_certificate) as devices:
            checks = [
                DeviceCheck(device, config.module(entry.module), by_flags=targets.by_flags)
                for entry, device in zip(targets.devices, devices, strict=True)
            ]
            work = partial(examine, host=host, thresholds=config.thresholds)
            _, vote = await asyncio.gather(
                run_jobs("checking", checks, work, at_once, events),
                _ask_servers(servers, config.time_servers, host, events),
            )
    return _Results(checks, servers, _judge(checks, vote, host, config.thresholds))


async def _ask_servers(
    servers: Sequence[ServerCheck], config: TimeServersConfig, host: HostClock, events: StopEvents
) -> Vote:
    """Ask each time server once; an interrupt ends that. Return what they say together."""
    if not servers:
        return Vote()
    resolver = CachingResolver(AresDns())
    try:
        query = TimeServerClient(resolver, host).query
        work = partial(ask_server, query=query, timeout_seconds=config.timeout)
        await run_batch(servers, work, _SERVERS_AT_ONCE, events, lambda: None)
    finally:
        await resolver.close()
    return count_votes([server.answer for server in servers], host.now())


def _judge(
    checks: Sequence[DeviceCheck], vote: Vote, host: HostClock, thresholds: Thresholds
) -> HostClockNote:
    """Compare each device with the time servers too; return what is known of this host's clock."""
    for check in checks:
        check.take_vote(vote)
    measured = [check.offset.seconds for check in checks if check.offset is not None]
    kernel, limit = kernel_says_synchronized(), thresholds.skew.host_clock
    return describe_host_clock(vote, host.now(), measured, kernel=kernel, suspect_seconds=limit)


def _print(results: _Results, arguments: argparse.Namespace) -> None:
    checks = results.checks
    shown = [check for check in checks if not (arguments.only_problems and check.fine)]
    if arguments.json:
        print(json.dumps([as_document(check) for check in shown], indent=2), flush=True)
        return
    print_tables(map(table, shown), sys.stdout)
    print_lines(host_clock_lines(results.host_clock, results.servers), sys.stdout)
    print_lines(summary(checks), sys.stdout)
