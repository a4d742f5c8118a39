"""What the exporter's own logging writes."""

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from exporter.system.logs import Format, Level, configure_logging


@contextmanager
def logging_put_back() -> Iterator[None]:
    """Within the block logging may be configured; afterwards it is as it was."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    try:
        yield
    finally:
        root.handlers[:], level = before
        root.setLevel(level)
        structlog.reset_defaults()


def log_to(level: Level = "info", style: Format = "logfmt") -> io.StringIO:
    """Log from now on to what is returned."""
    stream = io.StringIO()
    configure_logging(level, style, stream)
    return stream
