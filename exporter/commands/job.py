"""What commands with an end have in common: their output, their errors, their exit code."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from typing import Final

from exporter.commands.targets import UsageError
from exporter.config import ConfigError
from exporter.system.logs import configure_logging
from exporter.system.terminal import warn

FINE: Final = 0
NOT_FINE: Final = 1
USAGE: Final = 2


def run_job(name: str, job: Callable[[], int]) -> int:
    """The exit code of `job`; 2, and told why, if it raises `ConfigError` or `UsageError`.

    1 if whoever reads what is printed has gone.
    """
    configure_logging("warn", "logfmt")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # an arrow is no reason to fail
    try:
        return job()
    except (ConfigError, UsageError) as problem:
        print(f"{name}: {problem}", file=sys.stderr)
        return USAGE
    except BrokenPipeError:
        # Nothing can be told any more, not even at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return NOT_FINE


def not_all_found(name: str) -> int:
    """The exit code where not every source of devices answered; it is told."""
    warn(f"{name}: not every device could be found, see `discovery` above")
    return NOT_FINE
