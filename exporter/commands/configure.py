"""`axis-ntp-exporter configure`: show or apply NTP settings that differ from `expect`."""

import argparse
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from exporter.commands.arguments import add_config_file, positive_count
from exporter.commands.batch import (
    DEFAULT_CONCURRENCY,
    EXIT_OK,
    EXIT_PROBLEM,
    exit_incomplete,
    open_devices,
    run_command,
    run_jobs,
)
from exporter.commands.targets import UsageError, add_selection, configured_targets
from exporter.configure.apply import DeviceChange, apply_change, compare, mark_pending
from exporter.configure.audit import AuditFailed, AuditLog, open_audit_log, operator, utc_now
from exporter.configure.outcome import RIGHT, ChangeStatus
from exporter.configure.report import device_lines, documents, next_step, summary
from exporter.system.signals import StopEvents, handle_interrupts
from exporter.system.terminal import confirm, print_lines, warn
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
    add("--yes", action="store_true", help="with --apply: do not ask for confirmation")
    add("--json", action="store_true", help="print a JSON list with one object per device")
    add(
        "--concurrency",
        type=positive_count,
        default=DEFAULT_CONCURRENCY,
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


async def _configure(arguments: argparse.Namespace) -> int:
    targets = await configured_targets(arguments)
    _require_consent(arguments)
    with _audit_log(arguments) as audit, handle_interrupts(partial(warn, _INTERRUPTED)) as events:
        async with open_devices(targets, arguments.concurrency) as devices:
            run = _Run([DeviceChange(device) for device in devices], arguments, audit, events)
            await run.compare()
            if arguments.apply:
                await run.apply()
            run.report()
    if not targets.complete:
        return exit_incomplete("configure")
    return EXIT_OK if run.is_complete else EXIT_PROBLEM


def _require_consent(arguments: argparse.Namespace) -> None:
    # The question appears on stderr, the answer comes from stdin.
    has_terminal = all(stream and stream.isatty() for stream in (sys.stdin, sys.stderr))
    if arguments.apply and not arguments.yes and not has_terminal:
        raise UsageError("--apply asks for confirmation, but there is no terminal: add --yes")


@contextmanager
def _audit_log(arguments: argparse.Namespace) -> Iterator[AuditLog | None]:
    if not arguments.apply or arguments.audit_log is None:
        yield None
        return
    try:
        with open_audit_log(arguments.audit_log, operator(os.environ), utc_now) as audit:
            yield audit
    except AuditFailed as problem:
        raise UsageError(str(problem)) from None


class _Run:
    """One run of the command: its devices and their results so far."""

    def __init__(
        self,
        changes: list[DeviceChange],
        arguments: argparse.Namespace,
        audit: AuditLog | None,
        events: StopEvents,
    ) -> None:
        self._changes = changes
        self._unreported = changes
        self._arguments = arguments
        self._audit = audit
        self._events = events
        self._audit_failure: AuditFailed | None = None

    @property
    def is_complete(self) -> bool:
        """Whether all devices comply, at least one was compared, and all changes are recorded."""
        statuses = {change.result.status for change in self._changes}
        was_compared = statuses != {ChangeStatus.NOTHING_EXPECTED}
        return statuses <= RIGHT and was_compared and self._audit_failure is None

    async def compare(self) -> None:
        """Read every device; the first signal abandons this, because nothing is changed."""
        concurrency, events = self._arguments.concurrency, self._events.without_delay()
        await run_jobs("reading", self._changes, compare, concurrency, events)

    async def apply(self) -> None:
        """Show the differences, ask for confirmation, and change the devices."""
        differing = [each for each in self._changes if each.result.status is ChangeStatus.DIFFERENT]
        if not differing or not await self._may_change(len(differing)):
            return
        self._unreported = differing
        for change in differing:
            mark_pending(change)
        concurrency = self._arguments.concurrency
        await run_jobs("changing", differing, self._apply_one, concurrency, self._events)

    def report(self) -> None:
        """Print the results that were not yet printed, or with `--json` all of them."""
        if self._audit_failure is not None:
            warn(f"configure: stopped: {self._audit_failure}")
        if self._arguments.json:
            print(json.dumps(documents(self._changes), indent=2), flush=True)
            return
        print_lines(device_lines(self._unreported), sys.stdout)
        print(summary(self._changes))
        print(next_step(self._changes, applying=self._arguments.apply), flush=True)

    async def _may_change(self, count: int) -> bool:
        stop = self._events.stop
        must_ask = not self._arguments.yes
        if stop.is_set():
            return False
        if must_ask or not self._arguments.json:
            stream = sys.stderr if self._arguments.json else sys.stdout
            print_lines(device_lines(self._changes), stream)
            print(summary(self._changes), file=stream, flush=True)
            self._unreported = []
        return not must_ask or await confirm(f"Change {count} {plural(count, 'device')}?", stop)

    async def _apply_one(self, change: DeviceChange) -> None:
        try:
            await apply_change(change, self._audit, self._events.stop)
        except AuditFailed as failure:
            # Make no change without a record of who made it.
            self._audit_failure = failure
            self._events.stop.set()
