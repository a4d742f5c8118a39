"""Files of target groups by pattern: which there are, and what is in one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from exporter.system.files import open_regular

LARGEST_BYTES: Final = 64 * 1024 * 1024
"""A list of 100,000 devices takes a fifth of it."""

_GONE: Final = (FileNotFoundError, NotADirectoryError)


class UnreadableFile(ValueError):
    """A file that tells nothing; `str()` says why."""


def matching(patterns: Iterable[Path]) -> list[Path]:
    """The files of all patterns, each once, in order. Raises `OSError` for an unreadable folder."""
    return list(dict.fromkeys(file for pattern in patterns for file in _files_of(pattern)))


def matches(file: Path, pattern: Path) -> bool:
    """Whether a pattern finds a file of this name."""
    # Prometheus's patterns say "none of these" as [^…], Python's as [!…].
    return file.parent == pattern.parent and fnmatchcase(
        file.name, pattern.name.replace("[^", "[!")
    )


def _files_of(pattern: Path) -> Iterator[Path]:
    try:
        if set(pattern.name) & set("*?["):
            yield from sorted(f for f in pattern.parent.iterdir() if matches(f, pattern))
        elif pattern.lstat():
            yield pattern
    except _GONE:
        return  # as in Prometheus: what is not there has no devices


def read_text(file: Path) -> str:
    """The text of a regular file. Raises `Unreadable`."""
    try:
        return _read(file).decode()
    except OSError as problem:
        raise UnreadableFile(f"cannot be read: {problem.strerror}") from None
    except UnicodeDecodeError:
        raise UnreadableFile("is not UTF-8 text") from None


def _read(file: Path) -> bytes:
    with open_regular(file) as opened:
        content = opened.read(LARGEST_BYTES + 1)
    if len(content) > LARGEST_BYTES:
        raise UnreadableFile(f"is larger than {LARGEST_BYTES} bytes")
    return content
