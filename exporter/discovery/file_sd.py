"""File discovery: find files by pattern and read their target groups."""

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from exporter.config.relabel import RelabelConfig
from exporter.config.schema import FileSdConfig
from exporter.discovery.target_groups import (
    GroupReader,
    RefreshFailed,
    RefreshResult,
    Source,
    failed,
)
from exporter.system.files import read_regular
from exporter.system.threads import HungCallGuard

READ_TIMEOUT_SECONDS: Final = 30.0

SECOND_LOOK_SECONDS: Final = 5.0
"""How soon a file that has changed is read again, to see whether it is complete."""

STOP_TIMEOUT_SECONDS: Final = 1.0
"""A thread that runs while Python shuts down can crash the process, so it is waited for."""


class FileSD:
    """Discovers devices from files by pattern. Each file is a source.

    A file that has changed is taken once two refreshes in a row have found the same content: its
    writer may not be ready. Those of the first refresh are taken at once.

    The patterns are the sources in reports of a failure before any file is known.
    """

    def __init__(
        self,
        config: FileSdConfig,
        rules: Sequence[RelabelConfig] = (),
        timeout_seconds: float = READ_TIMEOUT_SECONDS,
    ) -> None:
        self._refresh_interval = config.refresh_interval
        self.configured_sources = tuple(map(file_source, config.files))
        self._patterns = config.files
        self._timeout_seconds = timeout_seconds
        self._reader = GroupReader(rules)
        self._digests: dict[Source, bytes] | None = None
        self._results: dict[Source, RefreshResult] = {}
        self._all_are_still = True
        self._guard = HungCallGuard(self._read, timeout_seconds)

    @property
    def interval_seconds(self) -> float:
        """How long to wait for the next refresh: shorter while a file changes."""
        interval = self._refresh_interval
        return interval if self._all_are_still else min(interval, SECOND_LOOK_SECONDS)

    def covers(self, source: Source) -> bool:
        """Whether a pattern matches this file."""
        return source.mechanism == "file" and any(
            matches(Path(source.name), pattern) for pattern in self._patterns
        )

    def end_reading(self) -> None:
        """End the reading soon: its result is of no use any more."""
        self._reader.stop.set()

    async def stop(self) -> None:
        """End the reading, so that no thread runs when the process ends; a hung one may stay."""
        self.end_reading()
        await self._guard.wait_until_idle(STOP_TIMEOUT_SECONDS)

    async def refresh(self) -> list[RefreshResult]:
        """Read every file that a pattern matches. Raises `RefreshFailed`."""
        while True:
            try:
                return await self._guard.result()
            except TimeoutError:
                if self._reader.is_busy:
                    continue  # it relabels, which has a limit of its own
                raise RefreshFailed(
                    f"the files could not be read within {self._timeout_seconds:g} s: "
                    "check their disk or network share"
                ) from None
            except OSError as error:
                raise RefreshFailed(f"{error.filename}: {error.strerror}") from None

    def _read(self) -> list[RefreshResult]:
        files = find_files(self._patterns)
        self._reader.forget_except({file_source(file) for file in files})
        before, self._digests = self._digests, {}
        self._all_are_still = True
        results = [self._read_source(file, self._digests, before) for file in files]
        self._results = {result.source: result for result in results if result is not None}
        return [*self._results.values()]

    def _read_source(
        self, file: Path, digests: dict[Source, bytes], before: Mapping[Source, bytes] | None
    ) -> RefreshResult | None:
        """Return the last result, `None` for a new file, if the file may be incomplete."""
        source = file_source(file)
        try:
            document = read_regular(file)
        except OSError as error:
            return failed(source, f"cannot be read: {error.strerror}")
        digests[source] = hashlib.sha256(document).digest()
        if before is not None and before.get(source) != digests[source]:
            self._all_are_still = False
            return self._results.get(source)
        return self._parse(source, document, is_json=file.suffix in (".json", ".JSON"))

    def _parse(self, source: Source, document: bytes, *, is_json: bool) -> RefreshResult:
        try:
            return RefreshResult(source, *self._reader.read(source, document, is_json=is_json))
        except ValueError as error:
            return failed(source, str(error))


def file_source(file: Path) -> Source:
    """Return the source that a file is."""
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
