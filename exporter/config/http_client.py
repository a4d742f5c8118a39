"""How to ask a server (of targets, or Prometheus): the keys of Prometheus's HTTP clients."""

import re
from pathlib import Path
from typing import Annotated, Final, Self

from annotated_types import MaxLen
from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from yarl import URL

from exporter.config.base import AccountConfig, NullIsUnset
from exporter.config.tls import TlsConfig
from exporter.config.types import FilePath, HttpUrl, Password, Secret
from exporter.system.addresses import is_loopback

MAX_HEADERS: Final = 64

_TOKEN: Final = re.compile(r"[-!#$%&'*+.^_`|~0-9A-Za-z]+")
"""The name of a header, and of an authentication scheme (RFC 9110 section 5.6.2)."""

_SET_BY_US: Final = {
    "accept",
    "accept-encoding",
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "www-authenticate",
    "x-prometheus-refresh-interval-seconds",
}


def check_header_value(text: str) -> str:
    """Return `text` if it can be the value of a header, else raises `ValueError`."""
    if not text.isascii() or not text.isprintable():
        raise ValueError("must be one line of ASCII characters")
    return text


def _check_secret_value(secret: Secret) -> Secret:
    check_header_value(secret.get_secret_value())
    return secret


def _check_header_name(name: str) -> str:
    if name.lower() in _SET_BY_US:
        raise ValueError("is a header that the exporter sets itself")
    return name


def _check_scheme(scheme: str) -> str:
    if not _TOKEN.fullmatch(scheme):
        raise ValueError("is not the name of an authentication scheme")
    if scheme.lower() == "basic":
        raise ValueError("must not be basic: use `basic_auth`")
    return scheme


HeaderSecret = Annotated[Password, AfterValidator(_check_secret_value)]


class Authorization(NullIsUnset):
    """`authorization`: the scheme and what follows it. It is inline or in a file."""

    type: Annotated[str, AfterValidator(_check_scheme)] = "Bearer"
    credentials: HeaderSecret | None = None
    credentials_file: FilePath | None = None

    @model_validator(mode="after")
    def _has_one(self) -> Self:
        if (self.credentials is None) == (self.credentials_file is None):
            raise ValueError("set either credentials or credentials_file")
        return self


class BasicAuthConfig(AccountConfig, NullIsUnset):
    """`basic_auth`: an account, perhaps without a password."""

    @model_validator(mode="after")
    def _is_one_account(self) -> Self:
        if (self.username is None) == (self.username_file is None):
            raise ValueError("set either username or username_file")
        if self.password is not None and self.password_file is not None:
            raise ValueError("set password or password_file, not both")
        return self


class HttpHeader(NullIsUnset):
    """One entry of `http_headers`: its values, public, secret, and each from a file."""

    values: tuple[Annotated[str, AfterValidator(check_header_value)], ...] = ()
    secrets: tuple[HeaderSecret, ...] = ()
    files: tuple[FilePath, ...] = ()


_MAX_HEADER_NAME_CHARACTERS: Final = 64


def _check_header_names(headers: object) -> object:
    """Return `headers`. Raises `ValueError` for a name that may be a secret, without showing it."""
    for number, name in enumerate(headers if isinstance(headers, dict) else (), 1):
        is_name = isinstance(name, str) and _TOKEN.fullmatch(name)
        if not is_name or len(name) > _MAX_HEADER_NAME_CHARACTERS:
            raise ValueError(
                f"number {number} of these is not the name of an HTTP header (it is not shown: it "
                "may be a secret); a header is `NAME: {secrets: [VALUE]}`"
            )
    return headers


HeaderName = Annotated[str, AfterValidator(_check_header_name)]


class HttpClientConfig(NullIsUnset):
    """How a server is asked, in the keys of Prometheus."""

    authorization: Authorization | None = None
    basic_auth: BasicAuthConfig | None = None
    http_headers: Annotated[
        dict[HeaderName, HttpHeader], MaxLen(MAX_HEADERS), BeforeValidator(_check_header_names)
    ] = Field(default_factory=dict)
    tls_config: TlsConfig = Field(default_factory=TlsConfig)
    proxy_url: HttpUrl | None = None
    follow_redirects: bool = True

    @model_validator(mode="after")
    def _logs_in_once(self) -> Self:
        if self.authorization is not None and self.basic_auth is not None:
            raise ValueError("set authorization or basic_auth, not both")
        return self

    @property
    def files(self) -> dict[str, Path]:
        """The files that the section names, by the path of their key."""
        files = self.tls_config.files
        if self.authorization is not None:
            files["authorization.credentials_file"] = self.authorization.credentials_file
        if self.basic_auth is not None:
            files["basic_auth.username_file"] = self.basic_auth.username_file
            files["basic_auth.password_file"] = self.basic_auth.password_file
        for name, header in self.http_headers.items():
            for index, file in enumerate(header.files):
                files[f"http_headers.{name}.files[{index}]"] = file
        return {key: file for key, file in files.items() if file is not None}

    @property
    def has_credentials(self) -> bool:
        """Whether a request has something that no other host may see."""
        secret = any(each.secrets or each.files for each in self.http_headers.values())
        return secret or self.authorization is not None or self.basic_auth is not None

    def exposes_credentials(self, url: URL) -> bool:
        """Whether a request would send credentials over plain HTTP to another host."""
        stays_here = is_loopback(url.host or "") and self.proxy_url is None
        return self.has_credentials and url.scheme == "http" and not stays_here
