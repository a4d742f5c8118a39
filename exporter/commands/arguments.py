"""What several subcommands take from the command line, and how it is read."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from exporter.fleet.sharding import Shard, parse_shard
from exporter.system.addresses import LARGEST_PORT
from exporter.system.durations import parse_duration
from exporter.system.listen_address import DEFAULT_PORT, listen_address
from exporter.web.listener import WebSettings

LARGEST_COUNT: Final = 10_000
DEFAULT_CONFIG_FILE: Final = Path("config.yaml")


def add_config_file(parser: argparse.ArgumentParser) -> None:
    """`--config.file`."""
    parser.add_argument(
        "--config.file",
        dest="config_file",
        type=_file,
        default=DEFAULT_CONFIG_FILE,
        metavar="FILE",
        help="the config file (default: %(default)s)",
    )


def add_web(parser: argparse.ArgumentParser, default_host: str) -> None:
    """`--web.*`: where the web side listens, what it calls the metrics, whom it lets in."""
    default = f"{default_host}:{DEFAULT_PORT}"
    parser.add_argument(
        "--web.listen-address",
        dest="listen",
        type=listen_address,
        action="append",
        metavar="ADDRESS",
        help=f"host:port, [v6]:port or :port to listen on; repeatable (default: {default})",
    )
    parser.add_argument(
        "--web.telemetry-path",
        dest="telemetry_path",
        type=telemetry_path,
        default="/metrics",
        metavar="PATH",
        help="path of the metrics (default: %(default)s)",
    )
    parser.add_argument(
        "--web.config.file",
        dest="web_config_file",
        type=_file_or_none,
        metavar="FILE",
        help="a web-config as Prometheus's exporters have it: TLS, basic auth, headers",
    )


def add_log(parser: argparse.ArgumentParser) -> None:
    """`--log.*`: how much is logged to standard error, and in which form."""
    parser.add_argument(
        "--log.level",
        dest="log_level",
        choices=("debug", "info", "warn", "error"),
        default="info",
        help="the least that is logged (default: %(default)s)",
    )
    parser.add_argument(
        "--log.format",
        dest="log_format",
        choices=("logfmt", "json"),
        default="logfmt",
        help="form of the log lines (default: %(default)s)",
    )


def web_settings(arguments: argparse.Namespace, default_host: str) -> WebSettings:
    """What `add_web` has read."""
    listen = tuple(arguments.listen or [(default_host, DEFAULT_PORT)])
    return WebSettings(listen, arguments.telemetry_path, arguments.web_config_file)


def _file(text: str) -> Path:
    if not text:
        # As a path it would be the folder that we are in.
        raise argparse.ArgumentTypeError("must name a file")
    return Path(text)


def _file_or_none(text: str) -> Path | None:
    return Path(text) if text else None


def device_count(text: str) -> int:
    """How many simulated devices. Raises `argparse.ArgumentTypeError`."""
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= LARGEST_PORT):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of devices")
    return int(text)


def positive_count(text: str) -> int:
    """How many at once. Raises `argparse.ArgumentTypeError`."""
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= LARGEST_COUNT):
        raise argparse.ArgumentTypeError(f"{text!r} is not within 1 to {LARGEST_COUNT}")
    return int(text)


def duration_seconds(text: str) -> float:
    """A duration as Prometheus writes it, over zero. Raises `argparse.ArgumentTypeError`."""
    try:
        seconds = parse_duration(text)
    except ValueError as problem:
        raise argparse.ArgumentTypeError(str(problem)) from None
    if seconds <= 0:
        raise argparse.ArgumentTypeError("must be longer than 0s")
    return seconds


def shard(text: str) -> Shard:
    """`I/N`. Raises `argparse.ArgumentTypeError`."""
    try:
        return parse_shard(text)
    except ValueError as problem:
        raise argparse.ArgumentTypeError(str(problem)) from None


def telemetry_path(text: str) -> str:
    """A path of its own for the metrics. Raises `argparse.ArgumentTypeError`."""
    taken = text in ("/", "/config", "/probe", "/discover") or text.startswith(("/-/", "/device/"))
    if not text.startswith("/") or taken or set(text) & set(" ?#{}%"):
        raise argparse.ArgumentTypeError(f"{text!r} is no free path such as /metrics")
    return text
