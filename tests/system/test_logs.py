"""Log lines: one format, one line per event, no control characters."""

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from exporter.system.logs import Format, Level
from tests.support.log_lines import log_to, logging_put_back


@pytest.fixture(autouse=True)
def untouched_logging() -> Iterator[None]:
    with logging_put_back():
        yield


def test_a_logfmt_line_starts_with_time_level_and_event() -> None:
    stream = log_to()
    structlog.get_logger().info("device.failed", device="lobby", reason="timeout")
    line = stream.getvalue()
    assert line.startswith("time=20")
    assert line.endswith("Z level=info event=device.failed device=lobby reason=timeout\n")


def test_a_json_line_is_an_object() -> None:
    stream = log_to(style="json")
    structlog.get_logger().warning("device.failed", device="lobby")
    line = json.loads(stream.getvalue())
    assert (line["level"], line["event"], line["device"]) == ("warning", "device.failed", "lobby")


@pytest.mark.parametrize(("level", "seen"), [("debug", 4), ("info", 3), ("warn", 2), ("error", 1)])
def test_events_below_the_level_are_not_logged(level: Level, seen: int) -> None:
    stream = log_to(level)
    log = structlog.get_logger()
    log.debug("a")
    log.info("b")
    log.warning("c")
    log.error("d")
    assert len(stream.getvalue().splitlines()) == seen


def test_other_libraries_log_in_the_same_format() -> None:
    stream = log_to()
    logging.getLogger("asyncio").error("Task exception was never retrieved")
    assert " level=error event=" in stream.getvalue()


@pytest.mark.parametrize("style", ["logfmt", "json"])
def test_a_value_cannot_forge_a_line_or_color_a_terminal(style: Format) -> None:
    stream = log_to(style=style)
    structlog.get_logger().info("x", error="a\nlevel=error event=forged \x1b[31m\r\u2028\x85")
    assert len(stream.getvalue().splitlines()) == 1
    assert "\x1b" not in stream.getvalue()


def test_a_traceback_shows_no_local_variables() -> None:
    stream = log_to()
    password = "hunter2"
    try:
        _ = len(password) / 0
    except ZeroDivisionError:
        structlog.get_logger().exception("poll.internal_error")
    assert "Traceback" in stream.getvalue()
    assert "hunter2" not in stream.getvalue()
