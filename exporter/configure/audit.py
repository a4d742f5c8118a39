"""The audit log: who changes what on which device, on disk before the change is sent."""

import asyncio
import json
import os
import pwd
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from exporter.devices.device import DeviceTarget
from exporter.vapix.ntp_configuration import NtpClientConfiguration


class AuditFailed(Exception):
    """The audit log cannot be opened or written; `str()` says why."""


def operator(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the account that runs this, as the kernel has it, and the account that used sudo."""
    number = os.getuid()
    try:
        name = pwd.getpwuid(number).pw_name
    except KeyError:  # accounts in a container may have no name
        name = f"uid {number}"
    through = environ.get("SUDO_USER")
    return {"user": name} | ({"sudo_user": through} if through else {})


class AuditLog:
    """Appends JSON lines to an open file; each line is on disk when its call returns.

    `who`, from `operator`, is part of every line; `now` returns the time in UTC.
    """

    def __init__(
        self, descriptor: int, path: Path, who: Mapping[str, str], now: Callable[[], datetime]
    ) -> None:
        self._descriptor = descriptor
        self._path = path
        self._who = dict(who)
        self._now = now
        self._lock = asyncio.Lock()
        self._failure: AuditFailed | None = None

    async def append(
        self,
        event: str,
        target: DeviceTarget,
        before: NtpClientConfiguration,
        after: NtpClientConfiguration | None,
        **more: str | None,
    ) -> None:
        """Append a line; `after` is `None` if unknown. Raises `AuditFailed`."""
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
        async with self._lock:
            # In a thread: a slow disk must not delay the devices in progress.
            await asyncio.to_thread(self._write, line)

    def _write(self, line: bytes) -> None:
        # Write nothing after a failure: it would be appended to an incomplete line.
        if self._failure is not None:
            raise self._failure
        try:
            # A single write, so that the lines of two runs never mix.
            written = os.write(self._descriptor, line)
            os.fsync(self._descriptor)
            problem = None if written == len(line) else "the disk is full"
        except OSError as error:
            problem = str(error.strerror)
        if problem is not None:
            self._failure = AuditFailed(f"{self._path}: cannot be written: {problem}")
            raise self._failure


@contextmanager
def open_audit_log(
    path: Path, who: Mapping[str, str], now: Callable[[], datetime]
) -> Iterator[AuditLog]:
    """Open the audit log in `path`, and create it if missing. Raises `AuditFailed`."""
    # Non-blocking: opening a pipe without a reader would wait.
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
    with ExitStack() as stack:
        try:
            descriptor = os.open(path, flags, 0o640)
            stack.callback(os.close, descriptor)
            _prepare(descriptor, path)
        except OSError as problem:
            raise AuditFailed(f"{path}: cannot be opened: {problem.strerror}") from None
        yield AuditLog(descriptor, path, who, now)


def _prepare(descriptor: int, path: Path) -> None:
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        raise AuditFailed(f"{path}: not a regular file, so the audit log would be lost")
    if not _ends_a_line(path):
        os.write(descriptor, b"\n")  # after a crash the last line may be incomplete
    _sync_folder(path.resolve().parent)


def _ends_a_line(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(0, end - 1))
            return file.read(1) in (b"", b"\n")
    except PermissionError:  # we may be allowed to append but not to read
        return True


def _sync_folder(folder: Path) -> None:
    """Make sure that a new file still exists after a crash."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
