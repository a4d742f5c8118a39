"""The account on the devices, from the command line, the terminal or a pipe."""

import getpass
import sys
from pathlib import Path
from typing import Any

from exporter.config.types import check_username
from exporter.system.terminal import warn


def account_of_flags(username: str | None, password_file: Path | None) -> dict[str, Any]:
    """Return the `auth` of a module, with a password that is asked for if no file has it.

    Raises `ValueError`.
    """
    if username is None:
        if password_file is not None:
            raise ValueError("--password-file needs --username")
        return {}
    try:
        check_username(username)
    except ValueError as problem:
        raise ValueError(f"--username: {problem}") from None
    if password_file is not None:
        return {"username": username, "password_file": password_file}
    return {"username": username, "password": read_password("or use --password-file")}


def ask_username() -> str:
    """Ask for the username at the terminal. Raises `ValueError`."""
    if not (sys.stdin and sys.stdin.isatty()):
        raise ValueError("--username is missing, and there is no terminal to ask for it")
    try:
        return input("Username on the devices [root]: ").strip() or "root"
    except EOFError:
        raise ValueError("no username") from None


def read_password(otherwise: str = "") -> str:
    """Read the password, unseen, at the terminal, or else the first line of standard input.

    Raises `ValueError` if there is none, which names `otherwise` as another way to give it.
    """
    try:
        if sys.stdin and sys.stdin.isatty():
            password = _type_password()
        else:
            line = sys.stdin.readline() if sys.stdin else ""
            password = line.removeprefix("\ufeff").rstrip("\r\n")
    except EOFError:
        password = ""
    except UnicodeDecodeError:
        raise ValueError("the password on standard input is not valid text") from None
    if not password:
        ways = ("type it", "pipe it in", otherwise) if otherwise else ("type it or pipe it in",)
        raise ValueError(f"no password: {', '.join(ways)}")
    return password


def _type_password() -> str:
    """Ask until a password is typed. Raises `EOFError` at the end of the input (Ctrl-D)."""
    while not (password := getpass.getpass("Password: ")):
        warn("The password is empty. Type it again, or end with Ctrl-C.")
    return password
