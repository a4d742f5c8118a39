"""`axis-ntp-exporter init`: write a first config and the file of the devices' password."""

import argparse
import os
from pathlib import Path
from typing import Final

import yaml

from exporter.commands.account import ask_username, read_password
from exporter.config.pins import HEAD
from exporter.config.types import MAX_SECRET_CHARACTERS, check_username
from exporter.system.terminal import warn

CONFIG: Final = "config.yaml"
PASSWORD: Final = "axis-password"  # noqa: S105 - the name of the file
PINS: Final = "pins.yaml"
DEVICES: Final = "devices"

_TEMPLATE: Final = """\
# Written by `axis-ntp-exporter init`. docs/configuration.md explains every key.
global:
  interval: 60s

modules:
  default:
    auth:
      username: {username}
      password_file: {password_file}
    # The certificate of each device; `axis-ntp-exporter check --pin` writes it. For devices with
    # certificates of your own CA, use this instead: tls_config: {{ca_file: ca.pem}}
    tls_config:
      pins_file: {pins_file}

# Each file lists devices; `axis-ntp-exporter find` and `import` write such files.
file_sd_configs:
  - files: ["{devices}/*.yaml"]
"""

_NEXT: Final = """\
Wrote {folder}{config}, {folder}{pins} and {folder}{password} (only you can read it).
Next, in that folder:
  axis-ntp-exporter find 192.168.0.0/24 --output {devices}/found.yaml
  axis-ntp-exporter check --pin
  axis-ntp-exporter check
  axis-ntp-exporter
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the folder and the account."""
    parser.add_argument(
        "folder",
        nargs="?",
        type=Path,
        default=Path(),
        metavar="DIR",
        help="where to write, made if it does not exist (default: this folder)",
    )
    parser.add_argument(
        "--username",
        metavar="NAME",
        help="account on the devices; asks for it, and for its password, or reads the password "
        "from a pipe",
    )


def execute(arguments: argparse.Namespace) -> int:
    """Write the files; returns 0, 1 if they cannot be written, 2 if the account is invalid."""
    folder: Path = arguments.folder
    if taken := [each for each in (CONFIG, PASSWORD, PINS) if os.path.lexists(folder / each)]:
        warn(f"init: {folder / taken[0]} exists already, and nothing is overwritten")
        return 1
    try:
        username, password = _ask_account(arguments.username)
    except ValueError as problem:
        warn(f"init: {problem}")
        return 2
    except SystemExit:  # by a signal
        warn("\ninit: interrupted")  # below the question
        raise
    try:
        _write(folder, username, password)
    except OSError as error:
        warn(f"init: {error.filename}: cannot be written: {error.strerror}")
        return 1
    shown = "" if folder == Path() else f"{folder}/"
    names = {"config": CONFIG, "pins": PINS, "password": PASSWORD, "devices": DEVICES}
    print(_NEXT.format(folder=shown, **names), end="")
    return 0


def _ask_account(username: str | None) -> tuple[str, str]:
    """Return the account. Raises `ValueError`."""
    if username is None:
        username = ask_username()
    try:
        check_username(username)
    except ValueError as problem:
        raise ValueError(f"the username {problem}") from None
    password = read_password()
    if len(password) > MAX_SECRET_CHARACTERS:
        raise ValueError(f"the password must have at most {MAX_SECRET_CHARACTERS:,} characters")
    return username, password


def _write(folder: Path, username: str, password: str) -> None:
    """Write the files. Raises `OSError`, also if one has appeared meanwhile."""
    (folder / DEVICES).mkdir(parents=True, exist_ok=True)
    # A dollar begins a variable in a config.
    quoted = yaml.safe_dump(username.replace("$", "$$"), default_style='"', allow_unicode=True)
    _create(folder / PASSWORD, f"{password}\n", 0o600)
    _create(folder / PINS, HEAD, 0o644)
    config = _TEMPLATE.format(
        username=quoted.strip(), password_file=PASSWORD, pins_file=PINS, devices=DEVICES
    )
    _create(folder / CONFIG, config, 0o644)


def _create(file: Path, text: str, mode: int) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
        opened.write(text)
