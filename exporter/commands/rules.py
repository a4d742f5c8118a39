"""`axis-ntp-exporter rules`: print the alert rules with the thresholds of the config."""

import argparse

from exporter.commands.arguments import DEFAULT_CONFIG_FILE, add_config_file
from exporter.commands.batch import run_command
from exporter.commands.path_flags import add_paths, paths_of
from exporter.commands.targets import load_existing_config
from exporter.config import Thresholds
from exporter.rules.render import as_custom_resource, render_rules
from exporter.system.terminal import warn


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `rules`."""
    add_config_file(parser)
    add_paths(parser)
    parser.add_argument(
        "--format",
        choices=("prometheus", "operator"),
        default="prometheus",
        help="a rule file, or a PrometheusRule for the Prometheus Operator (default: %(default)s)",
    )


def execute(arguments: argparse.Namespace) -> int:
    """Print the rules; returns 0, or 2 for an invalid config."""
    return run_command("rules", _print_rules(arguments))


async def _print_rules(arguments: argparse.Namespace) -> int:
    rules = render_rules(_thresholds(arguments), paths_of(arguments).route("/-/healthy"))
    print(as_custom_resource(rules) if arguments.format == "operator" else rules, end="")
    return 0


def _thresholds(arguments: argparse.Namespace) -> Thresholds:
    """Return the thresholds of the config, or the defaults if there is none in this folder."""
    file = arguments.config_file
    if file == DEFAULT_CONFIG_FILE and not file.exists():
        warn(f"rules: there is no {file}, so the thresholds are the defaults")
        return Thresholds()
    return load_existing_config(file).thresholds
