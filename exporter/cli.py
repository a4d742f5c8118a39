"""The command line: run a subcommand and exit with its code (0 success, 1 failure, 2 usage)."""

import argparse
import gc
import importlib
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from types import FrameType, ModuleType
from typing import TYPE_CHECKING, Any, Final, NoReturn

from exporter import PROGRAM, __version__
from exporter.system.process import (
    OutputFailed,
    check_output,
    discard_output,
    open_closed_streams,
)

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

COMMANDS: Final = {
    "run": "poll the configured devices and serve their metrics (the default)",
    "check": "poll devices once, now, and explain each and what to do",
    "configure": "show or apply NTP settings that differ from `expect`",
    "evidence": "say how far off a device's clock was at a moment, from Prometheus",
    "init": "write a first config and the file of the devices' password",
    "find": "find Axis devices on a network, without a password",
    "import": "turn a CSV of devices into a file of targets",
    "rules": "print the alert rules with the thresholds of the config",
    "simulate": "run simulated devices",
    "demo": "run the exporter on a simulated fleet",
    "completion": "print what makes bash, zsh or fish complete commands and flags",
    "healthcheck": "ask the daemon whether it is alive, for containers",
}
"""The subcommands: modules of `exporter.commands`, imported only when they are run."""

_USAGE: Final = {
    "run": "[run]",
    "check": "check [DEVICE ...]",
    "configure": "configure [DEVICE ...]",
    "evidence": "evidence DEVICE",
    "init": "init [DIR]",
    "find": "find CIDR ...",
    "import": "import FILE",
    "completion": "completion bash|zsh|fish",
}
"""How the use of a command begins, if not with its name alone."""

_MODULES: Final = {"import": "import_csv"}
"""Where a module has another name than its command."""

ONE_SHOT_COMMANDS: Final = COMMANDS.keys() - {"run", "simulate", "demo"}
"""Commands that end by themselves: a signal before their end is a failure."""


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit."""
    open_closed_streams()
    check_output()
    words = sys.argv[1:] if argv is None else argv
    code = 1 if ONE_SHOT_COMMANDS.intersection(words[:1]) else 0

    def exit_quietly(_number: int, _frame: FrameType | None) -> None:
        # During startup only; later the commands install their own handlers.
        sys.exit(code)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, exit_quietly)
    sys.exit(_run_and_flush(words))


def _run_and_flush(words: Sequence[str]) -> int | str | None:
    """Run a command line; returns 1 and prints one line if its output cannot be written."""
    try:
        try:
            code: int | str | None = run(words)
        except SystemExit as end:
            code = end.code
        sys.stdout.flush()
    except OutputFailed as failure:
        discard_output()
        with suppress(OSError):
            print(f"{PROGRAM}: {failure}", file=sys.stderr)
        return 1
    return code


def run(argv: Sequence[str]) -> int:
    """Run a command line; returns the exit code. Raises `SystemExit` for usage errors and help."""
    if list(argv) in (["--version"], ["version"]):
        print(f"{PROGRAM} {__version__}")
        return 0
    if argv and argv[0] == "help":
        argv = [*argv[1:2], "--help"]
    named = bool(argv) and not argv[0].startswith("-")
    name, words = (argv[0], argv[1:]) if named else ("run", argv)
    if name not in COMMANDS:
        return _refuse_command(name)
    module = import_command(name)
    parser = make_parser(name, module)
    # Flags may stand between devices; but `parse_intermixed_args` does not support `--`.
    parse = parser.parse_args if "--" in words else parser.parse_intermixed_args
    code: int = module.execute(parse(words))
    return code


def _refuse_command(name: str) -> int:
    """Say which commands there are, if standard error can be written; return 2."""
    import difflib  # noqa: PLC0415 - needed here only

    close = difflib.get_close_matches(name, COMMANDS, n=1)
    hint = f" (did you mean {close[0]}?)" if close else ""
    problem = f"{PROGRAM}: no command {name!r}{hint}, only {', '.join(COMMANDS)}"
    with suppress(OSError):
        print(problem, file=sys.stderr, flush=True)
    return 2


def import_command(name: str) -> ModuleType:
    """Return the module of a subcommand."""
    # What an import makes stays. Looking for garbage in it takes a third of the time.
    gc.disable()
    try:
        return importlib.import_module(f"exporter.commands.{_MODULES.get(name, name)}")
    finally:
        gc.freeze()
        gc.enable()


class _Parser(argparse.ArgumentParser):
    """Calls flags and arguments what the docs call them."""

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401 - those of argparse
        super().__init__(**settings)
        self._positionals.title = "arguments"
        self._optionals.title = "flags"

    def _print_message(self, message: str, file: "SupportsWrite[str] | None" = None) -> None:
        # Debian 12's Python lets an error on a full disk replace the exit code of a usage error.
        with suppress(OSError):
            super()._print_message(message, file)

    def complete_values(self, kinds: Mapping[str, object]) -> None:
        """Tell `shtab` how to complete the values for which the help has these words."""
        for action in self._actions:
            if (kind := kinds.get(str(action.metavar))) is not None:
                action.complete = kind  # type: ignore[attr-defined]


class _RefusePassword(argparse.Action):
    """Refuses a password on the command line, and does not repeat it."""

    def __call__(self, parser: argparse.ArgumentParser, *_values: object) -> None:
        parser.error(
            "no password on the command line: every user of this host could read it; type it when "
            "asked, pipe it in, or put it into a file (--password-file, password_file in a config)"
        )


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Uses 78 columns of a terminal, however wide it is: longer lines are hard to read."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=78)


def make_parser(name: str, module: ModuleType) -> _Parser:
    """Return the parser of one subcommand; the help of `run` lists all of them."""
    parser = _Parser(
        prog=PROGRAM if name == "run" else f"{PROGRAM} {name}",
        usage=f"{PROGRAM} {_USAGE.get(name, name)} [flags]",
        description="\n\n".join(_sections(name)),
        formatter_class=_HelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    parser.add_argument("--password", action=_RefusePassword, nargs="?", help=argparse.SUPPRESS)
    module.add_arguments(parser)
    if name == "completion":
        parser.set_defaults(parser_of_all=_parser_of_all)
    return parser


def _parser_of_all(kinds: Mapping[str, object]) -> argparse.ArgumentParser:
    """Return the parser of `run` with those of the other commands below it, for `completion`."""
    root = make_parser("run", import_command("run"))
    root.complete_values(kinds)
    commands = root.add_subparsers()
    for name, summary in COMMANDS.items():
        parser = commands.add_parser(name, help=summary)
        parser.add_argument("--version", action="version", help="show the version")
        import_command(name).add_arguments(parser)
        parser.complete_values(kinds)
        parser.description = summary
    return root


def _sections(name: str) -> Iterator[str]:
    """Yield what stands before the flags."""
    yield COMMANDS[name]
    if name == "run":
        rows = [f"  {each:<11} {summary}" for each, summary in COMMANDS.items()]
        yield "\n".join(["commands (each has its own --help):", *rows])
    examples = import_command("examples").EXAMPLES[name]
    rows = [f"  {line}\n      {purpose}" for line, purpose in examples]
    yield "\n".join(["examples:", *rows])
