"""Logging: one format for our events (structlog) and those of libraries (`logging`).

The daemon's lines go through a bounded queue to a thread that writes them: a pipe that nobody
reads, or a full disk, costs log lines, never the event loop.
"""

import logging
import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from logging.handlers import QueueHandler, QueueListener
from queue import Full, Queue
from threading import Thread
from typing import Any, Final, Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

Level = Literal["debug", "info", "warn", "error"]
Format = Literal["logfmt", "json"]

MAX_WAITING_LINES: Final = 10_000
"""Some megabytes, and more lines than a large fleet logs while a reader pauses for a moment."""

STANDARD_ERROR: Final = 2

FLUSH_SECONDS: Final = 0.3
"""How long the end of the process waits for lines that are not written yet."""


def configure_logging(level: Level, style: Format, stream: TextIO | None = None) -> None:
    """Write all log lines to `stream` (default: standard error) in one format.

    An event is a dotted name with fields: `device.failed device=lobby reason=timeout`.
    """
    _configure(level, style, logging.StreamHandler(stream or sys.stderr))


@contextmanager
def logging_in_background(
    level: Level, style: Format, descriptor: int = STANDARD_ERROR
) -> Iterator[None]:
    """Log to standard error as `configure_logging` does, but never wait for its reader."""
    handler = _BackgroundHandler(descriptor)
    _configure(level, style, handler)
    try:
        yield
    finally:
        handler.flush()


def dropped_log_lines() -> int:
    """Return how many lines were lost: the queue was full, or they could not be written."""
    return sum(handler.dropped + handler.writer.dropped for handler in _background_handlers())


def _background_handlers() -> list["_BackgroundHandler"]:
    return [each for each in logging.getLogger().handlers if isinstance(each, _BackgroundHandler)]


class _BackgroundHandler(QueueHandler):
    """Puts each line into a queue for the thread that writes; drops it if the queue is full."""

    def __init__(self, descriptor: int) -> None:
        lines: Queue[str | None] = Queue(MAX_WAITING_LINES)
        super().__init__(lines)
        self.writer = _Writer(lines, descriptor)
        self.writer.start()
        # Waiting for the writer itself has no limit.
        self._flushing = Thread(target=self.writer.stop, daemon=True, name="log flush")
        self.dropped = 0

    def prepare(self, record: logging.LogRecord) -> str:
        """Return the finished line: rendered here, it shows the values of this moment."""
        return self.format(record) + "\n"

    def enqueue(self, record: Any) -> None:  # noqa: ANN401 - the line, as `prepare` made it
        """Put a line into the queue."""
        try:
            self.queue.put_nowait(record)
        except Full:
            self.dropped += 1

    def flush(self) -> None:
        """Wait until the lines are written, but only `FLUSH_SECONDS`. Later lines are lost."""
        if self._flushing.ident is None:
            self._flushing.start()
            self._flushing.join(FLUSH_SECONDS)


class _Writer(QueueListener):
    """Writes lines to a file descriptor, in a thread that does not keep the process from ending.

    It takes no lock that the end of the process needs: not a handler's, not a stream's.
    """

    def __init__(self, queue: Queue[str | None], descriptor: int) -> None:
        super().__init__(queue)
        self._lines = queue
        self._descriptor = descriptor
        self.dropped = 0

    def handle(self, record: Any) -> None:  # noqa: ANN401 - a line, as `prepare` made it
        """Write a line."""
        try:
            self._write(record.encode(errors="backslashreplace"))
        except OSError:
            self.dropped += 1

    def _write(self, line: bytes) -> None:
        while line:
            try:
                line = line[os.write(self._descriptor, line) :]
            except BlockingIOError:  # another process has set our standard error so
                select.select((), (self._descriptor,), ())

    def enqueue_sentinel(self) -> None:
        """Put the end into the queue, after all lines, even if it is full."""
        self._lines.put(None)


def _configure(level: Level, style: Format, handler: logging.Handler) -> None:
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        # A traceback as text, without local variables: they may contain passwords.
        structlog.processors.format_exc_info,
    ]
    renderers: list[Processor] = [structlog.processors.JSONRenderer(default=str)]
    if style == "logfmt":
        first = ["time", "level", "event"]
        renderers = [_escape, structlog.processors.LogfmtRenderer(key_order=first)]
    minimum = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(minimum),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *renderers,
            ],
            foreign_pre_chain=shared,
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(minimum)


def _escape(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Escape control characters, so that a value can neither forge a line nor color a terminal."""
    return {key: _escape_value(value) for key, value in event.items()}


def _escape_value(value: Any) -> Any:  # noqa: ANN401 - a log field has any type
    if not isinstance(value, str) or value.isprintable():
        return value
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in value)
