"""Read regular files, and detect changes by content instead of timestamps."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import BinaryIO

Digests = Mapping[Path, bytes | None]
"""The checksum of each file, `None` for one that cannot be read."""


def open_regular(file: Path) -> BinaryIO:
    """Open a regular file for reading. Raises `OSError`, also for anything else, such as a pipe."""
    opened = open(file, "rb", opener=_open_nonblocking)  # noqa: SIM115 - the caller closes it
    if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
        opened.close()
        raise OSError(errno.EINVAL, "not a regular file", str(file))
    return opened


def _open_nonblocking(file: str, flags: int) -> int:
    # Opening a pipe would otherwise wait for a writer. Checking the type before opening would race.
    return os.open(file, flags | os.O_NONBLOCK | os.O_NOCTTY)


def read_regular(file: Path) -> bytes:
    """Return the content of a regular file. Raises `OSError`."""
    with open_regular(file) as opened:
        return opened.read()


def digest(file: Path) -> bytes:
    """Return a checksum of a file's content. Raises `OSError`."""
    return hashlib.sha256(read_regular(file)).digest()


def digests(files: Iterable[Path]) -> Digests:
    """Return the current checksums of files."""
    return {file: _digest_or_none(file) for file in files}


def _digest_or_none(file: Path) -> bytes | None:
    try:
        return digest(file)
    except (OSError, ValueError):  # ValueError: a name with a null byte
        return None
