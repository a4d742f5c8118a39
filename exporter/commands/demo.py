"""`axis-ntp-exporter demo`: run the daemon on a simulated fleet."""

import argparse
import sys
from pathlib import Path

import uvloop
import yaml

from exporter.commands.arguments import add_log, add_web, device_count, web_settings
from exporter.config import parse_config
from exporter.config.yaml_loader import parse_yaml
from exporter.daemon import Settings, StartFailed, running
from exporter.simulator.fleet import FleetError, build_fleet, serve_fleet
from exporter.system.logs import logging_in_background
from exporter.system.signals import stop_signals
from exporter.web.settings import WebSettings

LOOPBACK = "127.0.0.1"
POLL_INTERVAL = "10s"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the demo's flags."""
    parser.add_argument(
        "--devices",
        type=device_count,
        default=20,
        metavar="N",
        help="number of simulated devices (default: %(default)s)",
    )
    add_web(parser, LOOPBACK)
    add_log(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Run until SIGTERM or SIGINT; returns 0, or 1 if the demo could not start."""
    try:
        with logging_in_background(arguments.log_level, arguments.log_format):
            uvloop.run(_demo(arguments.devices, web_settings(arguments, LOOPBACK)))
    except (StartFailed, FleetError, OSError) as failure:
        print(f"demo: {failure}", file=sys.stderr)
        return 1
    return 0


async def _demo(count: int, settings: WebSettings) -> None:
    with stop_signals() as stop:
        async with serve_fleet(build_fleet(count, "demo")) as served:
            # As text, as from a file: this shows that such a config can be loaded.
            document = yaml.safe_dump(served.exporter_config(interval=POLL_INTERVAL))
            config = parse_config(parse_yaml(document), {}, Path())
            async with running(config, Settings(settings, load=lambda: config)) as urls:
                root = urls[0] + settings.paths.routes
                print(_describe_urls(count, root, settings.telemetry_path), flush=True)
                await stop.wait()


def _describe_urls(count: int, web: str, telemetry_path: str) -> str:
    return f"""
Polling {count} simulated devices every {POLL_INTERVAL}, some of them with problems. Open:

  {web}/         status of all devices
  {web}{telemetry_path}  metrics for Prometheus
  {web}/-/ready  200 once every device was polled

Its three time servers run on this host too, so the log warns `time_server.is_this_host`.
Press Ctrl-C to stop.
"""
