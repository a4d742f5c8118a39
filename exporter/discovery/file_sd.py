"""File discovery: find files by pattern and read their target groups."""

import asyncio
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from fnmatch import fnmatchcase
from pathlib import Path
from threading import Thread
from typing import Final, Generic, TypeVar

from exporter.config.schema import FileSdConfig
from exporter.discovery.target_groups import (
    MAX_DOCUMENT_BYTES,
    GroupReader,
    RefreshFailed,
    RefreshResult,
    Source,
)
from exporter.system.files import open_regular

READ_TIMEOUT_SECONDS: Final = 30.0

STOP_TIMEOUT_SECONDS: Final = 1.0
"""A thread that runs while Python shuts down can crash the process, so it is waited for."""

T = TypeVar("T")


class HungCallGuard(Generic[T]):
    """Runs a call that may hang, such as reading from a network share whose server is down.

    The call runs in a daemon thread, so that it never keeps the process from ending. No second
    call starts while one hangs.
    """

    def __init__(self, call: Callable[[], T], timeout_seconds: float) -> None:
        self._call = call
        self._timeout_seconds = timeout_seconds
        self._running: Future[T] | None = None

    async def result(self) -> T:
        """Return the result of the call that still hangs or a new one. Raises `TimeoutError`."""
        running = self._running = self._running or _start_thread(self._call)
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await asyncio.wrap_future(running)
        finally:
            if running.done():
                self._running = None

    async def wait_until_idle(self, timeout_seconds: float) -> None:
        """Wait for the end of the call that still runs, if any."""
        if self._running is not None:
            await asyncio.wait([asyncio.wrap_future(self._running)], timeout=timeout_seconds)


def _start_thread(call: Callable[[], T]) -> Future[T]:
    future: Future[T] = Future()
    # Marks the future as running, so that cancelling the waiting task does not cancel it.
    future.set_running_or_notify_cancel()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as error:  # noqa: BLE001 - raised again in the waiting task
            future.set_exception(error)

    # Not `asyncio.to_thread`: the process waits for those threads when it ends.
    Thread(target=run, daemon=True, name="discovery").start()
    return future


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
            targets = self._reader.read(source, read_text(file), is_json=is_json)
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


def read_text(file: Path) -> str:
    """Return the text of a regular file. Raises `ValueError`, saying why it cannot be read."""
    try:
        with open_regular(file) as opened:
            content = opened.read(MAX_DOCUMENT_BYTES + 1)
        if len(content) > MAX_DOCUMENT_BYTES:
            raise ValueError(f"is larger than {MAX_DOCUMENT_BYTES} bytes")
        return content.decode()
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8 text") from None
