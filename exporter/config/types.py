"""The types of single config values: how each is written, and its errors."""

import ipaddress
import re
import sys
from pathlib import Path
from typing import Annotated, Final

import pydantic
from pydantic import AfterValidator, BeforeValidator, PlainSerializer, ValidationInfo
from yarl import URL

from exporter.system.addresses import (
    canonical_host,
    is_other_host,
    parse_network,
    split_address,
)
from exporter.system.text import format_duration, parse_duration

_FINGERPRINT: Final = re.compile(r"(?:[0-9a-fA-F]{2}:?){31}[0-9a-fA-F]{2}")


class Secret(pydantic.Secret[str]):
    """A string that is never printed: `repr`, `str`, logs and dumps have `<secret>`."""

    def _display(self) -> str:
        return "<secret>"


MAX_SECRET_CHARACTERS: Final = 1_000
"""Of a password or username: many times what a device accepts. Each response is searched for it."""


def _check_password(secret: Secret) -> Secret:
    if len(secret.get_secret_value()) > MAX_SECRET_CHARACTERS:
        raise ValueError(f"must have at most {MAX_SECRET_CHARACTERS:,} characters")
    return secret


MAX_NAME_BYTES: Final = 500
"""A request line has room for 8190 bytes; percent-encoding triples a name's bytes."""


def _check_length(name: str) -> str:
    if len(name.encode()) > MAX_NAME_BYTES:
        raise ValueError(f"must be at most {MAX_NAME_BYTES} bytes long in UTF-8")
    return name


def _check_address(address: str) -> str:
    _check_length(address)
    if "://" in address and "@" not in address:  # not shown: its query may contain a password
        scheme = address.partition("://")[0].lower()
        where = f", and `scheme: {scheme}` in its module" if scheme in ("http", "https") else ""
        raise ValueError(f"is a URL: write host, host:port or [v6]:port here{where}")
    split_address(address)
    return address


def _check_time_server(address: str) -> str:
    if "://" in address or "@" in address:  # not shown: it may contain a password
        raise ValueError("must be host, host:port or [v6]:port, without a scheme or an account")
    return _check_address(address)


def _check_positive(seconds: float) -> float:
    if seconds <= 0:
        raise ValueError("must be longer than 0s")
    return seconds


def _seconds(value: object) -> object:
    return parse_duration(value) if isinstance(value, str) else value


def lower_case(value: object) -> object:
    """Return a text in lower case, and anything else as it is."""
    return value.lower() if isinstance(value, str) else value


def _absolute_path(path: Path, info: ValidationInfo) -> Path:
    """Return `path`, relative to the config file's folder."""
    return Path(info.context["directory"], path) if info.context else path


_SD_SUFFIXES: Final = (".json", ".yml", ".yaml", ".JSON", ".YML", ".YAML")

_SD_PATTERN: Final = re.compile(r"[^*]*(\*[^/]*)?\.(json|yml|yaml|JSON|YML|YAML)")
"""The rule of Prometheus itself."""


def _file_pattern(pattern: Path, info: ValidationInfo) -> Path:
    """Return a pattern that Prometheus's file discovery accepts, as `_absolute_path` does."""
    if not str(pattern).endswith(_SD_SUFFIXES):
        raise ValueError("must end with one of .json, .yml, .yaml")
    if not _SD_PATTERN.fullmatch(str(pattern)) or set(str(pattern.parent)) & set("*?["):
        raise ValueError("may contain * only in the file name")
    if not str(pattern).isprintable():
        raise ValueError("must be one line without control characters")
    return _absolute_path(pattern, info)


_SECRET_PARAMETER: Final = re.compile(
    r"(?<=[?&;])([^=&;#]*(?:token|key|secret|pass|pwd|auth|cred|sig)[^=&;#]*)=[^&;#]*",
    re.IGNORECASE,
)


def redact_url(url: str) -> str:
    """Return `url` with `<secret>` for query parameters whose names suggest a secret."""
    return _SECRET_PARAMETER.sub(r"\1=<secret>", url)


def _http_url(text: str) -> str:
    try:
        url = URL(text)
    except ValueError:  # not shown: it may quote a password
        url = URL()
    if url.scheme not in ("http", "https") or not url.host:
        raise ValueError("must be a URL with http or https and a host")
    if url.user is not None or url.password is not None:
        raise ValueError("must not contain a name or password: URLs appear in logs and metrics")
    split_address(url.host_subcomponent or "")
    return text


def fingerprint_bytes(text: str) -> bytes:
    """Return the 32 bytes of a fingerprint. Raises `ValueError`."""
    if not _FINGERPRINT.fullmatch(text):
        raise ValueError("is not a SHA-256 fingerprint: 64 hex digits, with or without colons")
    return bytes.fromhex(text.replace(":", ""))


def _fingerprint(value: object) -> object:
    return fingerprint_bytes(value) if isinstance(value, str) else value


RESERVED_LABELS: Final = frozenset(
    {
        "device",
        "source",
        "server",
        "active",
        "servers_source",
        "api_version",
        "parameter",
        "reason",
        "code",
    }
)
"""Labels of the device series themselves. A test compares them with the catalogue."""

LABEL_NAME: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


_MAX_ESCAPED_CHARACTERS: Final = 1_000
"""Of a label name that is escaped; a longer one is refused. 1 MB would take 100 ms in one step."""

_NO_LABEL_CHARACTER: Final = re.compile(r"^[0-9]|[^a-zA-Z0-9_]")


