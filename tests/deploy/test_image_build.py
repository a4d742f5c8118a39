"""How the image is built: its steps, done here, out of what COPY brings. There is no engine."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.deploy.dockerfile import (
    BUILD_STAGE,
    DOCKERFILE,
    INSTRUCTIONS,
    LAST_STAGE,
    ROOT,
    all_of,
    commands,
    copy_as_the_build_stage_does,
)

ENVIRONMENT: Final = "/opt/axis-ntp-exporter"
WHEELS: Final = "/wheels"
# What the project needs is not fetched: this is about the project's own files.
OFFLINE: Final = {"PIP_NO_INDEX": "1", "PIP_NO_DEPS": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("context")
    copy_as_the_build_stage_does(folder)
    return folder


@pytest.fixture(scope="module")
def environment(context: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The environment that the build stage makes of it, by its own commands."""
    place = tmp_path_factory.mktemp("image")
    for line in all_of("RUN", BUILD_STAGE):
        done = subprocess.run(
            re.sub(f"({ENVIRONMENT}|{WHEELS})", rf"{place}\1", line),
            shell=True,
            cwd=context,
            env={"PATH": f"{Path(sys.executable).parent}:{os.defpath}", **OFFLINE},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    return Path(f"{place}{ENVIRONMENT}")


def test_what_is_copied_is_enough_to_build_the_whole_package(environment: Path) -> None:
    [installed] = environment.glob("lib/python*/site-packages/exporter")
    of_the_project = {
        file.relative_to(ROOT / "exporter")
        for file in (ROOT / "exporter").rglob("*")
        if file.is_file() and file.suffix != ".pyc"
    }
    assert of_the_project - {file.relative_to(installed) for file in installed.rglob("*")} == set()


def test_what_is_copied_brings_the_license_and_the_pins(environment: Path, context: Path) -> None:
    assert list(environment.glob("lib/python*/site-packages/*.dist-info/licenses/LICENSE"))
    pins = (ROOT / "constraints.txt").read_bytes()
    assert (context / "constraints.txt").read_bytes() == pins


def test_the_environment_has_nothing_to_build_or_install_with(environment: Path) -> None:
    installed = environment.glob("lib/python*/site-packages/*.dist-info")
    assert [each.name.partition("-")[0] for each in installed] == ["axis_ntp_exporter"]
    assert not list(environment.glob("bin/pip*"))


def test_both_stages_have_the_same_slim_python() -> None:
    images = [all_of("FROM", stage)[0].split()[0] for stage in (BUILD_STAGE, LAST_STAGE)]
    assert len(set(images)) == 1
    assert re.fullmatch(r"python:3\.\d+-slim", images[0])
    assert all_of("FROM", BUILD_STAGE)[0].endswith(" AS build")


def test_nothing_but_the_package_registry_is_needed() -> None:
    assert {words[0] for words in commands(BUILD_STAGE)} == {"python", "pip"}
    assert not all_of("ADD", INSTRUCTIONS)
    assert not [line for word, line in INSTRUCTIONS if word != "LABEL" and "://" in line]
    assert not [
        line for line in all_of("RUN", INSTRUCTIONS) if "index-url" in line or "git+" in line
    ]
    # A syntax line would make the engine fetch a program that reads the file.
    assert not re.search(r"^#\s*syntax\s*=", DOCKERFILE.read_text("utf-8"), re.MULTILINE)
    assert {word for word, _ in BUILD_STAGE} == {"FROM", "WORKDIR", "COPY", "RUN"}


def test_no_version_is_left_to_the_day_of_the_build() -> None:
    fetching = [
        words for words in commands(BUILD_STAGE) if words[0] == "pip" and "--no-index" not in words
    ]
    assert fetching
    for words in fetching:
        assert words[words.index("--constraint") + 1] == "constraints.txt", words
    # pip's constraints do not reach a build that has an environment of its own.
    backend, build = fetching
    assert (backend[1], backend[-1]) == ("install", "hatchling")
    assert {"wheel", "--no-build-isolation", "--only-binary=:all:", ".[simulator]"} <= set(build)


def test_the_last_stage_gets_the_environment_and_loses_its_installer() -> None:
    assert all_of("COPY", LAST_STAGE) == [f"--from=build {ENVIRONMENT} {ENVIRONMENT}"]
    uninstall, remove = commands(LAST_STAGE)
    assert (uninstall[:2], uninstall[-1]) == (["pip", "uninstall"], "pip")
    assert remove[:2] == ["python", "-c"]
    assert "rmtree(ensurepip.__path__[0])" in remove[2]
