"""`axis-ntp-exporter run`: the daemon."""

import argparse
import os
import signal
import sys
from functools import partial

import structlog
import uvloop

from exporter.commands.arguments import (
    HOW_TO_GET_A_CONFIG,
    add_config_file,
    add_log,
    add_web,
    duration_seconds,
    web_settings,
)
from exporter.config import Config, ConfigError, load_config
from exporter.config.files import check_files, check_source_files
from exporter.config.loader import file_errors
from exporter.daemon import AutoReload, Settings, StartFailed, run_daemon
from exporter.discovery.manager import discover_once
from exporter.discovery.no_devices import explain_no_devices
from exporter.fleet.sharding import parse_shard
from exporter.system.files import Digests, digests
from exporter.system.logs import logging_in_background
from exporter.system.process import collect_rarely
from exporter.system.signals import exit_at_once
from exporter.system.systemd import ServiceManager
from exporter.system.terminal import warn
from exporter.system.text import escaped, plural
from exporter.system.threads import has_running_calls
from exporter.web.web_config.schema import WebConfig, load_web_config

ANY_HOST = ""

_log = structlog.get_logger()


def _add_config(parser: argparse.ArgumentParser) -> None:
    add_config_file(parser)
    parser.add_argument(
        "--config.check",
        dest="config_check",
        action="store_true",
        help="check the config files, print each error with its line and path, ask each source "
        "of devices once, exit 0 or 1",
    )
    parser.add_argument(
        "--offline", action="store_true", help="with --config.check: ask no source of devices"
    )
    parser.add_argument(
        "--config.enable-auto-reload",
        dest="auto_reload",
        action="store_true",
        help="reload when the config file or a file named in it has changed",
    )
    parser.add_argument(
        "--config.auto-reload-interval",
        dest="auto_reload_interval",
        type=duration_seconds,
        default="30s",
        metavar="DURATION",
        help="how often to look for changes (default: %(default)s)",
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the daemon's flags."""
    _add_config(parser)
    add_web(parser, ANY_HOST)
    parser.add_argument(
        "--poll.shard",
        dest="shard",
        type=parse_shard,
        default="0/1",
        metavar="I/N",
        help="poll the devices whose hash mod N is I (default: %(default)s)",
    )
    add_log(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Run until SIGTERM or SIGINT; returns 0, or 1 if the daemon could not start."""
    # Ignored until the daemon runs: the config is being loaded anyway.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    collect_rarely()
    with logging_in_background(arguments.log_level, arguments.log_format):
        return _run(arguments)


def _run(arguments: argparse.Namespace) -> int:
    loaded = digests((arguments.config_file,))
    if arguments.offline and not arguments.config_check:
        warn("--offline needs --config.check: the daemon asks its sources")
        return 2
    try:
        config, web_config = _load(arguments)
        if not arguments.config_check:
            uvloop.run(run_daemon(config, _settings(arguments, loaded)))
            if has_running_calls():
                exit_at_once()
            return 0
    except ConfigError as error:
        print(error, file=sys.stderr)
        if not arguments.config_file.exists():
            print(f"To have a config, {HOW_TO_GET_A_CONFIG}.", file=sys.stderr)
        return 1
    except StartFailed as failure:
        _log.error("exporter.start_failed", error=str(failure))
        return 1
    code = _check_sources(arguments, config)
    if web_config is not None:
        print(f"{arguments.web_config_file}: valid, {web_config}")
    return code


def _check_sources(arguments: argparse.Namespace, config: Config) -> int:
    """Print how many devices come from where, and the problems of sources; 1 if there are any."""
    if arguments.offline or not (config.file_sd_configs or config.http_sd_configs):
        count = len(config.devices)
        print(f"{arguments.config_file}: valid, {count:,} {plural(count, 'device')}")
        if not (count or arguments.offline):
            print(f"discovery: {explain_no_devices(config, ())}", file=sys.stderr)
        return 0
    listed = {"the config": len(config.devices)}
    config, problems, counts, advice = uvloop.run(discover_once(config))
    for problem in (*problems, *advice):
        print(f"discovery: {escaped(problem)}", file=sys.stderr)
    total = len(config.devices)
    origins = [f"{n:,} from {escaped(name)}" for name, n in {**listed, **counts}.items() if n]
    origin = f" ({', '.join(origins)})" if origins else ""
    found = f"{total:,} {plural(total, 'device')}{origin}"
    found_problems = f"{len(problems):,} {plural(len(problems), 'problem')}"
    print(f"{arguments.config_file}: valid, {found}, {found_problems}")
    return 1 if problems else 0


def _load(arguments: argparse.Namespace) -> tuple[Config, WebConfig | None]:
    """Load both config files. Raises `ConfigError` with the errors of both."""
    file, web_file = arguments.config_file, arguments.web_config_file
    problems: list[str] = []
    config, web_config = None, None
    try:
        config = load_config(file, os.environ)
    except ConfigError as error:
        problems += error.problems
    try:
        web_config = None if web_file is None else load_web_config(web_file)
    except ConfigError as error:
        problems += error.problems
    if config is not None and (problems or arguments.config_check):
        # Otherwise the daemon reads these files when it makes the clients.
        unusable = check_files(config.modules)
        unusable += check_source_files(dict(enumerate(config.http_sd_configs)))
        problems += file_errors(unusable, config.source).problems
    if config is None or problems:
        raise ConfigError(problems)
    return config, web_config


def _settings(arguments: argparse.Namespace, loaded: Digests) -> Settings:
    load = partial(load_config, arguments.config_file, os.environ)
    auto = AutoReload(arguments.config_file, arguments.auto_reload_interval, loaded)
    return Settings(
        web_settings(arguments, ANY_HOST),
        load,
        arguments.shard,
        auto if arguments.auto_reload else None,
        ServiceManager(os.environ, os.getpid()),
    )
