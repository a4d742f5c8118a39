"""The files that a config names: how they are read, and every error with the path of its key."""

import os
from pathlib import Path

import pytest
import trustme

from exporter.config import ConfigError, load_config
from exporter.config.errors import as_lines
from exporter.config.files import check_files, check_source_files, read_credentials
from exporter.config.loader import file_errors
from exporter.fleet.client_factory import build_client_factories
from tests.config.documents import load, problems


def test_relative_paths_are_relative_to_the_config_file(tmp_path: Path) -> None:
    (tmp_path / "pw").write_text("p\n\n")
    file = tmp_path / "config.yaml"
    file.write_text("modules: {default: {auth: {username: root, password_file: pw}}}")
    credentials = read_credentials(load_config(file, {}).module("default").auth)
    assert credentials is not None
    assert credentials.password == "p\n", "one trailing newline is not part of the password"


def test_a_password_may_come_from_the_environment() -> None:
    config = load("modules: {m: {auth: {username: root, password: '${PW}'}}}", PW="a$$b${c}")
    credentials = read_credentials(config.module("m").auth)
    assert credentials is not None
    assert credentials.password == "a$$b${c}"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("root\n\n", "the username in {file} must be one line without control characters"),
        ("ro\0ot", "the username in {file} must be one line without control characters"),
        (
            "a:b",
            "the username in {file} must not contain a colon: "
            "HTTP authentication cannot transmit it",
        ),
        (" ", "the username in {file} must not be empty"),
        ("", "{file} is empty"),
    ],
)
def test_a_username_in_a_file_is_checked_like_one_in_the_config(
    content: str, problem: str, tmp_path: Path
) -> None:
    file = tmp_path / "name"
    file.write_text(content)
    found = problems("modules: {m: {auth: {username_file: name, password: x}}}", tmp_path)
    assert found == [f"modules.m.auth.username_file: {problem.format(file=file)}"]


def test_a_byte_order_mark_is_no_part_of_a_config_a_username_or_a_password(tmp_path: Path) -> None:
    (tmp_path / "name").write_text("root\r\n", "utf-8-sig")
    (tmp_path / "password").write_text("pass\r\n", "utf-8-sig")
    file = tmp_path / "config.yaml"
    text = "modules: {default: {auth: {username_file: name, password_file: password}}}"
    file.write_text(text, "utf-8-sig")
    credentials = read_credentials(load_config(file, {}).module("default").auth)
    assert credentials is not None
    assert (credentials.username, credentials.password) == ("root", "pass")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"\xef\xbb\xbf", "is empty"),
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"\xff", "is not UTF-8 text"),
    ],
)
def test_an_unusable_password_file_is_an_error(
    content: bytes, problem: str, tmp_path: Path
) -> None:
    (tmp_path / "password").write_bytes(content)
    found = problems("modules: {m: {auth: {username: a, password_file: password}}}", tmp_path)
    assert found == [f"modules.m.auth.password_file: {tmp_path / 'password'} {problem}"]


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    ("section", "key"),
    [
        ("auth: {username: a, password_file: pipe}", "auth.password_file"),
        ("tls_config: {ca_file: pipe}", "tls_config.ca_file"),
        ("scheme: http, tls_config: {cert_file: pipe}", "tls_config.cert_file"),
    ],
)
def test_a_pipe_is_an_error_and_not_waited_for(section: str, key: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    found = problems(f"modules: {{m: {{{section}}}}}", tmp_path)
    assert found == [f"modules.m.{key}: cannot read {tmp_path / 'pipe'}: not a regular file"]


@pytest.mark.parametrize("scheme", ["https", "http"])
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("no certificate", "it contains no PEM certificate"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n", "it is not valid PEM"),
    ],
)
def test_a_broken_ca_file_is_an_error(
    content: str, reason: str, scheme: str, tmp_path: Path
) -> None:
    (tmp_path / "ca.pem").write_text(content)
    document = f"modules: {{m: {{scheme: {scheme}, tls_config: {{ca_file: ca.pem}}}}}}"
    assert problems(document, tmp_path) == [
        f"modules.m.tls_config.ca_file: cannot use {tmp_path / 'ca.pem'}: {reason}"
    ]


def test_a_key_of_another_certificate_is_an_error(tmp_path: Path) -> None:
    one, other = (trustme.CA().issue_cert("client.example") for _ in range(2))
    cert_file, key_file = tmp_path / "client.pem", tmp_path / "client.key"
    one.cert_chain_pems[0].write_to_path(cert_file)
    other.private_key_pem.write_to_path(key_file)
    tls = "{cert_file: client.pem, key_file: client.key}"
    assert problems(f"modules: {{m: {{tls_config: {tls}}}}}", tmp_path) == [
        f"modules.m.tls_config.cert_file: cannot use {cert_file} with the key in {key_file}: "
        "the key does not match the certificate"
    ]


UNUSABLE = """
modules:
  a:
    auth: {username: root, password_file: missing}
    tls_config: {ca_file: broken, cert_file: broken, key_file: missing}
  b:
    auth: {username_file: empty, password_file: empty}
    tls_config: {cert_file: broken}
"""


