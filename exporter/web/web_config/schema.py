"""The keys of a web-config file, and how it is loaded: TLS, headers and users."""

import re
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError

from exporter.config.base import NullIsUnset, Section
from exporter.config.errors import ConfigError, as_lines, first_problems, validation_problems
from exporter.config.loader import MAX_PART_VALUES, load_document, read_tree
from exporter.config.types import Secret, Username
from exporter.config.yaml_loader import Tree, count_values
from exporter.web.web_config.tls import FILE_KEYS, TlsServerConfig, YamlBool

MAX_COST: Final = 16
"""bcrypt's cost: each step doubles the work; with 16 a check takes seconds."""

_BCRYPT: Final = re.compile(
    r"\$2[abxy]\$(?P<cost>0[4-9]|[12]\d|3[01])\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{31}"
)


def _check_header_value(text: str) -> str:
    if not (text.isascii() and text.isprintable()):
        raise ValueError("must be one line of printable ASCII")
    return text


def _check_bcrypt_hash(secret: Secret) -> Secret:
    text = secret.get_secret_value()
    match = _BCRYPT.fullmatch(text)
    if match is None and _BCRYPT.fullmatch(text.strip()):
        raise ValueError("has whitespace before or after the bcrypt hash")
    if match is None:
        raise ValueError("is not a bcrypt hash; create one with `htpasswd -nBC 10 NAME`")
    if int(match["cost"]) > MAX_COST:
        raise ValueError(
            f"bcrypt cost {match['cost']} is too slow for scrapes; use {MAX_COST} at most"
        )
    return secret


def _refuse_null_users(value: object) -> object:
    if value is None:
        # A file that is truncated here must not admit everyone.
        raise ValueError("is empty; write {} to disable passwords")
    return value


def _refuse_rate_limit(_value: object) -> None:
    raise ValueError("is not supported")


HeaderValue = Annotated[str, AfterValidator(_check_header_value)]
BcryptHash = Annotated[Secret, AfterValidator(_check_bcrypt_hash)]


class Headers(Section):
    """`http_server_config.headers`: the ones that Prometheus allows. Only those set are sent."""

    content_security_policy: HeaderValue = Field("", alias="Content-Security-Policy")
    strict_transport_security: HeaderValue = Field("", alias="Strict-Transport-Security")
    x_content_type_options: Literal["nosniff"] = Field("nosniff", alias="X-Content-Type-Options")
    x_frame_options: Literal["deny", "sameorigin"] = Field("deny", alias="X-Frame-Options")
    x_xss_protection: HeaderValue = Field("", alias="X-XSS-Protection")

    def by_name(self) -> dict[str, str]:
        """Return the headers that the file sets; an empty value removes the header."""
        headers: dict[str, str] = self.model_dump(by_alias=True, exclude_unset=True)
        return headers


class HttpServerConfig(NullIsUnset):
    """`http_server_config`. `http2` is accepted, but the server supports only HTTP/1.1."""

    http2: YamlBool = True
    headers: Headers = Headers()


class WebConfig(NullIsUnset):
    """The whole web-config file."""

    null_counts = frozenset({"basic_auth_users"})

    tls_server_config: TlsServerConfig | None = None
    http_server_config: HttpServerConfig = HttpServerConfig()
    basic_auth_users: Annotated[dict[Username, BcryptHash], BeforeValidator(_refuse_null_users)] = (
        Field(default_factory=dict)
    )
    rate_limit: Annotated[None, BeforeValidator(_refuse_rate_limit)] = None

    def __str__(self) -> str:
        count = len(self.basic_auth_users)
        tls = "no TLS" if self.tls_server_config is None else "TLS"
        return f"{tls}, {count} user{'' if count == 1 else 's'}"


def load_web_config(file: Path) -> WebConfig:
    """Read and validate a web-config. Raises `ConfigError` as `load_config` does."""
    return load_document(file, lambda tree: _parse(tree, file.parent), verbatim=True)


def _parse(tree: Tree, directory: Path) -> WebConfig:
    if tree is None:
        # A half-written file must not turn off TLS and passwords.
        raise ConfigError(["is empty; write {} for neither TLS nor passwords"], [""])
    if not isinstance(tree, dict):
        raise ConfigError(["must be a mapping"], [""])
    if count_values(tree) > MAX_PART_VALUES:
        limit = f"has more than {MAX_PART_VALUES:,} values, which is the limit"
        raise ConfigError([limit], [""])
    try:
        return WebConfig.model_validate(tree, context={"directory": directory})
    except ValidationError as invalid:
        found = list(first_problems(validation_problems(invalid, WebConfig)))
    raise ConfigError(as_lines(found), [path for path, _ in found])


def files_named_in(file: Path) -> list[Path]:
    """Return the files that a web-config names, even if the web-config is not valid."""
    try:
        tree = read_tree(file)
    except ConfigError:
        return []
    section = tree.get("tls_server_config") if isinstance(tree, dict) else None
    if not isinstance(section, dict):
        return []
    names = (section.get(key) for key in FILE_KEYS)
    return [Path(file.parent, name) for name in names if isinstance(name, str)]
