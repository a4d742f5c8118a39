"""File discovery: find files by pattern and read their target groups."""

import os
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from exporter.config.schema import FileSdConfig
from exporter.discovery.target_groups import (
    GroupReader,
    RefreshFailed,
    RefreshResult,
    Source,
)
from exporter.system.files import read_regular
from exporter.system.threads import HungCallGuard

READ_TIMEOUT_SECONDS: Final = 30.0

STOP_TIMEOUT_SECONDS: Final = 1.0
"""A thread that runs while Python shuts down can crash the process, so it is waited for."""


class FileSD:
    """Discovers devices from files by pattern. Each file is a source.

    The patterns are the sources in reports of a failure before any file is known.
    """

    def __init__(self, config: FileSdConfig, timeout_seconds: float = READ_TIMEOUT_SECONDS) -> None:
        self.interval_seconds = config.refresh_interval
        self.configured_sources = tuple(map(_source, config.files))
        self._patterns = config.files
        self._timeout_seconds = timeout_seconds
        self._reader = GroupReader()
        self._guard = HungCallGuard(self._read, timeout_seconds)

    def covers(self, source: Source) -> bool:
        """Whether a pattern matches this file."""
        return source.mechanism == "file" and any(
            matches(Path(source.name), pattern) for pattern in self._patterns
        )

    async def stop(self) -> None:
        """End the reading, so that no thread runs when the process ends; a hung one may stay."""
        self._reader.stop.set()
        await self._guard.wait_until_idle(STOP_TIMEOUT_SECONDS)

    async def refresh(self) -> list[RefreshResult]:
        """Read every file that a pattern matches. Raises `RefreshFailed`."""
        try:
            return await self._guard.result()
        except TimeoutError:
            raise RefreshFailed(
                f"the files could not be read within {self._timeout_seconds:g} s: "
                "check their disk or network share"
            ) from None
        except OSError as error:
            raise RefreshFailed(f"{error.filename}: {error.strerror}") from None

    def _read(self) -> list[RefreshResult]:
        files = find_files(self._patterns)
        self._reader.forget_except({_source(file) for file in files})
        return [self._read_source(file) for file in files]

    def _read_source(self, file: Path) -> RefreshResult:
        source, is_json = _source(file), file.suffix in (".json", ".JSON")
        try:
            targets = self._reader.read(source, read_regular(file), is_json=is_json)
        except OSError as error:
            return RefreshResult(source, None, (f"cannot be read: {error.strerror}",))
        except ValueError as error:
            return RefreshResult(source, None, (str(error),))
        return RefreshResult(source, *targets)


def _source(file: Path) -> Source:
    # A file name may be any bytes, but the label of a metric is UTF-8.
    return Source("file", os.fsencode(file).decode(errors="replace"))


def find_files(patterns: Iterable[Path]) -> list[Path]:
    """Return the files of all patterns, each once, in order. Raises `OSError`."""
    return list(dict.fromkeys(file for pattern in patterns for file in _files_of(pattern)))


def matches(file: Path, pattern: Path) -> bool:
    """Whether a pattern matches a file name."""
    # Prometheus negates a character class with [^…], Python with [!…].
    return file.parent == pattern.parent and fnmatchcase(
        file.name, pattern.name.replace("[^", "[!")
    )


def _files_of(pattern: Path) -> Iterator[Path]:
    try:
        if set(pattern.name) & set("*?["):
            yield from sorted(f for f in pattern.parent.iterdir() if matches(f, pattern))
        elif pattern.lstat():
            yield pattern
    except (FileNotFoundError, NotADirectoryError):
        return  # as in Prometheus: a missing file or folder has no targets
