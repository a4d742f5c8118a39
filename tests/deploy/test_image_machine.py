"""What `make image-test` takes from the machine: its programs, and its settings of pip."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.artifacts.image.engine import PACKAGES, missing
from tests.artifacts.image.pip_settings import pip_secrets
from tests.deploy.dockerfile import ROOT

CI_PACKAGES = (ROOT / ".ci/debian-packages.txt").read_text("utf-8").split()


@pytest.fixture
def no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Hide this machine's own settings of pip."""
    for name in ("PIP_CERT", "PIP_FIND_LINKS", "PIP_DEFAULT_TIMEOUT", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.setenv("XDG_CONFIG_DIRS", str(tmp_path / "nothing"))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")


def test_a_missing_program_is_named_by_its_package(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "Debian's buildah mmdebstrap podman" in missing()
    assert "apt-get install" in missing()


def test_ci_installs_what_the_image_test_needs() -> None:
    assert set(PACKAGES.values()) <= set(CI_PACKAGES)


@pytest.mark.usefixtures("no_settings")
def test_settings_of_pip_become_secrets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "https://pypi.example/simple")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "file:///srv/wheels https://more.example/simple")
    monkeypatch.setenv("PIP_CERT", "/etc/company-ca.pem")
    secrets = pip_secrets(tmp_path)
    assert secrets == {"pip.conf": tmp_path / "pip.conf", "ca.pem": Path("/etc/company-ca.pem")}
    assert sorted(secrets["pip.conf"].read_text().splitlines()) == [
        "[global]",
        "cert = /run/secrets/ca.pem",
        "extra-index-url = https://more.example/simple",
        "index-url = https://pypi.example/simple",
    ]
    assert secrets["pip.conf"].stat().st_mode & 0o777 == 0o600


@pytest.mark.usefixtures("no_settings")
def test_a_machine_without_settings_gives_an_empty_one(tmp_path: Path) -> None:
    assert pip_secrets(tmp_path) == {"pip.conf": tmp_path / "pip.conf"}
    assert (tmp_path / "pip.conf").read_text() == "[global]\n"
