"""Devices that are named by their address, and how they are asked: a config made of flags."""

from __future__ import annotations

import argparse
import getpass
import sys
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from exporter.commands.targets import UsageError
from exporter.config import Config
from exporter.config.errors import as_lines
from exporter.config.files import check_files
from exporter.config.loader import problems_of
from exporter.config.schema import DEFAULT_MODULE
from exporter.config.types import check_username

_MODULE: Final = f"modules.{DEFAULT_MODULE}."
_FLAG_OF: Final = {
    f"{_MODULE}auth": "--password-file",
    f"{_MODULE}auth.password_file": "--password-file",
    f"{_MODULE}tls_config": "--ca-file",
    f"{_MODULE}tls_config.ca_file": "--ca-file",
    f"{_MODULE}tls_config.fingerprint_sha256": "--fingerprint-sha256",
}
"""Where a problem is, in place of its path in a config."""

_TLS: Final = ("fingerprint_sha256", "ca_file", "insecure_skip_verify")


def add_device_flags(parser: argparse.ArgumentParser) -> None:
    """What a config would say of the devices."""
    group = parser.add_argument_group(
        "without a config",
        "With any of these DEVICE is an address: host, host:port or [v6]:port.",
    )
    add = group.add_argument
    add(
        "--username",
        metavar="NAME",
        help="the account on the devices; its password is asked for, or read from a pipe",
    )
    add("--password-file", type=Path, metavar="FILE", help="holds the password: do not ask")
    add("--scheme", choices=("http", "https"), help="how devices are spoken to: https if not said")
    add("--fingerprint-sha256", metavar="HEX", help="the certificate to believe, and no other")
    add("--ca-file", type=Path, metavar="FILE", help="believe certificates signed by one of these")
    add(
        "--insecure-skip-verify",
        action="store_true",
        default=None,
        help="take any certificate: encrypted, but to whom is not known",
    )


def is_by_flags(arguments: argparse.Namespace) -> bool:
    """Whether any of these flags was given."""
    keys = ("username", "password_file", "scheme", *_TLS)
    return any(getattr(arguments, key) is not None for key in keys)


def config_of_flags(arguments: argparse.Namespace) -> Config:
    """A config with the devices of the command line; asks for the password if there is to be one.

    Raises `UsageError`.
    """
    if arguments.selectors:
        raise UsageError("--site and --selector choose by labels, which only a config has")
    if not arguments.devices:
        raise UsageError("say which device: its address, such as 192.168.0.90")
    tls = {key: getattr(arguments, key) for key in _TLS if getattr(arguments, key) is not None}
    module = {"scheme": arguments.scheme or "https", "tls_config": tls}
    devices = [{"address": address} for address in dict.fromkeys(arguments.devices)]
    # Nobody types a password for what cannot be used anyway.
    _checked(module, devices)
    return _checked({**module, "auth": _account(arguments)}, devices)


def _account(arguments: argparse.Namespace) -> dict[str, Any]:
    username, file = arguments.username, arguments.password_file
    if username is None:
        if file is not None:
            raise UsageError("--password-file needs --username")
        return {}
    try:
        check_username(username)
    except ValueError as problem:
        raise UsageError(f"--username: {problem}") from None
    if file is not None:
        return {"username": username, "password_file": file}
    return {"username": username, "password": _asked_password()}


def _asked_password() -> str:
    """What is typed unseen at the terminal, or else the first line of standard input."""
    try:
        password = _typed() if sys.stdin and sys.stdin.isatty() else _piped()
    except UnicodeDecodeError:
        raise UsageError("the password on standard input is no text") from None
    if not password:
        raise UsageError("no password: type it, pipe it in, or give --password-file")
    return password


def _typed() -> str:
    try:
        return getpass.getpass("Password: ")
    except EOFError:
        return ""


def _piped() -> str:
    return sys.stdin.readline().rstrip("\r\n") if sys.stdin else ""


def _checked(module: dict[str, Any], devices: list[dict[str, str]]) -> Config:
    try:
        config = Config.model_validate({"modules": {DEFAULT_MODULE: module}, "devices": devices})
        problems = as_lines(check_files(config.modules))
    except ValidationError as invalid:
        problems = problems_of(invalid)
    if problems:
        raise UsageError("\n".join(map(_by_flag, problems)))
    return config


def _by_flag(problem: str) -> str:
    path, _, what = problem.partition(": ")
    return what if path.startswith("devices[") else f"{_FLAG_OF.get(path, path)}: {what}"