def escape_label_names(labels: object) -> object:
    """Return labels under the names that Prometheus's underscore escaping makes of theirs.

    `site.name`, a name that only Prometheus 3 allows, becomes `site_name`, as in an exposition.
    Raises `ValueError` if two become the same.
    """
    if not isinstance(labels, dict) or all(map(_stays, labels)):
        return labels
    first: dict[object, object] = {}
    for name in labels:
        escaped = name if _stays(name) else sys.intern(_NO_LABEL_CHARACTER.sub("_", name))
        if escaped in first:
            raise ValueError(f"{first[escaped]!r} and {name!r} both become the name {escaped!r}")
        first[escaped] = name
    return dict(zip(first, labels.values(), strict=True))


def _stays(name: object) -> bool:
    is_short = isinstance(name, str) and len(name) <= _MAX_ESCAPED_CHARACTERS
    return not is_short or LABEL_NAME.fullmatch(str(name)) is not None


def check_label_name(name: str) -> str:
    """Return `name` if a device may have a label of this name, else raises `ValueError`."""
    if not LABEL_NAME.fullmatch(name):
        raise ValueError(
            "is not a label name: use letters, digits and underscores, and no digit first"
        )
    if name.startswith("__"):
        raise ValueError("starts with two underscores, which Prometheus reserves")
    if name in RESERVED_LABELS:
        raise ValueError("is a label that the exporter sets itself")
    return name


def _check_not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be empty")
    return text


_NUMERIC_NAME: Final = re.compile(r"(?:^|\.)(?:[0-9]+|0[xX][0-9a-fA-F]*)$")
"""What programs take for an IPv4 address: no domain ends so."""

_DNS_NAME: Final = re.compile(r"[A-Za-z0-9_.-]+")


def _check_allowed_server(text: str) -> str:
    """Return the spelling in which a network, an address or a host name is compared.

    Raises `ValueError` for anything else, and for what no server of a device can match.
    """
    if "/" not in text:
        return _allowed_host(text)
    return _allowed_network(str(parse_network(text, "10.0.0.0/8")), text)


def _allowed_host(text: str) -> str:
    host, port = split_address(text.removesuffix("."))
    if port is not None:
        raise ValueError("must not have a port: devices use 123 only")
    host = canonical_host(host)
    if ":" in host or _NUMERIC_NAME.search(host):
        return _allowed_network(host, text)
    if not _DNS_NAME.fullmatch(host.encode("idna").decode("ascii")):
        raise ValueError(f"{text!r} is not a host name; a name allows that name only")
    return host


def _allowed_network(text: str, written: str) -> str:
    if "%" in text:
        raise ValueError(f"{written!r} must not have a zone: another host has other ones")
    try:
        network = ipaddress.ip_network(text)
    except ValueError:
        raise ValueError(f"{written!r} is not an address") from None
    if not is_other_host(network):
        raise ValueError(
            f"{written!r} has no address that a device's server could have: it is this host's, "
            "link-local, IPv4 in IPv6, multicast or reserved"
        )
    return text


MIN_QUERY_INTERVAL_SECONDS: Final = 16.0
"""A time server is never asked more often: operators of public ones block who does."""


MAX_QUERY_INTERVAL_SECONDS: Final = 17 * 60.0
"""About NTP's default maxpoll. With more, a server that failed would be found too late."""


def _check_query_interval(seconds: float) -> float:
    if seconds < MIN_QUERY_INTERVAL_SECONDS:
        raise ValueError(f"must be at least {format_duration(MIN_QUERY_INTERVAL_SECONDS)}")
    if seconds > MAX_QUERY_INTERVAL_SECONDS:
        raise ValueError(f"must be at most {format_duration(MAX_QUERY_INTERVAL_SECONDS)}")
    return seconds


_MAX_SERVER_NAME_LENGTH: Final = 255


def _check_server_name(name: str) -> str:
    if not name.isprintable() or " " in name:
        raise ValueError("must be a host name or address, without spaces")
    if len(name) > _MAX_SERVER_NAME_LENGTH:
        raise ValueError(f"must be at most {_MAX_SERVER_NAME_LENGTH} characters long")
    return name


def check_username(name: str) -> str:
    """Return `name` if HTTP authentication can transmit it, else raises `ValueError`."""
    if ":" in name:
        raise ValueError("must not contain a colon: HTTP authentication cannot transmit it")
    if not name.isprintable():
        raise ValueError("must be one line without control characters")
    if len(name) > MAX_SECRET_CHARACTERS:
        raise ValueError(f"must have at most {MAX_SECRET_CHARACTERS:,} characters")
    return _check_not_blank(name)


Address = Annotated[str, AfterValidator(_check_address)]
DurationSeconds = Annotated[
    float,
    BeforeValidator(_seconds),
    AfterValidator(_check_positive),
    PlainSerializer(format_duration),
]
QueryIntervalSeconds = Annotated[DurationSeconds, AfterValidator(_check_query_interval)]
TimeServerAddress = Annotated[str, AfterValidator(_check_time_server)]
AllowedServer = Annotated[str, AfterValidator(_check_allowed_server)]
FilePath = Annotated[Path, AfterValidator(_absolute_path)]
FilePattern = Annotated[Path, AfterValidator(_file_pattern)]
HttpUrl = Annotated[str, AfterValidator(_http_url), PlainSerializer(redact_url)]
Fingerprint = Annotated[
    bytes, BeforeValidator(_fingerprint), PlainSerializer(lambda pin: pin.hex(":"))
]
Labels = Annotated[
    dict[Annotated[str, AfterValidator(check_label_name)], str], BeforeValidator(escape_label_names)
]
Name = Annotated[str, AfterValidator(_check_not_blank)]
DeviceName = Annotated[Name, AfterValidator(_check_length)]
ServerName = Annotated[Name, AfterValidator(_check_server_name)]
Username = Annotated[str, AfterValidator(check_username)]
Password = Annotated[Secret, AfterValidator(_check_password)]
