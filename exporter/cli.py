"""The command line: which subcommand runs, and its exit code (0 fine, 1 not, 2 usage)."""

from __future__ import annotations

import argparse
import importlib
import signal
import sys
from collections.abc import Sequence
from types import FrameType, ModuleType
from typing import Final, NoReturn

from exporter import __version__

PROGRAM: Final = "axis-ntp-exporter"

COMMANDS: Final = {
    "run": "poll the configured devices and serve their metrics (the default)",
    "simulate": "run simulated devices",
    "demo": "run the exporter on a simulated fleet",
}
"""The subcommands; each is a module of `exporter.commands`, imported only when it is called."""


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end_quietly)
    sys.exit(run(sys.argv[1:] if argv is None else argv))


def _end_quietly(_number: int, _frame: FrameType | None) -> None:
    # While it still starts; once it runs, the event loop has handlers of its own.
    sys.exit(0)


def run(argv: Sequence[str]) -> int:
    """Run a command line; the exit code. Raises `SystemExit` for usage errors and help."""
    if list(argv) == ["--version"]:
        print(f"{PROGRAM} {__version__}")
        return 0
    named = bool(argv) and not argv[0].startswith("-")
    name, rest = (argv[0], argv[1:]) if named else ("run", argv)
    if name not in COMMANDS:
        print(f"{PROGRAM}: no command {name!r}, only {', '.join(COMMANDS)}", file=sys.stderr)
        return 2
    module = importlib.import_module(f"exporter.commands.{name}")
    arguments = make_parser(name, module).parse_args(rest)
    code: int = module.execute(arguments)
    return code


def make_parser(name: str, module: ModuleType) -> argparse.ArgumentParser:
    """The parser of one subcommand."""
    parser = argparse.ArgumentParser(
        prog=PROGRAM if name == "run" else f"{PROGRAM} {name}",
        usage=f"{PROGRAM} [run] [flags]" if name == "run" else None,
        description=COMMANDS[name],
        epilog=_commands_help() if name == "run" else None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    module.add_arguments(parser)
    return parser


def _commands_help() -> str:
    rows = [f"  {name:<10} {summary}" for name, summary in COMMANDS.items()]
    return "\n".join(["commands (each has its own --help):", *rows])
