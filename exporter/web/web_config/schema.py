"""The web-config file of Prometheus's exporters: TLS, headers and accounts of the web side."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError

from exporter.config.errors import ConfigError, as_lines, keys_of, validation_problems
from exporter.config.loader import read_tree
from exporter.config.schema import NullIsUnset, Section
from exporter.config.types import Secret, Username
from exporter.web.web_config.tls import FILE_KEYS, TlsServer, YamlBool

HIGHEST_COST: Final = 16
"""bcrypt's cost: each step doubles the work, and 16 are seconds for every new password."""

_BCRYPT: Final = re.compile(
    r"\$2[abxy]\$(?P<cost>0[4-9]|[12]\d|3[01])\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{31}"
)


def _header_value(text: str) -> str:
    if not (text.isascii() and text.isprintable()):
        raise ValueError("must be one line of printable ASCII")
    return text


def _bcrypt_hash(secret: Secret) -> Secret:
    text = secret.get_secret_value()
    match = _BCRYPT.fullmatch(text)
    if match is None and _BCRYPT.fullmatch(text.strip()):
        raise ValueError("has a space or a line break around its bcrypt hash")
    if match is None:
        raise ValueError("is not a bcrypt hash; `htpasswd -nBC 10 NAME` makes one")
    if int(match["cost"]) > HIGHEST_COST:
        raise ValueError(
            f"its cost {match['cost']} is too much for a check with a scrape waiting: "
            f"at most {HIGHEST_COST}"
        )
    return secret


def _accounts(value: object) -> object:
    if value is None:
        # What a file looks like that is cut off here would let in everybody.
        raise ValueError("has nothing behind it; {} stands for no passwords")
    return value


def _rate_limit(_value: object) -> None:
    raise ValueError("is not supported")


HeaderValue = Annotated[str, AfterValidator(_header_value)]
BcryptHash = Annotated[Secret, AfterValidator(_bcrypt_hash)]


class Headers(Section):
    """`http_server_config.headers`: those that Prometheus allows. Only what is set counts."""

    content_security_policy: HeaderValue = Field("", alias="Content-Security-Policy")
    strict_transport_security: HeaderValue = Field("", alias="Strict-Transport-Security")
    x_content_type_options: Literal["nosniff"] = Field("nosniff", alias="X-Content-Type-Options")
    x_frame_options: Literal["deny", "sameorigin"] = Field("deny", alias="X-Frame-Options")
    x_xss_protection: HeaderValue = Field("", alias="X-XSS-Protection")

    def named(self) -> dict[str, str]:
        """What the file has, by the headers' names; an empty value wants the header away."""
        named: dict[str, str] = self.model_dump(by_alias=True, exclude_unset=True)
        return named


class HttpServer(NullIsUnset):
    """`http_server_config`. `http2` may be wished for: what is spoken is HTTP/1.1."""

    http2: YamlBool = True
    headers: Headers = Headers()


class WebConfig(NullIsUnset):
    """The whole file."""

    null_counts = frozenset({"basic_auth_users"})

    tls_server_config: TlsServer | None = None
    http_server_config: HttpServer = HttpServer()
    basic_auth_users: Annotated[dict[Username, BcryptHash], BeforeValidator(_accounts)] = Field(
        default_factory=dict
    )
    rate_limit: Annotated[None, BeforeValidator(_rate_limit)] = None

    def __str__(self) -> str:
        count = len(self.basic_auth_users)
        tls = "no TLS" if self.tls_server_config is None else "TLS"
        return f"{tls}, {count} user{'' if count == 1 else 's'}"


KNOWN_KEYS: Final = keys_of((WebConfig, TlsServer, HttpServer, Headers))


def load_web_config(file: Path) -> WebConfig:
    """Read and check a web-config. Raises `ConfigError` with lines `file: path: problem`."""
    tree = read_tree(file, verbatim=True)
    if tree is None:
        # What a half-written file looks like must not open every door.
        raise ConfigError([f"{file}: is empty; {{}} stands for neither TLS nor passwords"])
    if not isinstance(tree, dict):
        raise ConfigError([f"{file}: is no mapping"])
    try:
        return WebConfig.model_validate(tree, context={"directory": file.parent})
    except ValidationError as invalid:
        found = as_lines(validation_problems(invalid, KNOWN_KEYS))
    raise ConfigError([f"{file}: {line}" for line in found])


def files_named_in(file: Path) -> list[Path]:
    """The files that a web-config names, be it right or wrong."""
    try:
        tree = read_tree(file)
    except ConfigError:
        return []
    section = tree.get("tls_server_config") if isinstance(tree, dict) else None
    if not isinstance(section, dict):
        return []
    names = (section.get(key) for key in FILE_KEYS)
    return [Path(file.parent, name) for name in names if isinstance(name, str)]
