"""The output of the exporter's logging."""

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from exporter.system.logs import Format, Level, configure_logging


@contextmanager
def logging_put_back() -> Iterator[None]:
    """Restore the logging configuration after the block."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    try:
        yield
    finally:
        root.handlers[:], level = before
        root.setLevel(level)
        structlog.reset_defaults()


def log_to(level: Level = "info", style: Format = "logfmt") -> io.StringIO:
    """Configure logging to a new stream and return it."""
    stream = io.StringIO()
    configure_logging(level, style, stream)
    return stream