@pytest.fixture(name="expected")
def unusable_files(tmp_path: Path) -> list[str]:
    """Writes the files of `UNUSABLE` and returns their problems."""
    (tmp_path / "broken").write_text("no PEM")
    (tmp_path / "empty").touch()
    missing = f"cannot read {tmp_path / 'missing'}: No such file or directory"
    broken = tmp_path / "broken"
    return [
        f"modules.a.auth.password_file: {missing}",
        f"modules.a.tls_config.key_file: {missing}",
        f"modules.a.tls_config.ca_file: cannot use {broken}: it contains no PEM certificate",
        f"modules.b.auth.username_file: {tmp_path / 'empty'} is empty",
        f"modules.b.auth.password_file: {tmp_path / 'empty'} is empty",
        f"modules.b.tls_config.cert_file: cannot use {broken} with the key in {broken}: "
        "it is not valid PEM",
    ]


def test_all_unusable_files_are_reported_at_once(expected: list[str], tmp_path: Path) -> None:
    assert problems(UNUSABLE, tmp_path) == expected
    assert as_lines(check_files(load(UNUSABLE, tmp_path).modules)) == expected


def test_unusable_files_are_reported_with_all_other_errors(
    expected: list[str], tmp_path: Path
) -> None:
    document = f"{UNUSABLE}    interval: soon\ndevices: [{{address: d, module: c}}]"
    assert problems(document, tmp_path) == [
        "modules.b.interval: 'soon' is not a duration such as 30s, 1m30s or 500ms",
        "devices[0].module: there is no module 'c'; the modules are: a, b, default",
        *expected,
    ]


def test_a_file_named_by_an_unset_variable_is_one_error() -> None:
    document = "modules: {m: {auth: {username: a, password_file: '${FOLDER}/password'}}}"
    assert problems(document) == [
        "modules.m.auth.password_file: the environment variable FOLDER is not set"
    ]


@pytest.mark.timeout(10)
def test_validation_opens_no_file(tmp_path: Path) -> None:
    assert load(UNUSABLE, tmp_path).files[0] == tmp_path / "missing"


VALID_WITH_FILES = """\
modules:
  m:
    auth:
      username: root
      password_file: missing
    tls_config:
      ca_file: bad.pem
"""


def test_a_file_that_a_valid_config_names_is_reported_with_the_line_of_its_key(
    tmp_path: Path,
) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(VALID_WITH_FILES)
    (tmp_path / "bad.pem").write_text("no certificate")
    config = load_config(file, {})
    with pytest.raises(ConfigError) as caught:
        build_client_factories(config.modules, {}, config.source)
    assert [problem.partition(": ")[0] for problem in caught.value.problems] == [
        f"{file}:5",
        f"{file}:7",
    ]
    # Without the file there are no lines.
    file.unlink()
    with pytest.raises(ConfigError, match=r"^modules\.m\.auth\.password_file: cannot read "):
        build_client_factories(config.modules, {}, config.source)


SOURCES = """
http_sd_configs:
- url: https://sd.example/
  authorization:
    credentials_file: token
  http_headers:
    X-Key:
      files:
      - key
  tls_config:
    ca_file: ca.pem
- url: https://other.example/
  basic_auth:
    username_file: name
    password_file: password
"""


def source_problems(file: Path) -> list[str]:
    config = load_config(file, {})
    found = check_source_files(dict(enumerate(config.http_sd_configs)))
    return file_errors(found, config.source).problems


def test_files_of_a_source_that_are_missing_are_errors_with_their_lines(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(SOURCES)
    first, second = "http_sd_configs[0]", "http_sd_configs[1].basic_auth"
    places = {
        f"{file}:5: {first}.authorization.credentials_file": "token",
        f"{file}:9: {first}.http_headers.X-Key.files[0]": "key",
        f"{file}:11: {first}.tls_config.ca_file": "ca.pem",
        f"{file}:14: {second}.username_file": "name",
        f"{file}:15: {second}.password_file": "password",
    }
    assert sorted(source_problems(file)) == sorted(
        f"{place}: cannot read {tmp_path / name}: No such file or directory"
        for place, name in places.items()
    )


def test_files_of_a_source_are_checked_for_what_they_are_used_for(tmp_path: Path) -> None:
    for name in ("token", "key", "ca.pem", "name", "password"):
        (tmp_path / name).write_text("a:b\nc")
    file = tmp_path / "config.yaml"
    file.write_text(SOURCES)
    reasons = [each.rpartition(f"{tmp_path}/")[2] for each in source_problems(file)]
    assert sorted(reasons) == [
        "ca.pem: it contains no PEM certificate",
        "key must be one line of ASCII characters",
        "name must not contain a colon: HTTP authentication cannot transmit it",
        "token must be one line of ASCII characters",
    ]


def test_files_of_a_source_are_errors_beside_those_of_the_config(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        load(f"unknown: 1\n{SOURCES}- url: ftp://x/\n", tmp_path)
    text = str(refused.value)
    assert "unknown: unknown key" in text
    assert "http_sd_configs[0].authorization.credentials_file: cannot read" in text
    assert "http_sd_configs[2].url: must be a URL" in text


def test_auto_reload_watches_the_files_of_sources(tmp_path: Path) -> None:
    named = {file.name for file in load(SOURCES, tmp_path).files}
    assert named == {"token", "key", "ca.pem", "name", "password"}
