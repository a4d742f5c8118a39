"""Read regular files, and detect changes of files by their contents."""

import asyncio
import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import BinaryIO

Digests = Mapping[Path, bytes | None]
"""The SHA-256 of each file's content, `None` for a file that cannot be read."""


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
    """Return the content of a regular file. Raises `OSError`."""
    with open_regular(file) as opened:
        return opened.read()


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
        self._list_files = list_files
        self._seen = seen

    async def has_changed(self) -> bool:
        """Whether a file has changed since the last check."""
        now = await asyncio.to_thread(lambda: digests(self._list_files()))
        before, self._seen = self._seen, now
        return any(digest != before.get(file, digest) for file, digest in now.items())
