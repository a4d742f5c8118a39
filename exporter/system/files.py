"""Read regular files, and detect changes of files by their contents."""

import errno
import fcntl
import hashlib
import os
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

import structlog

from exporter.system.threads import FILES_TIMEOUT_SECONDS, HungCallGuard

MAX_FILE_BYTES: Final = 64 * 2**20
"""The config of the largest fleet is a tenth of it; a file without end must not fill the memory."""

NO_FILE_LEFT: Final = {errno.EMFILE, errno.ENFILE}
"""The process, or its host, has as many open files as it may have: not the device's fault."""

Digests = Mapping[Path, bytes | None]
"""The SHA-256 of each file's content, `None` for a file that cannot be read."""

_log = structlog.get_logger()


def open_regular(file: Path) -> BinaryIO:
    """Open a regular file for reading; the caller closes it. Raises `OSError`, also for a pipe."""
    # Opening a pipe would wait for its writer. A check before opening could see another file.
    extra = os.O_NONBLOCK | os.O_NOCTTY
    opened = open(file, "rb", opener=lambda name, flags: os.open(name, flags | extra))  # noqa: SIM115
    if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
        opened.close()
        raise OSError(errno.EINVAL, "not a regular file", str(file))
    return opened


def read_regular(file: Path) -> bytes:
    """Return the content of a regular file of at most `MAX_FILE_BYTES`. Raises `OSError`."""
    with open_regular(file) as opened:
        content: bytes | None = opened.read(MAX_FILE_BYTES + 1)
    if content is None:  # a file of /proc that waits for news, as /proc/kmsg does
        raise OSError(errno.EAGAIN, "it has nothing to read yet", str(file))
    if len(content) > MAX_FILE_BYTES:
        raise OSError(errno.EFBIG, f"larger than {MAX_FILE_BYTES} bytes", str(file))
    return content


def replace_file(file: Path, text: str) -> None:
    """Write a file under another name and rename it, so that no reader sees half of it.

    A device such as /dev/stdout, or a pipe, is written to. Raises `OSError`, also for a file that
    is there and may not be written.
    """
    if file.exists() and not file.is_file():
        file.write_text(text, encoding="utf-8")
        return
    file = file.resolve()  # of a link, the file that it leads to is replaced
    if file.exists() and not os.access(file, os.W_OK, effective_ids=True):
        raise OSError(errno.EACCES, os.strerror(errno.EACCES), str(file))
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    new = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
            opened.write(text)
            os.fchmod(opened.fileno(), _mode_of(file))
            _keep_owner(opened.fileno(), file)
        new.replace(file)
    except BaseException:
        new.unlink(missing_ok=True)
        raise


def _mode_of(file: Path) -> int:
    """Return the permissions of a file; of a new one, what every user may read."""
    try:
        return stat.S_IMODE(file.stat().st_mode)
    except FileNotFoundError:
        return 0o644


def _keep_owner(descriptor: int, file: Path) -> None:
    """Give a file the owner of the one that it replaces, if this user may: root may."""
    with suppress(FileNotFoundError, PermissionError):
        owner = file.stat()
        os.fchown(descriptor, owner.st_uid, owner.st_gid)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes that lock this folder waiting. Raises `OSError`."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def find_lack_of_files() -> int | None:
    """Return the error number if the process or its host has no file left, else `None`."""
    try:
        os.close(os.open("/", os.O_RDONLY))
    except OSError as error:
        return error.errno if error.errno in NO_FILE_LEFT else None
    return None


def digest(file: Path) -> bytes:
    """Return the SHA-256 of a file's content. Raises `OSError`."""
    return hashlib.sha256(read_regular(file)).digest()


def digests(files: Iterable[Path]) -> Digests:
    """Return the digests of files as they are now."""
    return {file: _digest_or_none(file) for file in files}


def _digest_or_none(file: Path) -> bytes | None:
    try:
        return digest(file)
    except (OSError, ValueError):  # ValueError: a path with a null byte
        return None


class FileWatcher:
    """Detects that files have changed, by their contents: timestamps may stay the same.

    `list_files` is called at each check, in a thread. A file that enters or leaves the list does
    not count as changed. `seen` are digests from before the watcher was made.
    """

    def __init__(self, list_files: Callable[[], Iterable[Path]], seen: Digests) -> None:
        self._guard = HungCallGuard(lambda: digests(list_files()), FILES_TIMEOUT_SECONDS)
        self._seen = self._reported = seen
        self.is_still = True
        """Whether the last two checks have found the same."""

    async def has_changed(self) -> bool:
        """Whether files have changed and then were the same at two checks in a row.

        A file that is being written is never read in part, unless its writer pauses for that long.
        """
        try:
            now = await self._guard.result()
        except TimeoutError:
            _log.warning("files.check_timed_out", advice="check their disk or network share")
            self.is_still = False
            return False
        self.is_still, self._seen = not _differ(self._seen, now), now
        if not self.is_still:
            return False
        before, self._reported = self._reported, now
        return _differ(before, now)


def _differ(before: Digests, now: Digests) -> bool:
    return any(digest != before.get(file, digest) for file, digest in now.items())
