"""`axis-ntp-exporter import`: turn a CSV of devices into a file for `file_sd_configs`."""

import argparse
from pathlib import Path
from typing import Final

from exporter.commands.target_output import add_target_output, write_targets
from exporter.discovery.csv_devices import Columns, read_csv_devices
from exporter.system.files import read_regular
from exporter.system.terminal import warn
from exporter.system.text import escaped, plural

_NAME: Final = "import"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the file and which of its columns to use."""
    parser.add_argument(
        "file", type=Path, metavar="FILE", help="a CSV file with a header: , ; or tab between cells"
    )
    parser.add_argument(
        "--name-column",
        metavar="HEADER",
        help="column of the names (default: name, device, device name, hostname or host name)",
    )
    parser.add_argument(
        "--address-column",
        metavar="HEADER",
        help="column of the addresses (default: address, ip address, ip, ip-address or host)",
    )
    label_help = "a label and the column of its values, such as 'site=Site Name'"
    add_target_output(parser, "LABEL=HEADER", label_help)


def execute(arguments: argparse.Namespace) -> int:
    """Write the targets; return 1 if a row cannot be used, 2 if the whole file cannot."""
    columns = Columns(arguments.name_column, arguments.address_column, dict(arguments.labels))
    try:
        targets, problems = read_csv_devices(read_regular(arguments.file), columns)
    except OSError as error:
        warn(f"{_NAME}: {arguments.file}: cannot be read: {error.strerror}")
        return 2
    except ValueError as error:
        warn(f"{_NAME}: {arguments.file}: {escaped(str(error))}")
        return 2
    if not write_targets(_NAME, targets, arguments.output, is_useful=bool(targets)):
        return 1
    for problem in problems:
        warn(f"{_NAME}: {arguments.file}: {escaped(problem)}")
    wrote = f" in {arguments.output}" if arguments.output and targets else ""
    warn(f"{_NAME}: {len(targets):,} {plural(len(targets), 'device')}{wrote}")
    return 1 if problems or not targets else 0
