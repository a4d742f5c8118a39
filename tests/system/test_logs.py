"""Log lines: one format, one line per event, no control characters."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from exporter.system import logs
from exporter.system.logs import Format, Level
from tests.support.full_pipe import full_pipe
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


def test_a_reader_that_stops_costs_lines_and_no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "MAX_WAITING_LINES", 3)
    with full_pipe() as stderr, logs.logging_in_background("info", "logfmt", stderr):
        for _ in range(10):
            structlog.get_logger().info("device.failed")
        # One line is with the thread that writes, if it has taken it already.
        assert logs.dropped_log_lines() in (6, 7)


def test_lines_logged_in_the_background_are_written_in_order_until_the_end(tmp_path: Path) -> None:
    file = tmp_path / "log"
    with (
        file.open("w") as stderr,
        logs.logging_in_background("info", "logfmt", stderr.fileno()),
    ):
        for number in range(500):
            structlog.get_logger().info("device.failed", number=number)
        assert logs.dropped_log_lines() == 0
    numbers = [int(line.rpartition("=")[2]) for line in file.read_text().splitlines()]
    assert numbers == list(range(500))
