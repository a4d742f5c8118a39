"""The web-config file: every error word for word, compared with promtool on the same files."""

from __future__ import annotations

import re
import ssl
import subprocess
import textwrap
from pathlib import Path

import pytest

from exporter.config import ConfigError
from exporter.web.web_config.schema import WebConfig, load_web_config
from tests.support.certificates import authority, encrypt
from tests.support.config_keys import keys_of
from tests.support.programs import find_program
from tests.web.web_config.cases import HASH, INVALID, TLS, VALID, Case, tls


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the certificates that the cases name."""
    folder = tmp_path_factory.mktemp("web-config")
    _, other_key = authority(folder).issue("other")
    encrypt(other_key, folder / "encrypted.key")
    (folder / "cut.key").write_bytes(other_key.read_bytes()[:100])
    (folder / "cut.pem").write_bytes((folder / "ca.pem").read_bytes()[:100])
    return folder


def write(folder: Path, case: Case) -> Path:
    file = folder / "web.yml"
    file.write_text(case.document, "utf-8")
    return file


def promtool_accepts(file: Path) -> bool:
    command = [find_program("promtool", "prometheus"), "check", "web-config", str(file)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def name(case: Case) -> str:
    return case.document or "empty"


@pytest.mark.parametrize("case", VALID, ids=name)
def test_prometheus_accepts_what_we_accept(case: Case, folder: Path) -> None:
    file = write(folder, case)
    assert isinstance(load_web_config(file), WebConfig)
    assert case.newer or promtool_accepts(file)


def test_a_curve_that_python_does_not_know_is_an_error_of_the_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Debian 12."""

    def fail(_context: ssl.SSLContext, _name: str) -> None:
        raise ssl.SSLError(129, "unknown group")

    monkeypatch.setattr(ssl.SSLContext, "set_ecdh_curve", fail)
    with pytest.raises(ConfigError, match=r"curve_preferences: Python .* cannot set X25519"):
        load_web_config(write(folder, Case(tls("curve_preferences: [X25519]"))))


@pytest.mark.parametrize("case", INVALID, ids=name)
def test_every_error_is_reported_with_its_path(case: Case, folder: Path) -> None:
    file = write(folder, case)
    with pytest.raises(ConfigError) as caught:
        load_web_config(file)
    # Some tell their line, and those of the YAML their column; the others are in the first line.
    places = [f"{file}:" if problem[0].isdigit() else f"{file}:1: " for problem in case.problems]
    expected = [problem.replace("{folder}", str(folder)) for problem in case.problems]
    assert caught.value.problems == [a + b for a, b in zip(places, expected, strict=True)]


def test_an_error_has_the_line_of_its_key(tmp_path: Path) -> None:
    document = """\
    # Comments count too.
    tls_server_config:
      cert_file: nowhere.crt
      key_file:
        nowhere.key
      min_versoin: TLS12
    basic_auth_users:
      alice: password
    """
    file = write(tmp_path, Case(textwrap.dedent(document)))
    with pytest.raises(ConfigError) as caught:
        load_web_config(file)
    missing = "No such file or directory"
    assert caught.value.problems == [
        f"{file}:3: tls_server_config.cert_file: cannot read {tmp_path}/nowhere.crt: {missing}",
        f"{file}:4: tls_server_config.key_file: cannot read {tmp_path}/nowhere.key: {missing}",
        f"{file}:6: tls_server_config.min_versoin: unknown key (did you mean min_version?)",
        f"{file}:8: basic_auth_users.alice: is not a bcrypt hash; create one with "
        "`htpasswd -nBC 10 NAME`",
    ]


@pytest.mark.parametrize("case", [case for case in INVALID if not case.newer], ids=name)
def test_the_table_says_where_we_are_stricter_than_prometheus(case: Case, folder: Path) -> None:
    assert promtool_accepts(write(folder, case)) is case.promtool_accepts


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=re.escape("nowhere.yml: cannot be read: No such file")):
        load_web_config(tmp_path / "nowhere.yml")


def test_no_error_shows_a_secret(folder: Path) -> None:
    for case in INVALID:
        with pytest.raises(ConfigError) as caught:
            load_web_config(write(folder, case))
        assert "s3cret" not in str(caught.value)
        assert HASH[8:20] not in str(caught.value)
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_no_repr_shows_a_hash(folder: Path) -> None:
    config = load_web_config(write(folder, Case(f"basic_auth_users: {{alice: {HASH}}}")))
    assert HASH[8:20] not in f"{config!r} {config} {config.model_dump()} {config.model_dump_json()}"
    assert str(config) == "no TLS, 1 user"


def test_dollars_are_literal(folder: Path) -> None:
    config = load_web_config(write(folder, Case(f"basic_auth_users: {{alice: {HASH}}}")))
    assert config.basic_auth_users["alice"].get_secret_value() == HASH


def test_clients_may_not_renegotiate(folder: Path) -> None:
    # Inspected, not tried: OpenSSL 3 refuses renegotiation anyway, 1.1.1 only with this option.
    section = load_web_config(
        write(folder, Case(f"tls_server_config: {{{TLS}}}"))
    ).tls_server_config
    assert section is not None
    assert section.context.options & ssl.OP_NO_RENEGOTIATION


def test_the_docs_describe_every_key() -> None:
    text = (Path(__file__).parents[3] / "docs/configuration.md").read_text()
    assert [key for key in keys_of(WebConfig) if f"`{key}`" not in text] == []
