"""`axis-ntp-exporter simulate`: run simulated devices until SIGINT or SIGTERM."""

import argparse

import uvloop

from exporter.simulator.command import add_arguments, run
from exporter.system.signals import stop_signals

__all__ = ["add_arguments", "execute"]


def execute(arguments: argparse.Namespace) -> int:
    """Serve simulated devices until SIGTERM or SIGINT; returns 1 if they cannot be served."""
    return uvloop.run(_simulate(arguments))


async def _simulate(arguments: argparse.Namespace) -> int:
    with stop_signals() as stop:
        return await run(arguments, stop)
