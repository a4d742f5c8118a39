"""Read the files that a config names: usernames, passwords and certificates.

Client factories call `read_credentials`. If that fails, `file_problems` finds the files
that cannot be used.
"""

from collections.abc import Callable, Container, Iterator, Mapping
from pathlib import Path
from typing import Final

from exporter.config.base import AccountConfig
from exporter.config.errors import Problem
from exporter.config.http_client import HttpClientConfig, check_header_value
from exporter.config.pins import read_pins
from exporter.config.schema import AuthConfig, ModuleConfig
from exporter.config.tls import TlsConfig
from exporter.config.types import MAX_SECRET_CHARACTERS, check_username
from exporter.system.files import read_regular
from exporter.system.tls import describe_file_error
from exporter.vapix.http_auth import DeviceCredentials
from exporter.vapix.tls import TlsSettings, make_ssl_context


def read_credentials(auth: AuthConfig) -> DeviceCredentials | None:
    """Return the account, its files read now, or `None` without one. Raises `ValueError`."""
    username, password = read_account(auth)
    return None if username is None or password is None else DeviceCredentials(username, password)


def read_account(account: AccountConfig) -> tuple[str | None, str | None]:
    """Return username and password, their files read now. Raises `ValueError`."""
    username = account.username
    if account.username_file is not None:
        username = read_username(account.username_file)
    password = None if account.password is None else account.password.get_secret_value()
    if account.password_file is not None:
        password = read_secret(account.password_file)
    return username, password


def read_username(file: Path) -> str:
    """Return the username in a file. Raises `ValueError`."""
    username = read_secret(file)
    try:
        return check_username(username)
    except ValueError as error:
        raise ValueError(f"the username in {file} {error}") from None


def read_secret(file: Path) -> str:
    """Return the text of a file, without one trailing newline. Raises `ValueError`."""
    try:
        text = read_file(file).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{file} is not UTF-8 text") from None
    secret = text.removesuffix("\n").removesuffix("\r")
    if not secret:
        raise ValueError(f"{file} is empty")
    if len(secret) > MAX_SECRET_CHARACTERS:
        raise ValueError(f"{file} has more than {MAX_SECRET_CHARACTERS:,} characters")
    return secret


def read_file(file: Path) -> bytes:
    """Return the content of a regular file. Raises `ValueError`."""
    try:
        return read_regular(file)
    except OSError as error:
        raise ValueError(f"cannot read {file}: {error.strerror}") from None


def read_header(file: Path) -> str:
    """Return the value of a header in a file. Raises `ValueError`."""
    text = read_secret(file)
    try:
        return check_header_value(text)
    except ValueError as error:
        raise ValueError(f"{file} {error}") from None


def check_files(modules: Mapping[str, ModuleConfig]) -> list[Problem]:
    """Return a problem for each file of these modules that cannot be used."""
    return [
        (f"modules.{name}.{key}", problem)
        for name, module in modules.items()
        for key, problem in file_problems(module).items()
    ]


def check_source_files(sources: Mapping[int, HttpClientConfig]) -> list[Problem]:
    """Return a problem for each file of these `http_sd_configs` that cannot be used."""
    return [
        (f"http_sd_configs[{index}].{key}", problem)
        for index, source in sources.items()
        for key, problem in file_problems(source).items()
    ]


_READERS: Final[Mapping[str, Callable[[Path], object]]] = {
    "username_file": read_username,
    "password_file": read_secret,
    "credentials_file": read_header,
    "pins_file": read_pins,
}


def file_problems(section: ModuleConfig | HttpClientConfig) -> dict[str, str]:
    """Return why files of a section cannot be used, by the path of their key."""
    problems: dict[str, str] = {}
    for key, file in section.files.items():
        default = read_header if key.startswith("http_headers.") else read_file
        try:
            _READERS.get(key.rpartition(".")[2], default)(file)
        except ValueError as error:
            problems[key] = str(error)
    return problems | dict(_certificate_problems(section.tls_config, unreadable=problems))


def _certificate_problems(tls: TlsConfig, unreadable: Container[str]) -> Iterator[Problem]:
    """Yield why OpenSSL refuses readable files. Its errors name no file, so try each alone."""
    if tls.ca_file is not None and "tls_config.ca_file" not in unreadable:
        settings = TlsSettings(ca_file=tls.ca_file, insecure_skip_verify=tls.insecure_skip_verify)
        if reason := _refusal(settings):
            yield "tls_config.ca_file", f"cannot use {tls.ca_file}: {reason}"
    pair = ("tls_config.cert_file", "tls_config.key_file")
    if tls.cert_file is not None and not any(key in unreadable for key in pair):
        settings = TlsSettings(
            cert_file=tls.cert_file, key_file=tls.key_file, insecure_skip_verify=True
        )
        if reason := _refusal(settings):
            files = f"{tls.cert_file} with the key in {tls.key_file or tls.cert_file}"
            yield "tls_config.cert_file", f"cannot use {files}: {reason}"


def _refusal(settings: TlsSettings) -> str | None:
    try:
        make_ssl_context(settings)
    except OSError as error:
        return describe_file_error(error)
    return None
