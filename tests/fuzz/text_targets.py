"""Targets for short texts: addresses, durations, and log lines of whatever devices say."""

import argparse
import json
from typing import Final

import structlog
from yarl import URL

from exporter.system.addresses import (
    LONGEST_ADDRESS,
    canonical_host,
    listen_address,
    split_address,
    without_zone,
)
from exporter.system.logs import Format
from exporter.system.text import display_name, format_duration, parse_duration
from exporter.vapix.errors import printable
from tests.fuzz.seeds import ADDRESSES, DURATIONS, LOG_VALUES
from tests.fuzz.target import FuzzTarget, check_text
from tests.support.log_lines import log_to, logging_put_back

_LONGEST_QUOTED: Final = LONGEST_ADDRESS * len("\\U0010ffff") + 200
_LONGEST_DURATION_SECONDS: Final = 1e22
_EXACT_MILLISECONDS: Final = 2**53 / 2000
_STYLES: Final[tuple[Format, ...]] = ("logfmt", "json")


def address(data: bytes) -> None:
    text = data.decode(errors="replace")
    canonical_host(text)
    _check_listen_address(text)
    host, port = split_address(text)
    assert port is None or 0 < port < 65_536
    assert canonical_host(canonical_host(host)) == canonical_host(host)
    bare = f"[{host}]" if ":" in host else host
    assert split_address(host) == (host, None)
    assert split_address(bare if port is None else f"{bare}:{port}") == (host, port)
    url = URL.build(scheme="http", host=host, port=port, path="/")
    assert url.raw_host
    assert without_zone(without_zone(host)) == without_zone(host)
    assert "%" not in without_zone(host)


def _check_listen_address(text: str) -> None:
    try:
        host, port = listen_address(text)
    except argparse.ArgumentTypeError as problem:
        check_text(str(problem), 12 * len(text) + 200)
        return
    assert 0 <= port < 65_536
    again = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    assert listen_address(again) == (host, port)


def duration(data: bytes) -> None:
    text = data.decode(errors="replace")[:200]
    seconds = parse_duration(text)
    assert 0 <= seconds < _LONGEST_DURATION_SECONDS
    formatted = format_duration(seconds)
    if seconds < _EXACT_MILLISECONDS:
        assert parse_duration(formatted) == seconds
    assert format_duration(parse_duration(formatted)) == formatted


def log_line(data: bytes) -> None:
    """The first byte chooses the format; lines are the values of fields."""
    choice = data[0] if data else 0
    values = data[1:].decode(errors="surrogateescape" if choice & 2 else "replace").split("\n", 2)
    fields = dict(zip(("error", "device"), values, strict=False))
    style = _STYLES[choice & 1]
    check_text(f"[{printable(values[0])}]", 10 * 200 + 10)
    check_text(f"[{display_name(values[0], values[-1])}]", 12 * len(data) + 100)
    with logging_put_back():
        stream = log_to(style=style)
        structlog.get_logger().warning("device.failed", **fields)
    line = stream.getvalue()
    assert line.endswith("\n")
    check_text(line[:-1], 12 * len(data) + 200)
    line.encode()
    if style == "json":
        assert json.loads(line).keys() == {"time", "level", "event", *fields}


TEXT_TARGETS: Final = (
    FuzzTarget("address", address, ADDRESSES, (ValueError,), _LONGEST_QUOTED),
    FuzzTarget("duration", duration, DURATIONS, (ValueError,), 200 * 10 + 200),
    FuzzTarget("log-line", log_line, LOG_VALUES),
)
