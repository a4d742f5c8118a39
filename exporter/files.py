"""Whether files have changed: by what is in them, for time stamps tell too much or too little."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

Digests = Mapping[Path, bytes | None]
"""The checksum of each file, `None` for one that cannot be read."""


def digest(file: Path) -> bytes:
    """A checksum of what is in a file. Raises `OSError`."""
    return hashlib.sha256(file.read_bytes()).digest()


def digests(files: Iterable[Path]) -> Digests:
    """The checksums of files as they are now."""
    return {file: _digest_or_none(file) for file in files}


def _digest_or_none(file: Path) -> bytes | None:
    try:
        return digest(file)
    except OSError:
        return None
