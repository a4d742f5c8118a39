"""`axis-ntp-exporter configure`: compare devices with their `expect`, and put them right."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import uvloop

from exporter.commands.arguments import add_config_file, positive_count
from exporter.commands.batch import DEFAULT_CONCURRENCY, opened, sweep
from exporter.commands.job import FINE, NOT_FINE, not_all_found, run_job
from exporter.commands.targets import UsageError, add_selection, chosen_devices, loaded_config
from exporter.config import Config
from exporter.config.schema import DeviceConfig
from exporter.configure.apply import DeviceChange, change, compare, mark_pending
from exporter.configure.audit import AuditFailed, AuditLog, open_audit_log, operator, utc_now
from exporter.configure.outcome import RIGHT, ChangeStatus
from exporter.configure.report import (
    device_lines,
    documents,
    next_step,
    summary,
)
from exporter.system.signals import Interruption, interruptions
from exporter.system.terminal import confirm, counted, print_lines, progress, warn


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `configure`."""
    add_config_file(parser)
    add_selection(parser)
    add = parser.add_argument
    add("--apply", action="store_true", help="change what differs; without it nothing is changed")
    add("--yes", action="store_true", help="with --apply: do not ask first")
    add("--json", action="store_true", help="print a list with an object for each device")
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
        help="with --apply: append a JSON line here before each change and one after it",
    )


def execute(arguments: argparse.Namespace) -> int:
    """Compare, and change if asked to; 0 if every device is right in the end."""
    return run_job("configure", lambda: _job(arguments))


def _job(arguments: argparse.Namespace) -> int:
    config, problems = loaded_config(arguments.config_file)
    chosen = chosen_devices(config, arguments.devices, arguments.selectors)
    _require_consent(arguments)
    with _audit_log(arguments) as audit:
        code = uvloop.run(_configure(config, chosen, arguments, audit))
    return code if arguments.devices or not problems else not_all_found("configure")


def _require_consent(arguments: argparse.Namespace) -> None:
    # The question is seen on one and answered on the other.
    somebody_there = all(stream and stream.isatty() for stream in (sys.stdin, sys.stderr))
    if arguments.apply and not arguments.yes and not somebody_there:
        raise UsageError("--apply asks first, and there is no terminal to ask at: add --yes")


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


async def _configure(
    config: Config,
    chosen: Sequence[DeviceConfig],
    arguments: argparse.Namespace,
    audit: AuditLog | None,
) -> int:
    with interruptions(_tell_interrupted) as interruption:
        async with opened(config, chosen, arguments.concurrency) as devices:
            run = _Run([DeviceChange(device) for device in devices], arguments, audit, interruption)
            await run.compare()
            if arguments.apply:
                await run.apply()
            run.report()
    return FINE if run.all_right else NOT_FINE


def _tell_interrupted() -> None:
    warn(
        "configure: interrupted: no further device is begun, a change under way is finished;"
        " interrupt again to quit at once"
    )


class _Run:
    """One call of the command: its devices, and how far it got with each."""

    def __init__(
        self,
        cases: list[DeviceChange],
        arguments: argparse.Namespace,
        audit: AuditLog | None,
        interruption: Interruption,
    ) -> None:
        self._cases = cases
        self._untold = cases
        self._arguments = arguments
        self._audit = audit
        self._interruption = interruption
        self._audit_failure: AuditFailed | None = None

    @property
    def all_right(self) -> bool:
        """Whether every device is as expected now, some of them by comparing, and all on record."""
        results = {case.finding.result for case in self._cases}
        was_compared = results != {ChangeStatus.NOTHING_EXPECTED}
        return results <= RIGHT and was_compared and self._audit_failure is None

    async def compare(self) -> None:
        """Read every device; what only reads is given up at the first signal."""
        stop = self._interruption.stop
        await self._sweep("reading", self._cases, compare, Interruption(stop, abandon=stop))

    async def apply(self) -> None:
        """Show what differs, ask, change it."""
        differing = [case for case in self._cases if case.finding.result is ChangeStatus.DIFFERENT]
        if not differing or not await self._may_change(len(differing)):
            return
        self._untold = differing
        for case in differing:
            mark_pending(case)
        await self._sweep("changing", differing, self._change, self._interruption)

    def report(self) -> None:
        """Tell how it stands now with every device that was not told of since it was read."""
        if self._audit_failure is not None:
            warn(f"configure: stopped: {self._audit_failure}")
        if self._arguments.json:
            print(json.dumps(documents(self._cases), indent=2), flush=True)
            return
        print_lines(device_lines(self._untold), sys.stdout)
        print(summary(self._cases))
        print(next_step(self._cases, applying=self._arguments.apply), flush=True)

    async def _may_change(self, count: int) -> bool:
        stop = self._interruption.stop
        asked = not self._arguments.yes
        if stop.is_set():
            return False
        if asked or not self._arguments.json:
            stream = sys.stderr if self._arguments.json else sys.stdout
            print_lines(device_lines(self._cases), stream)
            print(summary(self._cases), file=stream, flush=True)
            self._untold = []
        return not asked or await confirm(f"Change {counted(count)}?", stop)

    async def _change(self, case: DeviceChange) -> None:
        try:
            await change(case, self._audit, self._interruption.stop)
        except AuditFailed as failure:
            # What is not on record is not done: nobody would know who did it.
            self._audit_failure = failure
            self._interruption.stop.set()

    async def _sweep(
        self,
        what: str,
        cases: Sequence[DeviceChange],
        work: Callable[[DeviceChange], Awaitable[None]],
        interruption: Interruption,
    ) -> None:
        async def work_once(case: DeviceChange) -> None:
            try:
                await work(case)
            finally:
                case.device.client.release()  # of thousands, only those at work are connected

        with progress(what, len(cases), sys.stderr) as advance:
            await sweep(cases, work_once, self._arguments.concurrency, interruption, advance)
