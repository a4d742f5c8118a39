"""deploy/web-config.example.yml is accepted by the exporter and by promtool."""

from __future__ import annotations

import shutil
from pathlib import Path

import bcrypt
import pytest

from exporter.web.web_config.schema import load_web_config
from tests.support.certificates import authority
from tests.web.web_config.test_load import promtool_accepts

EXAMPLE = Path(__file__).parents[3] / "deploy/web-config.example.yml"


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """The example next to the files that it names."""
    authority(tmp_path).file.rename(tmp_path / "client-ca.pem")
    return Path(shutil.copy(EXAMPLE, tmp_path))


def test_promtool_accepts_the_example(example: Path) -> None:
    assert promtool_accepts(example)


def test_we_accept_the_example(example: Path) -> None:
    assert str(load_web_config(example)) == "TLS, 1 user"


def test_the_examples_password_is_the_one_it_names(example: Path) -> None:
    hashed = load_web_config(example).basic_auth_users["prometheus"].get_secret_value()
    assert bcrypt.checkpw(b"change me", hashed.encode())
