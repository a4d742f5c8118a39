"""`axis-ntp-exporter completion`: print the file that makes a shell complete this command.

The file is static: the shell starts no Python for it.
"""

import argparse
from typing import Final

import shtab

SHELLS: Final = ("bash", "zsh", "fish")

_KINDS: Final = {"FILE": shtab.FILE, "DIR": shtab.DIRECTORY}
"""How to complete a value, by the word that the help has for it."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the shell."""
    parser.add_argument("shell", choices=SHELLS, metavar="SHELL", help="bash, zsh or fish")


def execute(arguments: argparse.Namespace) -> int:
    """Print the file; returns 0."""
    print(shtab.complete(arguments.parser_of_all(_KINDS), arguments.shell))
    return 0
