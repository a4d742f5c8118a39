"""`axis-ntp-exporter simulate`: simulated devices, until a signal says stop."""

from __future__ import annotations

import argparse

import uvloop

from exporter.simulator import command
from exporter.system.signals import stop_signals


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The simulator's flags."""
    command.add_arguments(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Serve simulated devices until a signal says stop; 1 if that is not possible."""
    return uvloop.run(_simulate(arguments))


async def _simulate(arguments: argparse.Namespace) -> int:
    with stop_signals() as stop:
        return await command.run(arguments, stop)
