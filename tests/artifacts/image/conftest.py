"""The image, built once for all tests, and containers as the docs run them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.artifacts.image.engine import IMAGE, NOBODY, Engine, engine, missing
from tests.deploy.test_image import SERVICE

CLOSED: Final = (
    "--pull=never",
    "--read-only",
    # Without it, podman gives a container a writable /tmp, which Docker does not.
    "--read-only-tmpfs=false",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges",
)
"""The flags of a container that can write nothing and has no privileges."""


def pytest_sessionstart() -> None:
    if reason := missing():
        pytest.exit(f"make image-test: {reason}", returncode=1)


@pytest.fixture(scope="session")
def built() -> Iterator[Engine]:
    """Build the image with the Dockerfile unchanged."""
    with engine() as made:
        made.build(revision="0123abcd")
        yield made


@pytest.fixture(scope="session")
def demo(built: Engine) -> str:
    """Run the demo of compose.yaml without any network; return the container's name."""
    built.podman(
        "run", "--detach", "--name=demo", *CLOSED, "--network=none", IMAGE, *SERVICE["command"]
    )
    return "demo"


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a password and a config that polls `simulator`, for the image's account."""
    made = tmp_path_factory.mktemp("axis-ntp-exporter")
    (made / "axis-password").write_text("made up: p@ss")
    (made / "config.yaml").write_text(_CONFIG)
    give_to_nobody(made)
    return made


def give_to_nobody(folder: Path) -> None:
    """Let only the account of the image read what is in a folder."""
    for path in (folder, *folder.iterdir()):
        os.chown(path, NOBODY, NOBODY)
        path.chmod(0o500 if path.is_dir() else 0o400)


@pytest.fixture(scope="session")
def simulator(built: Engine, folder: Path) -> str:
    """Run simulated HTTPS devices without any network; return the container's name."""
    mount = f"--volume={folder}/axis-password:/run/secrets/axis-password:ro"
    options = ("--scheme=https", "--devices=3", "--listen=127.0.0.1:8443")
    password = "--password-file=/run/secrets/axis-password"
    closed = (*CLOSED, "--network=none", mount)
    built.podman(
        "run", "--detach", "--name=simulator", *closed, IMAGE, "simulate", *options, password
    )
    built.wait_for("simulator", "exec", "simulator", "python", "-c", _CONNECT)
    return "simulator"


_CONFIG: Final = """\
global: {interval: 5s, timeout: 4s}
modules:
  default:
    auth: {username: root, password_file: /run/secrets/axis-password}
    tls_config: {insecure_skip_verify: true}
devices: [{address: "127.0.0.1:8443"}, {address: "127.0.0.1:8444"}, {address: "127.0.0.1:8445"}]
"""
_CONNECT: Final = "import socket; socket.create_connection(('127.0.0.1', 8443)).close()"
