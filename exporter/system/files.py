"""Regular files, and whether they have changed: by what is in them, not by their time stamps."""

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
    """A regular file, open for reading. Raises `OSError`, for everything else too."""
    opened = open(file, "rb", opener=_at_once)  # noqa: SIM115 - whoever called closes it
    if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
        opened.close()
        raise OSError(errno.EINVAL, "not a regular file", str(file))
    return opened


def _at_once(file: str, flags: int) -> int:
    # A pipe would wait for its writer; and only what is open is sure to be what was looked at.
    return os.open(file, flags | os.O_NONBLOCK | os.O_NOCTTY)


def read_regular(file: Path) -> bytes:
    """What is in a regular file. Raises `OSError`."""
    with open_regular(file) as opened:
        return opened.read()


def digest(file: Path) -> bytes:
    """A checksum of what is in a file. Raises `OSError`."""
    return hashlib.sha256(read_regular(file)).digest()


def digests(files: Iterable[Path]) -> Digests:
    """The checksums of files as they are now."""
    return {file: _digest_or_none(file) for file in files}


def _digest_or_none(file: Path) -> bytes | None:
    try:
        return digest(file)
    except (OSError, ValueError):  # the latter for a name that no file can have
        return None
