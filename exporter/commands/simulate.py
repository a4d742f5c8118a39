"""`axis-ntp-exporter simulate`: run simulated devices until a signal."""

import argparse

import uvloop

from exporter.simulator import command
from exporter.system.signals import stop_signals


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the simulator's flags."""
    command.add_arguments(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Serve simulated devices until SIGTERM or SIGINT; returns 1 if they cannot be served."""
    return uvloop.run(_simulate(arguments))


async def _simulate(arguments: argparse.Namespace) -> int:
    with stop_signals() as stop:
        return await command.run(arguments, stop)
