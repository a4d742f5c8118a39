"""The audit log: who changes what on which device, on disk before the device hears of it."""

from __future__ import annotations

import asyncio
import json
import os
import pwd
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from exporter.devices.device import DeviceTarget
from exporter.vapix.ntp_configuration import NtpClientConfiguration

Clock = Callable[[], datetime]


class AuditFailed(Exception):
    """The audit log cannot be opened or written; `str()` says why."""


def operator(environ: Mapping[str, str]) -> dict[str, str]:
    """Who runs this: the account by the kernel's word, and who became it with sudo."""
    number = os.getuid()
    try:
        name = pwd.getpwuid(number).pw_name
    except KeyError:  # in a container an account need not have a name
        name = f"uid {number}"
    through = environ.get("SUDO_USER")
    return {"user": name} | ({"sudo_user": through} if through else {})


class AuditLog:
    """Appends JSON lines to a file that is open already; each is on disk when its call returns.

    `who` goes into every line, as `operator` tells it; `now` gives the time, in UTC.
    """

    def __init__(self, descriptor: int, path: Path, who: Mapping[str, str], now: Clock) -> None:
        self._descriptor = descriptor
        self._path = path
        self._who = dict(who)
        self._now = now
        self._turn = asyncio.Lock()
        self._failure: AuditFailed | None = None

    async def append(
        self,
        event: str,
        target: DeviceTarget,
        before: NtpClientConfiguration,
        after: NtpClientConfiguration | None,
        **more: str | None,
    ) -> None:
        """One line; `after` is `None` where it is not known. Raises `AuditFailed`."""
        entry = {
            "time": self._now().isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "event": event,
            **self._who,
            "device": target.name,
            "address": target.address,
            "before": asdict(before),
            "after": None if after is None else asdict(after),
            **more,
        }
        line = json.dumps(entry).encode() + b"\n"
        async with self._turn:
            # A disk may take its time; the devices that are under way do not wait for it.
            await asyncio.to_thread(self._write, line)

    def _write(self, line: bytes) -> None:
        # After a line that was cut short the next one would be spoilt too.
        if self._failure is None:
            self._failure = self._failure_to_write(line)
        if self._failure is not None:
            raise self._failure

    def _failure_to_write(self, line: bytes) -> AuditFailed | None:
        try:
            # One write, so that lines of two runs into one file never mix.
            written = os.write(self._descriptor, line)
            os.fsync(self._descriptor)
        except OSError as problem:
            return AuditFailed(f"{self._path}: cannot be written: {problem.strerror}")
        if written != len(line):
            return AuditFailed(f"{self._path}: cannot be written: the disk is full")
        return None


@contextmanager
def open_audit_log(path: Path, who: Mapping[str, str], now: Clock) -> Iterator[AuditLog]:
    """The audit log in `path`, made if it is not there. Raises `AuditFailed`."""
    try:
        descriptor = _open(path)
    except OSError as problem:
        raise AuditFailed(f"{path}: cannot be opened: {problem.strerror}") from None
    try:
        yield AuditLog(descriptor, path, who, now)
    finally:
        os.close(descriptor)


def utc_now() -> datetime:
    """The time of an audit line."""
    return datetime.now(UTC)


def _open(path: Path) -> int:
    # Not blocking, lest a pipe that nobody reads hold us up.
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
    descriptor = os.open(path, flags, 0o640)
    try:
        _prepare(descriptor, path)
    except (OSError, AuditFailed):
        os.close(descriptor)
        raise
    return descriptor


def _prepare(descriptor: int, path: Path) -> None:
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        raise AuditFailed(f"{path}: is no regular file: what is written to it is not kept")
    if not _ends_a_line(path):
        os.write(descriptor, b"\n")  # a line that a crash has cut short spoils no other
    _sync_folder(path.resolve().parent)


def _ends_a_line(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(0, end - 1))
            return file.read(1) in (b"", b"\n")
    except PermissionError:  # it may be ours to append to and not to read
        return True


def _sync_folder(folder: Path) -> None:
    """See to it that a file which was just made is found again after a crash."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
