"""The Makefile says what is missing, and a failed run leaves nothing that the next one trusts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
# As `python3 -m venv` without Debian's python3-venv: it fails after it has made the interpreter.
FAILING_PYTHON: Final = f"""#!/bin/sh
if [ "$1 $2" = "-m venv" ]; then
    mkdir -p "$3/bin" && ln -sf {sys.executable} "$3/bin/python"
    echo "ensurepip is not available" >&2
    exit 1
fi
exec {sys.executable} "$@"
"""


def make(*words: str | Path) -> subprocess.CompletedProcess[str]:
    # Without the variables of a `make` that runs these tests.
    environment = {name: text for name, text in os.environ.items() if "MAKE" not in name}
    return subprocess.run(
        ["make", *words], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture
def failing_python(tmp_path: Path) -> Path:
    program = tmp_path / "python-without-venv"
    program.write_text(FAILING_PYTHON)
    program.chmod(0o755)
    return program


def test_a_failed_environment_fails_again_and_then_is_made(
    tmp_path: Path, failing_python: Path
) -> None:
    venv = tmp_path / "venv"
    for _ in range(2):
        failed = make(f"{venv}/bin/pip", f"VENV={venv}", f"PYTHON={failing_python}")
        assert failed.returncode == 2
        assert "ensurepip is not available" in failed.stderr
        assert "that needs the package python3-venv" in failed.stderr
        assert not venv.exists()
    made = make(f"{venv}/bin/pip", f"VENV={venv}", f"PYTHON={sys.executable}")
    assert made.returncode == 0, made.stderr
    assert (venv / "bin/pip").exists()


def test_an_environment_without_pip_is_no_environment(tmp_path: Path) -> None:
    left_by_an_earlier_run = tmp_path / "venv/bin/python"
    left_by_an_earlier_run.parent.mkdir(parents=True)
    left_by_an_earlier_run.symlink_to(sys.executable)
    planned = make("--dry-run", "demo", f"VENV={tmp_path}/venv")
    assert f"-m venv {tmp_path}/venv" in planned.stdout


def test_a_missing_python_is_said(tmp_path: Path) -> None:
    failed = make(f"{tmp_path}/venv/bin/pip", f"VENV={tmp_path}/venv", "PYTHON=python3.999")
    assert "python3.999: not found; make PYTHON=python3.12 names another" in failed.stderr
    assert not (tmp_path / "venv").exists()


@pytest.mark.parametrize(
    ("target", "resolution"), [("test-lowest", "lowest-direct"), ("test-newest", "highest")]
)
def test_the_ends_of_the_versions_are_tested_in_an_environment_of_their_own(
    target: str, resolution: str
) -> None:
    planned = make("--dry-run", target).stdout.splitlines()[-3:]
    folder = f".venv-{target.removeprefix('test-')}"
    assert [line.split()[-1] for line in planned[:2]] == [folder, "'.[simulator,dev]'"]
    assert f"--python {folder} --resolution {resolution}" in planned[1]
    # The constraints would hide that a newer version breaks us.
    assert "constraint" not in "".join(planned)
    tests = [ROOT / word for word in planned[2].split() if word.startswith("tests/")]
    assert len(tests) == 6
    assert all(folder.is_dir() for folder in tests)
