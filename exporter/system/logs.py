"""Logging: one format for our events (structlog) and those of libraries (`logging`)."""

import logging
import sys
from typing import Any, Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

Level = Literal["debug", "info", "warn", "error"]
Format = Literal["logfmt", "json"]


def configure_logging(level: Level, style: Format, stream: TextIO | None = None) -> None:
    """Write all log lines to `stream` (default: standard error) in one format.

    An event is a dotted name with fields: `device.failed device=lobby reason=timeout`.
    """
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
    handler = logging.StreamHandler(stream or sys.stderr)
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
