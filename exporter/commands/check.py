"""`axis-ntp-exporter check`: poll devices once, or again and again, and explain the results."""

import argparse
import asyncio
import signal
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from exporter.check.examine import DeviceCheck, examine, keep_certificate
from exporter.check.servers import ServerCheck, ask_server
from exporter.clock.host import HostClock, kernel_says_synchronized
from exporter.commands.arguments import add_config_file, duration_seconds, positive_count
from exporter.commands.batch import exit_code, open_devices, run_batch, run_command, run_jobs
from exporter.commands.check_output import (
    CheckPrinter,
    CheckResults,
    add_output_flags,
    output_format,
)
from exporter.commands.pin import add_pin_flags, check_pin_flags, pin_certificates
from exporter.commands.targets import SelectedDevices, add_device_flags, add_selection, find_targets
from exporter.config import Thresholds
from exporter.devices.device import Device
from exporter.system.signals import StopEvents, handle_interrupts, run_unless
from exporter.system.terminal import Line, warn
from exporter.time_servers.client import TimeServerClient
from exporter.time_servers.host_clock import HostClockNote, Vote, count_votes, describe_host_clock
from exporter.time_servers.targets import TargetRules
from exporter.vapix.dns import AresDns, CachingResolver

LARGEST_DEFAULT_CONCURRENCY: Final = 200
"""More polls at once save no time, and waiting makes the clock measurements less precise."""

_SERVERS_AT_ONCE: Final = 32
"""How many time servers are asked at once: each query has a file."""

_CONFIGURED: Final = 0.0
"""`--watch` without a duration."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `check`."""
    add_config_file(parser)
    add_selection(parser)
    add_output_flags(parser)
    add = parser.add_argument
    add(
        "--watch",
        nargs="?",
        const=_CONFIGURED,
        type=watch_seconds,
        metavar="DURATION",
        help="check again every DURATION (default: global.interval) until interrupted",
    )
    limit = LARGEST_DEFAULT_CONCURRENCY
    add(
        "--concurrency",
        type=positive_count,
        metavar="N",
        help=f"devices polled at once (default: global.concurrency, at most {limit})",
    )
    add_pin_flags(parser)
    add_device_flags(parser)


def watch_seconds(text: str) -> float:
    """Parse the interval of `--watch`. Raises `argparse.ArgumentTypeError`."""
    try:
        seconds = duration_seconds(text)
    except argparse.ArgumentTypeError as problem:
        hint = "a DEVICE stands before --watch, or after --watch=30s"
        raise argparse.ArgumentTypeError(f"{problem}; {hint}") from None
    if seconds < 1:
        raise argparse.ArgumentTypeError("must be at least 1s")
    return seconds


def execute(arguments: argparse.Namespace) -> int:
    """Poll each selected device; returns 0 if all of them are fine."""
    return run_command("check", _check(arguments))


async def _check(arguments: argparse.Namespace) -> int:
    output_format(arguments)  # before anything is asked
    check_pin_flags(arguments)
    targets = await find_targets(arguments)
    at_once = arguments.concurrency or targets.config.global_.concurrency
    if arguments.concurrency is None:
        at_once = min(at_once, LARGEST_DEFAULT_CONCURRENCY)
    if arguments.pin:
        return await pin_certificates(targets, arguments, at_once)
    watches = arguments.watch is not None
    note = (lambda: None) if watches else partial(warn, "check: interrupted")
    with handle_interrupts(note) as interrupts:
        events = interrupts.without_delay()
        async with open_devices(targets, at_once, keep_certificate) as devices:
            rounds = _Rounds(targets, devices, at_once, events)
            every = (arguments.watch or targets.config.global_.interval) if watches else None
            printer = CheckPrinter(arguments, rounds.new_checks(), every)
            results = await rounds.examine(printer.begin())
            if every is not None:
                results = await _watch(rounds, results, printer, every)
    if not watches:
        # Printing may take a long time. From here on, Ctrl-C ends the program immediately.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        printer.print(results)
    return exit_code("check", targets, success=results.fine)


async def _watch(
    rounds: "_Rounds", results: CheckResults, printer: CheckPrinter, every_seconds: float
) -> CheckResults:
    """Print the results of each round until interrupted; return those of the last whole one."""
    loop, stop = asyncio.get_running_loop(), rounds.events.stop
    due = loop.time()
    while True:
        printer.print(results)
        due = max(due + every_seconds, loop.time())
        await run_unless(stop, asyncio.sleep(due - loop.time()))
        # Not while it runs: an interrupted round says less than the one before.
        fresh = None if stop.is_set() else await rounds.examine()
        if fresh is None or stop.is_set():
            return results
        results = fresh


@dataclass
class _Rounds:
    """Polls the devices, whose clients and clocks are kept from round to round."""

    targets: SelectedDevices
    devices: Sequence[Device]
    at_once: int
    events: StopEvents
    host: HostClock = field(default_factory=HostClock)
    _asked_steady: float | None = None

    def __post_init__(self) -> None:
        configured = TargetRules(self.targets.config.time_servers).configured
        self.servers = [ServerCheck(each) for each in configured.values()]

    def new_checks(self) -> list[DeviceCheck]:
        """Return the devices before a poll."""
        entries, config = self.targets.devices, self.targets.config
        return [
            DeviceCheck(device, config.module(entry.module), by_flags=self.targets.by_flags)
            for entry, device in zip(entries, self.devices, strict=True)
        ]

    async def examine(
        self, lines: Callable[[DeviceCheck], Iterable[Line]] | None = None
    ) -> CheckResults:
        """Poll and diagnose the devices; an interrupt skips the others.

        `lines` of each are shown as it comes in.
        """
        checks, thresholds = self.new_checks(), self.targets.config.thresholds
        work = partial(examine, host=self.host, thresholds=thresholds)
        _, vote = await asyncio.gather(
            run_jobs("checking", checks, work, self.at_once, self.events, lines),
            self._ask_servers(),
        )
        return CheckResults(checks, self.servers, _judge(checks, vote, self.host, thresholds))

    async def _ask_servers(self) -> Vote:
        """Ask each time server once an interval; an interrupt ends that. Return what they say."""
        config, now = self.targets.config.time_servers, self.host.now().steady_seconds
        if not self.servers:
            return Vote()
        if self._asked_steady is None or now - self._asked_steady >= config.interval:
            self._asked_steady = now
            self.servers = [ServerCheck(each.target) for each in self.servers]
            resolver = CachingResolver(AresDns())
            try:
                query = TimeServerClient(resolver, self.host).query
                work = partial(ask_server, query=query, timeout_seconds=config.timeout)
                await run_batch(self.servers, work, _SERVERS_AT_ONCE, self.events, lambda: None)
            finally:
                await resolver.close()
        return count_votes([server.answer for server in self.servers], self.host.now())


def _judge(
    checks: Sequence[DeviceCheck], vote: Vote, host: HostClock, thresholds: Thresholds
) -> HostClockNote:
    """Compare each device with the time servers too; return what is known of this host's clock."""
    for check in checks:
        check.take_vote(vote)
    measured = [check.offset.seconds for check in checks if check.offset is not None]
    kernel, limit = kernel_says_synchronized(), thresholds.skew.host_clock
    return describe_host_clock(vote, host.now(), measured, kernel=kernel, suspect_seconds=limit)
