"""The command line: which subcommand runs, and its exit code (0 fine, 1 not, 2 usage)."""

from __future__ import annotations

import argparse
import importlib
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType, ModuleType
from typing import Final, NoReturn

from exporter import __version__
from exporter.system.std_streams import open_closed_streams

PROGRAM: Final = "axis-ntp-exporter"

COMMANDS: Final = {
    "run": "poll the configured devices and serve their metrics (the default)",
    "check": "poll devices once now and explain each: what it says, what is wrong, what to do",
    "configure": "compare devices with what is expected of them, and put them right",
    "simulate": "run simulated devices",
    "demo": "run the exporter on a simulated fleet",
    "healthcheck": "ask the daemon on this machine whether it is alive, for containers",
}
"""The subcommands; each is a module of `exporter.commands`, imported only when it is called."""

JOBS: Final = {"check", "configure", "healthcheck"}
"""Those of them that have an end of their own: interrupted before it, they are not done."""


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit."""
    open_closed_streams()
    words = sys.argv[1:] if argv is None else argv
    interrupted_code = 1 if JOBS.intersection(words[:1]) else 0

    def end_quietly(_number: int, _frame: FrameType | None) -> None:
        # While it still starts; once it runs, the event loop has handlers of its own.
        sys.exit(interrupted_code)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end_quietly)
    sys.exit(run(words))


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
    with _without_rich():
        module = importlib.import_module(f"exporter.commands.{name}")
    arguments = _parsed(make_parser(name, module), rest)
    code: int = module.execute(arguments)
    return code


@contextmanager
def _without_rich() -> Iterator[None]:
    """No import of rich succeeds meanwhile.

    structlog takes rich wherever it finds it, for a renderer that is not ours: 60 ms and 3 MB of
    every daemon. `exporter.terminal` takes it where there is a terminal: decision 0008.
    """
    if "rich" in sys.modules:
        yield
        return
    # So Python marks what cannot be imported.
    sys.modules["rich"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules["rich"]


def _parsed(parser: argparse.ArgumentParser, words: Sequence[str]) -> argparse.Namespace:
    # Intermixed, so that flags may stand between devices; argparse then forgets what `--` is for.
    return parser.parse_args(words) if "--" in words else parser.parse_intermixed_args(words)


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
    rows = [f"  {name:<11} {summary}" for name, summary in COMMANDS.items()]
    return "\n".join(["commands (each has its own --help):", *rows])
