"""What `find` and `import` share: labels on the command line, and a file of targets."""

import argparse
import errno
import os
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from exporter.commands.arguments import file_path
from exporter.config.types import check_label_name
from exporter.discovery.target_file import FoundTarget, render_target_file
from exporter.system.files import replace_file
from exporter.system.terminal import warn


def add_target_output(parser: argparse.ArgumentParser, label_form: str, label_help: str) -> None:
    """Add `--label` and `--output`."""
    parser.add_argument(
        "--label",
        dest="labels",
        type=_label_and_value,
        action="append",
        default=[],
        metavar=label_form,
        help=f"{label_help}; repeatable",
    )
    parser.add_argument(
        "--output",
        type=file_path,
        metavar="FILE",
        help="write to this file, replaced as a whole (default: standard output)",
    )


def _label_and_value(text: str) -> tuple[str, str]:
    label, equals, value = text.partition("=")
    if not (equals and value):
        raise argparse.ArgumentTypeError(f"{text!r} is not LABEL=VALUE")
    try:
        check_label_name(label)
    except ValueError as problem:
        raise argparse.ArgumentTypeError(f"{label!r} {problem}") from None
    return label, value


def write_targets(
    command: str, targets: Iterable[FoundTarget], file: Path | None, *, is_useful: bool
) -> bool:
    """Write to the file of `--output`, or to standard output; return whether that worked.

    What is not useful replaces no file: a daemon may read it, and must not lose its devices because
    a search or a list went wrong. Raises `OutputFailed`.
    """
    text = render_target_file(targets)
    if file is None:
        sys.stdout.write(text)
        sys.stdout.flush()
    elif not is_useful:
        warn(f"{command}: {file} is not written")
    else:
        try:
            replace_file(file, text)
        except OSError as error:
            _warn_unwritable(command, file, error)
            return False
    return True


def can_write(command: str, file: Path | None) -> bool:
    """Return whether the file of `--output` can be written; warn if not, before long work."""
    if file is None:
        return True
    try:
        with tempfile.NamedTemporaryFile(dir=file.parent, prefix=f".{file.name}."):
            pass
        if file.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    except OSError as error:
        _warn_unwritable(command, file, error)
        return False
    return True


def _warn_unwritable(command: str, file: Path, error: OSError) -> None:
    reason = error.strerror if file.parent.exists() else f"there is no folder {file.parent}"
    warn(f"{command}: {file}: cannot be written: {reason}")
