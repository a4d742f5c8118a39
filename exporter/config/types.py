"""The types of single config values: how each is written, and what is said when it is wrong."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Final

import pydantic
from pydantic import AfterValidator, BeforeValidator, PlainSerializer, ValidationInfo
from yarl import URL

from exporter.config.labels import label_name_problem
from exporter.system.addresses import split_address
from exporter.system.files import open_regular
from exporter.system.text import format_duration, parse_duration

_FINGERPRINT: Final = re.compile(r"(?:[0-9a-fA-F]{2}:?){31}[0-9a-fA-F]{2}")


class Secret(pydantic.Secret[str]):
    """A text that never shows: `repr`, `str`, logs and dumps have `<secret>`."""

    def _display(self) -> str:
        return "<secret>"


LONGEST_NAME_BYTES: Final = 500
"""A request line has room for 8190 bytes; a URL carries each of these as three."""


def _fits_a_url(name: str) -> str:
    if len(name.encode()) > LONGEST_NAME_BYTES:
        raise ValueError(f"must have at most {LONGEST_NAME_BYTES} bytes as UTF-8")
    return name


def _checked_address(address: str) -> str:
    split_address(_fits_a_url(address))
    return address


def _positive(seconds: float) -> float:
    if seconds <= 0:
        raise ValueError("must be longer than 0s")
    return seconds


def _seconds(value: object) -> object:
    return parse_duration(value) if isinstance(value, str) else value


def _readable_file(path: Path, info: ValidationInfo) -> Path:
    """`path`, relative to the config file's folder, if it can be read."""
    found = Path(info.context["directory"], path) if info.context else path
    try:
        with open_regular(found):
            return found
    except OSError as problem:
        raise ValueError(f"cannot read {found}: {problem.strerror}") from None


_SD_SUFFIXES: Final = (".json", ".yml", ".yaml", ".JSON", ".YML", ".YAML")

_SD_PATTERN: Final = re.compile(r"[^*]*(\*[^/]*)?\.(json|yml|yaml|JSON|YML|YAML)")
"""Prometheus's own rule."""


def _file_pattern(pattern: Path, info: ValidationInfo) -> Path:
    """A pattern as Prometheus's file discovery takes it, relative to the config file's folder."""
    if not str(pattern).endswith(_SD_SUFFIXES):
        raise ValueError("must end with one of .json, .yml, .yaml")
    if not _SD_PATTERN.fullmatch(str(pattern)) or set(str(pattern.parent)) & set("*?["):
        raise ValueError("may have * in its last part only")
    if not str(pattern).isprintable():
        raise ValueError("must be one line without control characters")
    return Path(info.context["directory"], pattern) if info.context else pattern


_SECRET_PARAMETER: Final = re.compile(
    r"(?<=[?&;])([^=&;#]*(?:token|key|secret|pass|pwd|auth|cred|sig)[^=&;#]*)=[^&;#]*",
    re.IGNORECASE,
)


def shown_url(url: str) -> str:
    """`url` with `<secret>` for what its query hands over as one, by the parameters' names."""
    return _SECRET_PARAMETER.sub(r"\1=<secret>", url)


def _http_url(text: str) -> str:
    try:
        url = URL(text)
    except ValueError:  # its text may quote a password
        url = URL()
    if url.scheme not in ("http", "https") or not url.host:
        raise ValueError("must be a URL with http or https and a host")
    if url.user is not None or url.password is not None:
        raise ValueError("must not hold a name or password: it shows in logs and metrics")
    return text


def _fingerprint_bytes(value: object) -> object:
    if not isinstance(value, str):
        return value
    if not _FINGERPRINT.fullmatch(value):
        raise ValueError("is not a SHA-256 fingerprint: 64 hex digits, with or without colons")
    return bytes.fromhex(value.replace(":", ""))


def _label_name(name: str) -> str:
    if problem := label_name_problem(name):
        raise ValueError(problem)
    return name


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be empty")
    return text


LONGEST_SERVER_NAME: Final = 255


def _server_name(name: str) -> str:
    """`name`, if a device can have it as a server and tell it again."""
    if not name.isprintable() or " " in name:
        raise ValueError("must be a host name or address, without spaces")
    if len(name) > LONGEST_SERVER_NAME:
        raise ValueError(f"must have at most {LONGEST_SERVER_NAME} characters")
    return name


def account_name(name: str) -> str:
    """`name`, if HTTP authentication can carry it. Raises `ValueError`."""
    if ":" in name:
        raise ValueError("must not contain a colon: HTTP authentication cannot carry it")
    if not name.isprintable():
        raise ValueError("must be one line without control characters")
    return _not_blank(name)


Address = Annotated[str, AfterValidator(_checked_address)]
DurationSeconds = Annotated[
    float,
    BeforeValidator(_seconds),
    AfterValidator(_positive),
    PlainSerializer(format_duration),
]
ReadableFile = Annotated[Path, AfterValidator(_readable_file)]
FilePattern = Annotated[Path, AfterValidator(_file_pattern)]
HttpUrl = Annotated[str, AfterValidator(_http_url), PlainSerializer(shown_url)]
Fingerprint = Annotated[
    bytes, BeforeValidator(_fingerprint_bytes), PlainSerializer(lambda pin: pin.hex(":"))
]
Labels = dict[Annotated[str, AfterValidator(_label_name)], str]
Name = Annotated[str, AfterValidator(_not_blank)]
DeviceName = Annotated[Name, AfterValidator(_fits_a_url)]
ServerName = Annotated[Name, AfterValidator(_server_name)]
Username = Annotated[str, AfterValidator(account_name)]
