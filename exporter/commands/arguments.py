"""Flags that several subcommands share, and types for argparse."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import urlsplit

from exporter.commands.path_flags import add_paths, paths_of
from exporter.system.addresses import DEFAULT_PORT, LARGEST_PORT, listen_address
from exporter.system.text import parse_digits, parse_duration
from exporter.web.limits import MAX_CONNECTIONS
from exporter.web.settings import WebSettings

LARGEST_COUNT: Final = 10_000
DEFAULT_CONFIG_FILE: Final = Path("config.yaml")

HOW_TO_GET_A_CONFIG: Final = (
    "write one with `axis-ntp-exporter init`, or look at simulated devices first with "
    "`axis-ntp-exporter demo`"
)


def add_config_file(parser: argparse.ArgumentParser) -> None:
    """Add `--config.file`."""
    parser.add_argument(
        "--config.file",
        dest="config_file",
        type=file_path,
        default=DEFAULT_CONFIG_FILE,
        metavar="FILE",
        help="the config file (default: %(default)s)",
    )


def add_web(parser: argparse.ArgumentParser, default_host: str) -> None:
    """Add `--web.*`: listen addresses, paths, the web-config."""
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
    add_paths(parser)
    _add_optional_web(parser)


def _add_optional_web(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--web.max-connections",
        dest="max_connections",
        type=positive_count,
        default=MAX_CONNECTIONS,
        metavar="N",
        help="how many connections may be open at once (default: %(default)s)",
    )
    parser.add_argument(
        "--web.grafana-url",
        dest="grafana_url",
        type=grafana_url,
        metavar="URL",
        help="where Grafana has the dashboards; the status pages link to them",
    )
    parser.add_argument(
        "--web.config.file",
        dest="web_config_file",
        type=lambda text: Path(text) if text else None,
        metavar="FILE",
        help="standard Prometheus web config file: TLS, basic auth, headers",
    )


def add_log(parser: argparse.ArgumentParser) -> None:
    """Add `--log.*`."""
    parser.add_argument(
        "--log.level",
        dest="log_level",
        type=lambda text: "warn" if text == "warning" else text,
        choices=("debug", "info", "warn", "error"),
        default="info",
        help="minimum log level (default: %(default)s)",
    )
    parser.add_argument(
        "--log.format",
        dest="log_format",
        choices=("logfmt", "json"),
        default="logfmt",
        help="log format (default: %(default)s)",
    )


def web_settings(arguments: argparse.Namespace, default_host: str) -> WebSettings:
    """Return the settings parsed by the flags of `add_web`."""
    listen = tuple(arguments.listen or [(default_host, DEFAULT_PORT)])
    return WebSettings(
        listen,
        arguments.telemetry_path,
        arguments.web_config_file,
        arguments.max_connections,
        arguments.grafana_url or "",
        paths_of(arguments),
    )


def file_path(text: str) -> Path:
    """Parse the name of a file. Raises `argparse.ArgumentTypeError` if it is empty."""
    if not text:
        # `Path("")` would be the current folder.
        raise argparse.ArgumentTypeError("must name a file")
    return Path(text)


T = TypeVar("T")


def argument_type(parse: Callable[[str], T]) -> Callable[[str], T]:
    """Return a type for argparse that shows the text of the `ValueError` of `parse`."""

    def convert(text: str) -> T:
        try:
            return parse(text)
        except ValueError as problem:
            raise argparse.ArgumentTypeError(str(problem)) from None

    return convert


def device_count(text: str) -> int:
    """Parse a number of simulated devices. Raises `argparse.ArgumentTypeError`."""
    count = parse_digits(text, LARGEST_PORT)
    if not count:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of devices")
    return count


def positive_count(text: str) -> int:
    """Parse a number from 1 to `LARGEST_COUNT`. Raises `argparse.ArgumentTypeError`."""
    count = parse_digits(text, LARGEST_COUNT)
    if not count:
        raise argparse.ArgumentTypeError(f"{text!r} is not within 1 to {LARGEST_COUNT}")
    return count


def duration_seconds(text: str) -> float:
    """Parse a Prometheus duration longer than zero. Raises `argparse.ArgumentTypeError`."""
    try:
        seconds = parse_duration(text)
    except ValueError as problem:
        raise argparse.ArgumentTypeError(str(problem)) from None
    if seconds <= 0:
        raise argparse.ArgumentTypeError("must be longer than 0s")
    return seconds


def grafana_url(text: str) -> str:
    """Check a URL to which paths are added. Raises `argparse.ArgumentTypeError`."""
    if not text or _is_plain_url(text):
        return text.rstrip("/")
    raise argparse.ArgumentTypeError(
        f"{text!r} is not a URL such as https://grafana.example/grafana; "
        "it must have no query, name or password"
    )


def _is_plain_url(text: str) -> bool:
    if not text.isascii() or not text.isprintable() or set(text) & set(' ?#@"<>\\'):
        return False
    try:
        url = urlsplit(text)
        return url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:
        return False


def telemetry_path(text: str) -> str:
    """Check a path for the metrics that no other page uses. Raises `argparse.ArgumentTypeError`."""
    taken = text in ("/", "/config", "/probe", "/poll", "/discover") or text.startswith(
        ("/-/", "/device/")
    )
    if not text.startswith("/") or taken or set(text) & set(" ?#{}%"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a free path such as /metrics")
    return text
