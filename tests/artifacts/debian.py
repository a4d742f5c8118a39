"""Roots of Debian with systemd, and the wheels to install in them: made once, kept in a cache."""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.artifacts.machine import cache_folder, debian_mirror

CHECKOUT: Final = Path(__file__).parents[2]
_PROGRAMS: Final = {
    "mmdebstrap": "mmdebstrap",
    "systemd-nspawn": "systemd-container",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "setpriv": "util-linux",
}
_PACKAGES: Final = "systemd,systemd-sysv,dbus,python3,python3-venv"
# No pages, translations and lists of packages: a third of the size.
_LEFT_OUT: Final = ("man", "info", "locale", "doc/*")


@dataclass(frozen=True)
class Suite:
    """A release of Debian, its Python, and the newest glibc 2.x that wheels may ask for."""

    name: str
    python: str
    glibc: int


BOOKWORM: Final = Suite("bookworm", "3.11", 36)
"""Debian 12, systemd 252."""
TRIXIE: Final = Suite("trixie", "3.13", 41)
"""Debian 13, systemd 257."""


def require(program: str, package: str) -> str:
    """Return a program's path, or end the run with a sentence that says what to install."""
    found = shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if found is None:
        pytest.exit(f"{program} is not installed: apt-get install {package}", returncode=1)
    return found


def require_containers() -> None:
    """End the run unless containers with systemd can be made and started here, by root."""
    if os.geteuid() != 0:
        pytest.exit("only root can start a container with systemd: run make as root", returncode=1)
    for program, package in _PROGRAMS.items():
        require(program, package)


def root_of(suite: Suite) -> Path:
    """Return a root of that Debian with systemd and Python; nothing may write to it."""
    recipe = _digest([_PACKAGES, *_LEFT_OUT])
    return _made_once(f"root-{suite.name}-{recipe}", lambda folder: _make_root(suite, folder))


def _make_root(suite: Suite, folder: Path) -> None:
    left_out = [f"--dpkgopt=path-exclude=/usr/share/{each}/*" for each in _LEFT_OUT]
    options = ["--quiet", "--variant=minbase", "--mode=root", f"--include={_PACKAGES}", *left_out]
    _run(require("mmdebstrap", "mmdebstrap"), *options, suite.name, str(folder), *debian_mirror())


def wheels_for(suite: Suite) -> Path:
    """Return a folder with the pinned wheels of the package's dependencies and build backend."""
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))
    simulator = project["project"]["optional-dependencies"]["simulator"]
    needed = [
        *project["project"]["dependencies"],
        *simulator,
        *project["build-system"]["requires"],
    ]
    pins = (CHECKOUT / "constraints.txt").read_text("utf-8")
    name = f"wheels-{suite.name}-{_digest([*needed, pins])}"
    return _made_once(name, lambda folder: _download_wheels(suite, needed, folder))


def _digest(texts: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:12]


def _download_wheels(suite: Suite, needed: list[str], folder: Path) -> None:
    machine = platform.machine()
    glibcs = [f"--platform=manylinux_2_{minor}_{machine}" for minor in range(5, suite.glibc + 1)]
    options = ["--quiet", "--only-binary=:all:", f"--python-version={suite.python}"]
    platforms = [*glibcs, f"--platform=manylinux2014_{machine}"]
    pip = [sys.executable, "-m", "pip", "download", f"--dest={folder}", *options, *platforms]
    _run(*pip, f"--constraint={CHECKOUT / 'constraints.txt'}", *needed)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.exit(f"{command[0]} failed: {(done.stderr or done.stdout)[-2000:]}", returncode=1)


def _made_once(name: str, make: Callable[[Path], None]) -> Path:
    """Return a folder of the cache; `make` fills it unless it is there and complete."""
    folder = cache_folder() / name
    with _locked(name):
        if not folder.exists():
            new = folder.with_name(f"{name}.new")
            shutil.rmtree(new, ignore_errors=True)
            new.mkdir()
            make(new)
            new.rename(folder)
    return folder


@contextmanager
def _locked(name: str) -> Iterator[None]:
    """Let two runs on one machine not make the same folder at once."""
    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
