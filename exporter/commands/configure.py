"""`axis-ntp-exporter configure`: show or apply NTP settings that differ from `expect`."""

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from exporter.commands.arguments import add_config_file, positive_count
from exporter.commands.batch import exit_code, open_devices, run_command, run_jobs
from exporter.commands.targets import UsageError, add_selection, configured_targets
from exporter.configure.apply import DeviceChange, apply_change, compare, mark_pending
from exporter.configure.audit import AuditFailed, AuditLog, open_audit_log, operator
from exporter.configure.outcome import RIGHT, TOUCHED, ChangeStatus
from exporter.configure.report import (
    as_document,
    device_lines,
    group_lines,
    next_step,
    summary,
)
from exporter.system.process import OutputFailed
from exporter.system.signals import StopEvents, handle_interrupts
from exporter.system.terminal import Line, confirm, print_lines, terminal_width, warn
from exporter.system.text import plural

_INTERRUPTED = (
    "configure: interrupted: no further device is changed, changes in progress are completed;"
    " interrupt again to quit at once"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `configure`."""
    add_config_file(parser)
    add_selection(parser)
    add = parser.add_argument
    add("--apply", action="store_true", help="change what differs; otherwise nothing is changed")
    add("--dry-run", action="store_true", help="change nothing (the default)")
    add("--yes", action="store_true", help="with --apply: do not ask for confirmation")
    add("-v", "--verbose", action="store_true", help="list each device, not each change once")
    add("--json", action="store_true", help="print a JSON list with one object per device")
    add(
        "--concurrency",
        type=positive_count,
        default=16,  # as in other fleet tools
        metavar="N",
        help="devices asked at once (default: %(default)s)",
    )
    add(
        "--audit-log",
        type=Path,
        metavar="FILE",
        help="with --apply: append a JSON line before and after each change",
    )


def execute(arguments: argparse.Namespace) -> int:
    """Compare devices, and change them with `--apply`; returns 0 if all comply in the end."""
    return run_command("configure", _configure(arguments))


def _check_flags(arguments: argparse.Namespace) -> None:
    """Raise `UsageError` for flags that contradict each other."""
    if arguments.apply:
        if arguments.dry_run:
            raise UsageError("use either --dry-run or --apply, not both")
        return
    given = {"--yes": arguments.yes, "--audit-log": arguments.audit_log is not None}
    for flag in (flag for flag, is_given in given.items() if is_given):
        raise UsageError(f"{flag} needs --apply: without it nothing is changed")


async def _configure(arguments: argparse.Namespace) -> int:
    _check_flags(arguments)
    targets = await configured_targets(arguments)
    # The question appears on stderr, the answer comes from stdin.
    has_terminal = all(stream and stream.isatty() for stream in (sys.stdin, sys.stderr))
    if arguments.apply and not arguments.yes and not has_terminal:
        raise UsageError("--apply asks for confirmation, but there is no terminal: add --yes")
    with _audit_log(arguments) as audit, handle_interrupts(partial(warn, _INTERRUPTED)) as events:
        async with open_devices(targets, arguments.concurrency) as devices:
            run = _Run([DeviceChange(device) for device in devices], arguments, audit, events)
            # The first signal abandons this, because nothing is changed.
            reading = events.without_delay()
            await run_jobs("reading", run.changes, compare, arguments.concurrency, reading)
            if arguments.apply:
                await run.apply()
            run.report()
    return exit_code("configure", targets, success=run.is_complete)


@contextmanager
def _audit_log(arguments: argparse.Namespace) -> Iterator[AuditLog | None]:
    if not arguments.apply or arguments.audit_log is None:
        yield None
        return
    try:
        now, who = partial(datetime.now, UTC), operator(os.environ)
        with open_audit_log(arguments.audit_log, who, now) as audit:
            yield audit
    except AuditFailed as problem:
        raise UsageError(str(problem)) from None


@dataclass
class _Run:
    """One run of the command: its devices and their results so far."""

    changes: list[DeviceChange]
    arguments: argparse.Namespace
    audit: AuditLog | None
    events: StopEvents
    audit_failure: AuditFailed | None = None

    def __post_init__(self) -> None:
        self.unreported = self.changes

    @property
    def is_complete(self) -> bool:
        """Whether all devices comply, at least one was compared, and all changes are recorded."""
        statuses = {change.result.status for change in self.changes}
        was_compared = statuses != {ChangeStatus.NOTHING_EXPECTED}
        return statuses <= RIGHT and was_compared and self.audit_failure is None

    async def apply(self) -> None:
        """Show the differences, ask for confirmation, and change the devices."""
        differing = [each for each in self.changes if each.result.status is ChangeStatus.DIFFERENT]
        if not differing or not await self._may_change(len(differing)):
            return
        self.unreported = differing
        for change in differing:
            mark_pending(change)
        concurrency = self.arguments.concurrency
        await run_jobs("changing", differing, self._apply_one, concurrency, self.events)

    def report(self) -> None:
        """Print the results that were not yet printed, or with `--json` all of them.

        Raises `OutputFailed`, after it has named the changed devices on standard error.
        """
        if self.audit_failure is not None:
            warn(f"configure: stopped: {self.audit_failure}")
        try:
            self._print_results()
        except OutputFailed:
            touched = [each for each in self.changes if each.result.status in TOUCHED]
            for line in device_lines(touched):
                warn("".join(span.text for span in line))
            raise

    def _print_results(self) -> None:
        if self.arguments.json:
            print(json.dumps([as_document(each) for each in self.changes], indent=2), flush=True)
            return
        print_lines(self._lines(self.unreported), sys.stdout)
        print(summary(self.changes))
        print(next_step(self.changes, applying=self.arguments.apply), flush=True)

    def _lines(self, changes: Sequence[DeviceChange]) -> Iterator[Line]:
        if self.arguments.verbose:
            return device_lines(changes)
        return group_lines(changes, terminal_width())

    async def _may_change(self, count: int) -> bool:
        stop = self.events.stop
        must_ask = not self.arguments.yes
        if stop.is_set():
            return False
        if must_ask or not self.arguments.json:
            stream = sys.stderr if self.arguments.json else sys.stdout
            print_lines(self._lines(self.changes), stream)
            print(summary(self.changes), file=stream, flush=True)
            self.unreported = []
        return not must_ask or await confirm(f"Change {count} {plural(count, 'device')}?", stop)

    async def _apply_one(self, change: DeviceChange) -> None:
        try:
            await apply_change(change, self.audit, self.events.stop)
        except AuditFailed as failure:
            # Make no change without a record of who made it.
            self.audit_failure = failure
            self.events.stop.set()
